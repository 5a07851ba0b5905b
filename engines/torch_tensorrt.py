"""The ``torch-tensorrt`` runtime: executor and planner compiled by subgraphs; what TensorRT cannot take, PyTorch runs.

Low precision is placed in ONNX graphs, which this runtime never sees: it computes in float16. It is a second track
beside the plans, for what their parser refuses.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.export import Dim

from engines.tensorrt.gpu import present
from engines.tensorrt.library import missing
from export.contract import signature
from export.modules import traceable
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load
from hrm.checkpoint.loading import network as checkpoint_network
from hrm.errors import EngineError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.export import ExportedProgram

    from engines.bundle import Profile, Range
    from engines.protocol import Array
    from export.contract import Module, TensorSpec
    from hrm.network import HRM

Compiled = Literal["executor", "planner"]
_RUNTIME = "torch-tensorrt"
_BY_TENSORRT = "_run_on_acc"
"""In the name of every subgraph that became an engine."""
_CALLS = ("call_function", "call_method")


def refusal() -> str | None:
    """Why this runtime compiles nothing here; None where it can."""
    absent = missing(_RUNTIME)
    if absent is None and present() is None:
        return f"{_RUNTIME} compiles on the GPU that it compiles for, and this machine has no NVIDIA GPU"
    return absent


def open_compiled(weights: Path, module: Module, profile: Profile) -> TorchTensorRTEngine:
    """``module`` of the network whose weights are in the safetensors file ``weights``, compiled.

    Raises:
        CheckpointError: the file is not hrm-trt's.
        EngineError: the module is not one that is compiled, or cannot be.
        MissingError: the package or the GPU is not here.
    """
    if module not in ("executor", "planner"):
        raise EngineError(
            f"{_RUNTIME} does not compile the {module}",
            why="it compiles executor and planner; the encoder is one look-up, and a segment is calls of the two",
            hint="use the topology planner-executor",
        )
    network = checkpoint_network(load(locate(weights)))
    return TorchTensorRTEngine(network, module, profile)


class TorchTensorRTEngine:
    """One module of a network, compiled for this machine's GPU when it is made.

    Args:
        network: the float32 network.
        module: which part of it.
        profile: the batches and sequence lengths that it must take.

    Raises:
        EngineError: Torch-TensorRT cannot compile it.
        MissingError: the package or the GPU is not here.
    """

    def __init__(self, network: HRM, module: Compiled, profile: Profile) -> None:
        reason = refusal()
        if reason is not None:
            raise MissingError(
                f"the {module} cannot be compiled by {_RUNTIME} here",
                why=reason,
                hint="`hrm-trt doctor` lists what this machine can build",
            )
        self.inputs, self.outputs = signature(network.config, "fp16", module)
        self._run = _compile(network, module, profile)
        self.fallbacks = fallbacks(self._run)
        """The nodes that PyTorch runs."""

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: wrong shapes, or the GPU failed.
        """
        arguments = [torch.from_numpy(feeds[spec.name]).cuda() for spec in self.inputs]
        try:
            values = self._run(*arguments)
        except RuntimeError as error:
            shapes = {spec.name: list(feeds[spec.name].shape) for spec in self.inputs}
            raise EngineError(
                f"{_RUNTIME} failed on {shapes}",
                why=_first_line(error),
                hint="solve smaller batches, or build with a larger `profile` in the recipe",
            ) from error
        answers = (values,) if isinstance(values, torch.Tensor) else values
        return {spec.name: value.cpu().numpy() for spec, value in zip(self.outputs, answers, strict=True)}


def export_program(network: HRM, module: Compiled, profile: Profile, device: str = "cpu") -> ExportedProgram:
    """``module`` in float16 as a program whose batch and sequence may be whatever the profile allows."""
    model = traceable(network, torch.float16, module, None).to(device)
    inputs = signature(network.config, "fp16", module).inputs
    dims = _dims(profile, network.config.puzzle_emb_len)
    shapes = [_shape(spec, profile, network, "opt") for spec in inputs]
    example = tuple(torch.zeros(shape, dtype=torch.float16, device=device) for shape in shapes)
    dynamic = tuple({axis: dims[name] for axis, name in enumerate(spec.shape) if name in dims} for spec in inputs)
    return torch.export.export(model, example, dynamic_shapes=dynamic)


def fallbacks(compiled: torch.fx.GraphModule) -> tuple[str, ...]:
    """The nodes of a compiled module that are no engine's, with the operator of each: ``add: aten.add.Tensor``."""
    found = [f"{node.name}: {node.target}" for node in compiled.graph.nodes if _is_work(node)]
    for name, part in compiled.named_children():
        if isinstance(part, torch.fx.GraphModule) and _BY_TENSORRT not in name:
            found.extend(fallbacks(part))
    return tuple(found)


def _compile(network: HRM, module: Compiled, profile: Profile) -> torch.fx.GraphModule:
    import torch_tensorrt

    inputs = signature(network.config, "fp16", module).inputs
    shapes = [{f"{end}_shape": _shape(spec, profile, network, end) for end in ("min", "opt", "max")} for spec in inputs]
    program = export_program(network, module, profile, "cuda")
    try:
        compiled: torch.fx.GraphModule = torch_tensorrt.dynamo.compile(
            program,
            arg_inputs=[torch_tensorrt.Input(**sizes, dtype=torch.float16) for sizes in shapes],
            require_full_compilation=False,
        )
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"{_RUNTIME} cannot compile the {module}",
            why=_first_line(error),
            hint="build it with `--runtime tensorrt`, or try the version of torch-tensorrt that the extra pins",
        ) from error
    return compiled


def _dims(profile: Profile, puzzle_tokens: int) -> dict[object, Any]:
    """The axes whose size is not the same for all; what the compiler may take as one number is no dynamic axis."""
    ranges = {"batch": (profile.batch, 0), "tokens": (profile.sequence, puzzle_tokens)}
    return {
        name: Dim(name, min=sizes.min + offset, max=sizes.max + offset)
        for name, (sizes, offset) in ranges.items()
        if sizes.min < sizes.max
    }


def _shape(spec: TensorSpec, profile: Profile, network: HRM, end: str) -> tuple[int, ...]:
    sizes = {
        "batch": _size(profile.batch, end),
        "tokens": _size(profile.sequence, end) + network.config.puzzle_emb_len,
    }
    return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape)


def _size(sizes: Range, end: str) -> int:
    size: int = getattr(sizes, end)
    return size


def _is_work(node: torch.fx.Node) -> bool:
    """Whether ``node`` computes something; taking an item out of a tuple does not."""
    return node.op in _CALLS and node.target is not operator.getitem


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
