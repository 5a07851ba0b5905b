"""Triton's ``config.pbtxt`` for one engine: complete, for servers with ``--disable-auto-complete-config``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import missing_package

if TYPE_CHECKING:
    from collections.abc import Iterable

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

_THREADS = "intra_op_thread_count"
"""A parameter of Triton's ONNX Runtime backend."""


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
    optional: bool = False

    def __str__(self) -> str:
        reshaped = ", reshaped to []" if self.scalar else ""
        return f"{'optional ' if self.optional else ''}{self.data_type} {list(self.dims)}{reshaped}"


@dataclass(frozen=True)
class ModelDescription:
    """What Triton has to know about one engine's model."""

    name: str
    platform: Platform
    max_batch: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[int, ...]
    """Those to serve; a directory that is not among them is never loaded."""
    filename: str
    """The engine's in a version's directory, where ``filenames`` names none for the GPU."""
    filenames: tuple[tuple[str, str], ...] = ()
    """Compute capabilities (``9.0``) and their engines; none on a CPU."""
    graph_inputs: tuple[Tensor, ...] = ()
    """The inputs with the sizes that CUDA graphs are captured for."""
    graph_batches: tuple[int, ...] = ()
    """The batch sizes with a CUDA graph of their own."""
    threads: int | None = None
    """Of a CPU, inside one operator; None leaves it to the backend."""


def tensor(spec: TensorSpec, *, optional: bool = False) -> Tensor:
    """How a configuration words ``spec``, whose first axis is the batch."""
    dims = tuple(size if isinstance(size, int) else DYNAMIC for size in spec.shape[1:])
    return Tensor(spec.name, DATA_TYPES[spec.dtype], dims or (1,), scalar=not dims, optional=optional)


def tensor_of(message: Any) -> Tensor:
    """An input or output of a parsed configuration."""
    from tritonclient.grpc import model_config_pb2 as pb

    scalar = message.HasField("reshape") and not message.reshape.shape
    optional = bool(getattr(message, "optional", False))
    return Tensor(message.name, pb.DataType.Name(message.data_type), tuple(message.dims), scalar, optional)


def config_text(model: ModelDescription) -> str:
    """The text of ``config.pbtxt``; the same model gives the same text.

    Raises:
        MissingError: tritonclient is not installed.
    """
    config = new_message(model.name, model.max_batch, model.versions)
    config.platform = model.platform.platform
    config.default_model_filename = model.filename
    config.cc_model_filenames.update(dict(model.filenames))
    if model.platform.kind is not None:
        # One: the solver has one call at work at a time, and every further instance would hold the weights again.
        config.instance_group.add(kind=config_messages().ModelInstanceGroup.Kind.Value(model.platform.kind), count=1)
    if model.threads is not None:
        config.parameters[_THREADS].string_value = str(model.threads)
    add_tensors(config.input, model.inputs)
    add_tensors(config.output, model.outputs)
    if model.graph_batches:
        _add_graphs(config, model)
    return message_text(config)


def new_message(name: str, max_batch: int, versions: Iterable[int]) -> Any:
    """A ``ModelConfig`` message with what every model of ours says."""
    config = config_messages().ModelConfig(name=name, max_batch_size=max_batch)
    config.version_policy.specific.versions.extend(versions)
    return config


def add_tensors(messages: Any, tensors: Iterable[Tensor]) -> None:
    """Add ``tensors`` to the inputs or outputs of a ``ModelConfig``."""
    for each in tensors:
        message = messages.add(name=each.name, data_type=data_type(each), dims=each.dims)
        if each.scalar:
            message.reshape.SetInParent()
        if each.optional:
            message.optional = True


def data_type(tensor: Tensor) -> int:
    """Triton's number for the type of ``tensor``."""
    return int(config_messages().DataType.Value(tensor.data_type))


def message_text(message: Any) -> str:
    """The text form of any protobuf message."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(message))


def parse_config(text: str) -> Any:
    """The ``ModelConfig`` message that ``text`` stands for.

    Raises:
        ValueError: it is not one, with the line that is wrong.
        MissingError: tritonclient is not installed.
    """
    pb = config_messages()
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, pb.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def config_messages() -> Any:
    """Triton's messages.

    Raises:
        MissingError: tritonclient is not installed.
    """
    try:
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise missing_package("tritonclient", "triton", "a Triton configuration") from error
    return model_config_pb2


def _add_graphs(config: Any, model: ModelDescription) -> None:
    """A CUDA graph and a warm-up for each batch size, and pinned memory on both sides.

    No graph has a lower bound: a smaller batch would run in it with whatever lies in its padding.
    """
    config.optimization.cuda.graphs = True
    config.optimization.input_pinned_memory.enable = True
    config.optimization.output_pinned_memory.enable = True
    for batch in model.graph_batches:
        graph = config.optimization.cuda.graph_spec.add(batch_size=batch)
        warmup = config.model_warmup.add(name=f"batch {batch}", batch_size=batch)
        for each in model.graph_inputs:
            # The engine's own axes in a graph's shape, the client's in a warm-up's.
            graph.input[each.name].dim.extend(() if each.scalar else each.dims)
            sample = warmup.inputs[each.name]
            sample.data_type, sample.zero_data = data_type(each), True
            sample.dims.extend(each.dims)
