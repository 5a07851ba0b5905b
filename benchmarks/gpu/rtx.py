"""TensorRT-RTX as thin as can be: a graph to a plan, and a plan to something to call on PyTorch's tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorrt_rtx_bindings as trt  # imports tensorrt_rtx_libs, which loads the libraries
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

TYPES = {
    trt.DataType.FLOAT: torch.float32,
    trt.DataType.HALF: torch.float16,
    trt.DataType.INT32: torch.int32,
    trt.DataType.INT64: torch.int64,
}
BATCHES = (1, 32, 256)
"""Least, usual and largest batch of every profile."""


class RtxError(Exception):
    """The library refused; what it said is in the message."""


class Words(trt.ILogger):
    """What the library says, from warnings up."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: trt.ILogger.Severity, message: str) -> None:
        """Keep ``message``."""
        if severity <= trt.ILogger.Severity.WARNING:
            self.lines.append(f"{severity.name}: {message}"[:1000])

    def error(self, what: str) -> RtxError:
        """``what`` went wrong, in the library's words."""
        return RtxError("; ".join([what, *self.lines[-6:]]))


def build(graph: bytes, capabilities: tuple[str, ...], tokens: int, words: Words) -> bytes:
    """A plan for ``capabilities`` (``SM80``, ``CURRENT``…; none for the library's default) and ``BATCHES``.

    Raises:
        RtxError: the library refuses the graph, or cannot build it.
    """
    builder = trt.Builder(words)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, words)
    if not parser.parse(graph):
        faults = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise words.error(f"the parser refuses the graph: {faults}")
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes = [(batch, *_known(tensor.shape[1:], tokens)) for batch in BATCHES]
        profile.set_shape(tensor.name, *shapes)
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = len(capabilities)
    for index, capability in enumerate(capabilities):
        config.set_compute_capability(trt.ComputeCapability.__members__[capability], index)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise words.error("no plan came out")
    return bytes(plan)


def _known(shape: Any, tokens: int) -> list[int]:
    return [tokens if size < 0 else size for size in shape]


def validity(plan: bytes, words: Words) -> dict[str, Any]:
    """What the runtime says of ``plan`` before it loads it."""
    found, reasons = trt.Runtime(words).get_engine_validity(plan)
    return {"validity": found.name, "diagnostics": reasons}


class Engine:
    """A plan that is loaded: it makes calls for given inputs."""

    def __init__(self, plan: bytes, words: Words) -> None:
        self.words = words
        self.runtime = trt.Runtime(words)
        self.engine = self.runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise words.error("the plan cannot be deserialised")
        names = [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]
        is_input = {name: self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self.inputs = [name for name in names if is_input[name]]
        self.outputs = [name for name in names if not is_input[name]]

    def bind(self, feeds: Mapping[str, Tensor]) -> Call:
        """A call on exactly these tensors.

        Raises:
            RtxError: the library refuses them.
        """
        return Call(self, feeds)


class Call:
    """One execution context with its inputs and outputs bound; calling it computes ``outputs`` from ``feeds``."""

    def __init__(self, engine: Engine, feeds: Mapping[str, Tensor]) -> None:
        self.words = engine.words
        config = engine.engine.create_runtime_config()
        # Kernels made for the very shapes, before the first answer and not behind it: or the times would not be stable.
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self.context = engine.engine.create_execution_context(config)
        if self.context is None:
            raise self.words.error("no execution context came out")
        self.feeds = {
            name: feeds[name].to(TYPES[engine.engine.get_tensor_dtype(name)]).contiguous().clone()
            for name in engine.inputs
        }
        for name, tensor in self.feeds.items():
            if not self.context.set_input_shape(name, tuple(tensor.shape)):
                raise self.words.error(f"{name} cannot be {tuple(tensor.shape)}")
        self.outputs = {name: self._empty(engine, name) for name in engine.outputs}
        for name, tensor in {**self.feeds, **self.outputs}.items():
            self.context.set_tensor_address(name, tensor.data_ptr())

    def __call__(self) -> dict[str, Tensor]:
        """Compute on PyTorch's current stream; ``outputs`` are overwritten by the next call."""
        if not self.context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise self.words.error("the engine cannot be run")
        return self.outputs

    def _empty(self, engine: Engine, name: str) -> Tensor:
        shape = tuple(self.context.get_tensor_shape(name))
        return torch.empty(shape, dtype=TYPES[engine.engine.get_tensor_dtype(name)], device="cuda")
