"""The builder's own words about what it built, read: layers with operand types and ONNX origins, I/O tensors, memory.

With ``profiling_verbosity=DETAILED`` its log ends in text like this, one layer a line:

    Layers:
    Name: node_linear_myl0_2, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [-1,128], …, Datatype: FP8, … }],
      Constants: […], Outputs: […], TacticName: …, StreamId: 0, Metadata: [ONNX Layer: node_linear]

    I/O Tensors:                                       ("Bindings:" before TensorRT 11)
     Name: z_L, IOMode: Input, DataType: Half, Dimensions: [-1,37,128], …, ProfileInfo: [ { MinShape: [1,37,128], … }]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from hrm.documents import Document
from hrm.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = tuple[int, ...]

_LAYERS, _TENSORS = "Layers:", ("I/O Tensors:", "Bindings:")
_LAYER = re.compile(r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), (?P<rest>.*)")
_OPERANDS = re.compile(r"\b(?P<part>Inputs|Constants|Outputs): \[(?P<body>(?: ?\{[^{}]*\},?)*) ?\]")
_OPERAND = re.compile(
    r"\{ ?Name: (?P<name>.*?), (?:Location: \w+, )?Dimensions: \[(?P<shape>[-\d, ]*)\],?(?P<traits>[^{}]*)\}"
)
_CONSTANT = re.compile("dconst|_constant")
_TACTIC = re.compile(r"\bTacticName: (?P<tactic>[^,]*)")
_METADATA = re.compile(r"\bMetadata: (?P<metadata>.*)$")
_ORIGIN = re.compile(r"\[ONNX Layer: (.+?)\](?=[^\w]*\[ONNX Layer: |\W*$)")
_DATATYPE = re.compile(r"\bDatatype: (\w+)")
_TENSOR = re.compile(
    r"Name: (?P<name>.*?), IOMode: (?P<mode>Input|Output), DataType: (?P<type>\w+), Dimensions: \[(?P<shape>[-\d, ]*)\]"
)
_RANGE = re.compile(r"MinShape: \[([-\d, ]*)\], OptShape: \[([-\d, ]*)\], MaxShape: \[([-\d, ]*)\]")
_MEMORY = re.compile(r"Total (Activation|Weights) Memory: (\d+) bytes")
_SIZE = re.compile(r"-?[0-9]+")
_TYPES = {"half": "fp16", "float": "fp32", "bfloat16": "bf16", "fp4e2m1": "fp4"}
_IN_A_FORMAT = re.compile(r"\b(FP4E2M1|FP8|FP16|BF16|FP32|INT\d+|Half|Float|BFloat16|Int\d+|Bool)\b")


class Operand(Document):
    """One tensor that a layer reads or writes."""

    name: str
    type: str
    """``fp32``, ``fp16``, ``bf16``, ``fp8``, ``fp4``, or the builder's own word for another."""
    shape: Shape
    """-1 for a size that the batch decides."""


class Layer(Document):
    """One kernel of the plan, or several that TensorRT counts as one layer."""

    name: str
    kind: str
    inputs: tuple[Operand, ...]
    constants: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    tactic: str
    nodes: tuple[str, ...]
    """The ONNX nodes that it came from."""


class IoTensor(Document):
    """An input or output of the plan; what the builder did not say of it is None."""

    name: str
    mode: Literal["input", "output"] | None = None
    type: str | None = None
    shape: Shape | None = None
    profile: tuple[Shape, Shape, Shape] | None = None
    """The least, the best and the largest shape of an input."""


class Listing(Document):
    """All that was read."""

    layers: tuple[Layer, ...]
    tensors: tuple[IoTensor, ...]
    weight_bytes: int | None
    activation_bytes: int | None


def parse_listing(words: str) -> Listing:
    """What the builder's log says of the plan.

    Raises:
        EngineError: it lists no layers, or in a form that is not known.
    """
    lines = words.splitlines()
    layers = tuple(map(_layer, _section(lines, (_LAYERS,))))
    if not layers:
        raise EngineError(
            "the builder does not say what it built",
            why="its log lists no layers, so nothing shows in which precision the plan computes",
            hint="build with a version of TensorRT that hrm-trt was tested with: `hrm-trt doctor`",
        )
    memory = {kind: int(count) for kind, count in _MEMORY.findall(words)}
    return Listing(
        layers=layers,
        tensors=tuple(map(_tensor, _section(lines, _TENSORS))),
        weight_bytes=memory.get("Weights"),
        activation_bytes=memory.get("Activation"),
    )


def _section(lines: list[str], titles: tuple[str, ...]) -> Iterator[str]:
    """The lines below the last of ``titles``, up to an empty one."""
    starts = [index for index, line in enumerate(lines) if line.strip() in titles]
    for line in lines[starts[-1] + 1 :] if starts else ():
        if not line.strip():
            return
        yield line.strip()


def _layer(line: str) -> Layer:
    found = _LAYER.fullmatch(line)
    if found is None:
        raise EngineError(
            "the builder's list of layers is in a form that hrm-trt does not know",
            why=f"it says {line[:120]!r}",
            hint="build with a version of TensorRT that hrm-trt was tested with: `hrm-trt doctor`",
        )
    rest = found["rest"]
    parts = {match["part"]: tuple(_operands(match["body"])) for match in _OPERANDS.finditer(rest)}
    inputs, constants = parts.get("Inputs", ()), parts.get("Constants")
    if constants is None:  # TensorRT 10 counts them among the inputs
        constants = tuple(each for each in inputs if _CONSTANT.search(each.name))
        inputs = tuple(each for each in inputs if each not in constants)
    tactic, metadata = _TACTIC.search(rest), _METADATA.search(rest)
    return Layer(
        name=found["name"],
        kind=found["kind"],
        inputs=inputs,
        constants=constants,
        outputs=parts.get("Outputs", ()),
        tactic="" if tactic is None else tactic["tactic"].strip(),
        nodes=() if metadata is None else tuple(_ORIGIN.findall(metadata["metadata"])),
    )


def _operands(body: str) -> Iterator[Operand]:
    for match in _OPERAND.finditer(body):
        yield Operand(name=match["name"], type=_type(match["traits"]), shape=_shape(match["shape"]))


def _type(traits: str) -> str:
    """``Datatype: Half, Format: …``; in TensorRT 10 ``Format/Datatype: Half`` or ``Row major linear FP16 format``."""
    found = _IN_A_FORMAT.search(traits) if "Format/Datatype" in traits else _DATATYPE.search(traits)
    return _TYPES.get(found[1].lower(), found[1].lower()) if found else "unknown"


def _tensor(line: str) -> IoTensor:
    found = _TENSOR.search(line)
    if found is None:  # older releases give the name alone
        return IoTensor(name=line)
    ranges = _RANGE.search(line)
    return IoTensor(
        name=found["name"],
        mode="input" if found["mode"] == "Input" else "output",
        type=_TYPES.get(found["type"].lower(), found["type"].lower()),
        shape=_shape(found["shape"]),
        profile=None if ranges is None else (_shape(ranges[1]), _shape(ranges[2]), _shape(ranges[3])),
    )


def _shape(text: str) -> Shape:
    return tuple(map(int, _SIZE.findall(text)))
