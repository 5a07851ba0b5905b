"""The ``onnxruntime`` runtime with tensors: graphs bound to memory on the CPU or a GPU, where their outputs stay.

Inputs and outputs are PyTorch's own memory, bound by address, so that what one call gives the next one takes without a
copy and without the host. An address says nothing of what lies there: shapes, types, strides and the device are
checked before anything is bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from engines.onnx_session import failure, faults, open_session, tensor_spec
from engines.torch_arrays import TorchArrays
from engines.torch_runtime import check_device
from engines.torch_stepper import ResidentStepper
from hrm.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from engines.onnx_session import RuntimeOptions
    from engines.protocol import Array
    from engines.torch_runtime import DeviceName
    from export.contract import Module, TensorSpec
    from hrm.config import HRMConfig

_PLACES: dict[DeviceName, str] = {"cpu": "cpu", "cuda": "cuda:0"}
"""PyTorch's names of the devices that sessions compute on."""
_AXES = {"batch", "sequence", "tokens"}
_ALIGNMENT = 16
"""Bytes that kernels may load at once: ONNX Runtime's own memory begins at a multiple, and some row of ours may not."""
_UNTAKEN = (RuntimeError, TypeError)
"""Exceptions by which PyTorch says no: too little memory, and types that it has not."""


class BoundOnnxEngine:
    """An ONNX file in a session on one device; takes arrays or tensors, and gives tensors on that device.

    Args:
        path: the graph; its dynamic axes are the contract's (``export.contract``).
        options: what the session may use of the machine.
        device: where it computes.
        puzzle_tokens: P, by which ``tokens`` are more than ``sequence``.

    Raises:
        EngineError: ONNX Runtime refuses the graph, or would compute some of it elsewhere.
        MissingError: ONNX Runtime cannot use CUDA.
    """

    def __init__(self, path: Path, options: RuntimeOptions, device: DeviceName, puzzle_tokens: int) -> None:
        self._path = path
        self._session = open_session(path, options, device)
        self.inputs = tuple(tensor_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(tensor_spec(node) for node in self._session.get_outputs())
        self._arrays = TorchArrays(_PLACES[device])
        self._puzzle_tokens = puzzle_tokens
        unknown = {axis for spec in (*self.inputs, *self.outputs) for axis in spec.shape if not isinstance(axis, int)}
        if not unknown <= _AXES:
            raise EngineError(
                f"{path.name} cannot be bound to memory",
                why=f"it has axes of unknown size: {', '.join(map(str, sorted(unknown - _AXES, key=str)))}",
                hint="export the graph again with this version of hrm-trt",
            )

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``, arrays or tensors; one that lies as the graph wants it is not copied.

        Raises:
            EngineError: wrong names, shapes or types, or the device has too little memory.
        """
        refused: tuple[type[Exception], ...] = (*faults(), *_UNTAKEN)
        try:
            inputs = self._taken(feeds)
            sizes = axis_sizes(self.inputs, {name: value.shape for name, value in inputs.items()}, self._puzzle_tokens)
            outputs = {spec.name: self._empty(spec, sizes) for spec in self.outputs}
            self._compute(inputs, outputs)
        except refused as error:
            raise failure(self._path, feeds, error) from error
        return cast("dict[str, Array]", outputs)

    def _taken(self, feeds: Mapping[str, Array]) -> dict[str, Tensor]:
        """What is bound: ``feeds`` on the device, contiguous and aligned."""
        names = [spec.name for spec in self.inputs]
        if sorted(feeds) != sorted(names):
            raise ValueError(f"it takes {', '.join(names)} and was given {', '.join(feeds) or 'nothing'}")
        return {spec.name: self._fit(spec, self._arrays.tensor(feeds[spec.name])) for spec in self.inputs}

    def _fit(self, spec: TensorSpec, tensor: Tensor) -> Tensor:
        if tensor.dtype is not _torch_type(spec):
            raise ValueError(f"{spec.name} is {_name(tensor.dtype)} and should be {spec.dtype}")
        tensor = tensor.contiguous()
        return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor

    def _empty(self, spec: TensorSpec, sizes: Mapping[str, int]) -> Tensor:
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in spec.shape]
        return torch.empty(shape, dtype=_torch_type(spec), device=self._arrays.device)

    def _compute(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        binding = self._session.io_binding()
        # ONNX Runtime works in a stream of its own: before it reads, which binding may do, PyTorch has to be done, and
        # the other way round.
        binding.synchronize_inputs()
        for name, tensor in inputs.items():
            binding.bind_input(name, **_memory(tensor))
        for name, tensor in outputs.items():
            binding.bind_output(name, **_memory(tensor))
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def bound_stepper(
    paths: Mapping[Module, Path],
    carry: tuple[Array, Array],
    config: HRMConfig,
    puzzle_table: Array | None,
    options: RuntimeOptions,
    device: DeviceName,
) -> ResidentStepper:
    """The graphs in ``paths`` with their carry in tensors on ``device``; the others are as in ``EngineStepper``.

    Raises:
        EngineError: ONNX Runtime refuses a graph, or would compute some of it elsewhere.
        MissingError: ONNX Runtime or PyTorch cannot use CUDA.
    """
    check_device(device)
    engines = {module: BoundOnnxEngine(path, options, device, config.puzzle_emb_len) for module, path in paths.items()}
    arrays = TorchArrays(_PLACES[device])
    return ResidentStepper(engines, (arrays.tensor(carry[0]), arrays.tensor(carry[1])), config, puzzle_table)


def axis_sizes(specs: Iterable[TensorSpec], shapes: Mapping[str, Sequence[int]], puzzle_tokens: int) -> dict[str, int]:
    """The sizes of ``batch``, ``sequence`` and ``tokens`` that follow from inputs of these ``shapes``.

    Args:
        specs: the inputs; one of them at least has an axis that is the sequence's or the tokens'.
        shapes: of each of them.
        puzzle_tokens: P, by which ``tokens`` are more than ``sequence``.

    Raises:
        ValueError: a shape is not its specification's, or contradicts another one.
    """
    found: dict[str, int] = {}
    for spec in specs:
        shape = shapes[spec.name]
        wanted = [axis if isinstance(axis, int) else found.get(axis, axis) for axis in spec.shape]
        if len(shape) != len(wanted) or any(
            size < 1 or (isinstance(axis, int) and size != axis) for size, axis in zip(shape, wanted, strict=True)
        ):
            raise ValueError(f"{spec.name} is {list(shape)} and should be [{', '.join(map(str, wanted))}]")
        found.update((axis, size) for axis, size in zip(spec.shape, shape, strict=True) if isinstance(axis, str))
    tokens = found.setdefault("tokens", found.get("sequence", 0) + puzzle_tokens)
    sequence = found.setdefault("sequence", tokens - puzzle_tokens)
    if sequence < 1 or tokens - sequence != puzzle_tokens:
        raise ValueError(f"{tokens} tokens are not a sequence with {puzzle_tokens} puzzle tokens before it")
    return found


def _memory(tensor: Tensor) -> dict[str, Any]:
    """Where ``tensor`` lies and what is there, as a binding takes it."""
    return {
        "device_type": tensor.device.type,
        "device_id": tensor.device.index or 0,
        "element_type": np.dtype(_name(tensor.dtype)).type,
        "shape": list(tensor.shape),
        "buffer_ptr": tensor.data_ptr(),
    }


def _torch_type(spec: TensorSpec) -> torch.dtype:
    return cast("torch.dtype", getattr(torch, spec.dtype))


def _name(dtype: torch.dtype) -> str:
    """As numpy names a type."""
    return str(dtype).removeprefix("torch.")
