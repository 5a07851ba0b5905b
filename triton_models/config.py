"""Triton's ``config.pbtxt`` for one engine: complete, for servers with ``--disable-auto-complete-config``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import missing_package

if TYPE_CHECKING:
    from export.contract import TensorSpec

CONFIG = "config.pbtxt"
DYNAMIC = -1
DATA_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
}
"""numpy's names of the types that every backend of ours takes, to Triton's."""


@dataclass(frozen=True)
class Platform:
    """How Triton runs the engines of one runtime."""

    platform: str
    filename: str
    kind: str | None
    """Where instances must run; None leaves it to the operator."""


PLATFORMS = {
    # On a server with a GPU this backend would take it, and the gate was run on a CPU.
    "onnxruntime": Platform("onnxruntime_onnx", "model.onnx", "KIND_CPU"),
    "tensorrt": Platform("tensorrt_plan", "model.plan", None),
}
"""The runtimes that Triton has a backend for."""


def unservable(runtime: str) -> str | None:
    """Why Triton has nothing that runs engines of ``runtime``; None where it has."""
    if runtime in PLATFORMS:
        return None
    if runtime == "tensorrt-rtx":
        return (
            "a TensorRT-RTX plan runs only in a TensorRT-RTX runtime of its own release, and Triton's tensorrt_plan "
            "backend holds the classic TensorRT"
        )
    return f"its runtime is {runtime}; there is a backend for {', '.join(PLATFORMS)}"


@dataclass(frozen=True)
class Tensor:
    """An input or output as a configuration words it, without the batch axis.

    Triton has no tensor without axes: a [B] tensor of the engine is ``dims`` [1] to clients, reshaped to none.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    scalar: bool

    def __str__(self) -> str:
        return f"{self.data_type} {list(self.dims)}{', reshaped to []' if self.scalar else ''}"


@dataclass(frozen=True)
class ModelDescription:
    """What Triton has to know about one model."""

    name: str
    platform: Platform
    max_batch: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[int, ...]
    """Those to serve; a directory that is not among them is never loaded."""


def tensor(spec: TensorSpec) -> Tensor:
    """How a configuration words ``spec``, whose first axis is the batch."""
    dims = tuple(size if isinstance(size, int) else DYNAMIC for size in spec.shape[1:])
    return Tensor(spec.name, DATA_TYPES[spec.dtype], dims or (1,), scalar=not dims)


def tensor_of(message: Any) -> Tensor:
    """An input or output of a parsed configuration."""
    from tritonclient.grpc import model_config_pb2 as pb

    scalar = message.HasField("reshape") and not message.reshape.shape
    return Tensor(message.name, pb.DataType.Name(message.data_type), tuple(message.dims), scalar)


def config_text(model: ModelDescription) -> str:
    """The text of ``config.pbtxt``; the same model gives the same text.

    Raises:
        MissingError: tritonclient is not installed.
    """
    pb, text_format = _protobuf()
    config = pb.ModelConfig(
        name=model.name,
        platform=model.platform.platform,
        max_batch_size=model.max_batch,
        default_model_filename=model.platform.filename,
    )
    if model.platform.kind is not None:
        config.instance_group.add(kind=pb.ModelInstanceGroup.Kind.Value(model.platform.kind))
    config.version_policy.specific.versions.extend(model.versions)
    for tensors, messages in ((model.inputs, config.input), (model.outputs, config.output)):
        for each in tensors:
            message = messages.add(name=each.name, data_type=pb.DataType.Value(each.data_type), dims=each.dims)
            if each.scalar:
                message.reshape.SetInParent()
    return str(text_format.MessageToString(config))


def parse_config(text: str) -> Any:
    """The ``ModelConfig`` message that ``text`` stands for.

    Raises:
        ValueError: it is not one, with the line that is wrong.
        MissingError: tritonclient is not installed.
    """
    pb, text_format = _protobuf()
    try:
        return text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def _protobuf() -> tuple[Any, Any]:
    """Triton's messages, and the text form of any message."""
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise missing_package("tritonclient", "triton", "a Triton configuration") from error
    return model_config_pb2, text_format
