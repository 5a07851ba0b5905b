"""Engines that Triton serves beside the orchestrator, called through its Business Logic Scripting (BLS).

The version is part of every call: unpinned, one puzzle could meet two versions while a new one is rolled out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engines.act import Array
    from triton_models.solver.arrays import DeviceArrays
    from triton_models.solver.settings import Settings

_HEADS = ("logits", "q_halt", "q_continue")
OUTPUTS = {
    "encoder": ("input_embeddings",),
    "executor": ("z_L_out",),
    "planner": ("z_H_out", *_HEADS),
    "segment": ("z_H_out", "z_L_out", *_HEADS),
}
SCALARS = ("puzzle_identifiers", "q_halt", "q_continue")
"""[B] to the engines and [B, 1] to Triton, which has no tensor without axes."""


class Named(NamedTuple):
    """An input of which the name is all that is asked."""

    name: str


class BlsEngine:
    """One module's model, as the engines' protocol has it.

    Args:
        module: which of the four.
        settings: names, version and batch sizes.
        device: where tensors stay; None for the host.
    """

    def __init__(self, module: str, settings: Settings, device: DeviceArrays | None = None) -> None:
        self._model = settings.models[module]
        self._version = settings.version
        self._outputs = OUTPUTS[module]
        self._batches = settings.graph_batches
        self._device = device
        names = ("inputs", settings.puzzle_input) if module == "encoder" else ()
        self.inputs = tuple(Named(name) for name in names if name)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            RuntimeError: Triton could not run the model.
        """
        rows = len(next(iter(feeds.values())))
        padding = next((size for size in self._batches if size >= rows), rows) - rows
        tensors = [self._tensor(name, array, padding) for name, array in feeds.items()]
        if self._device is not None:
            self._device.settle()
        response = pb_utils.InferenceRequest(
            model_name=self._model,
            model_version=self._version,
            requested_output_names=list(self._outputs),
            inputs=tensors,
            **self._memory(),
        ).exec()
        if response.has_error():
            raise RuntimeError(f"{self._model} version {self._version}: {response.error().message()}")
        return {
            name: self._array(name, pb_utils.get_output_tensor_by_name(response, name))[:rows] for name in self._outputs
        }

    def _memory(self) -> dict[str, Any]:
        """Where outputs should lie."""
        if self._device is None:
            return {}
        kind = pb_utils.TRITONSERVER_MEMORY_GPU
        return {"preferred_memory": pb_utils.PreferredMemory(kind, self._device.device)}

    def _tensor(self, name: str, array: Array, padding: int) -> Any:
        if name in SCALARS:
            array = array[:, None]
        if padding:
            array = self._join([array, array[:1].repeat(padding, axis=0)])
        if isinstance(array, np.ndarray):
            return pb_utils.Tensor(name, array)
        return pb_utils.Tensor.from_dlpack(name, array)

    def _join(self, parts: list[Array]) -> Array:
        return np.concatenate(parts) if self._device is None else self._device.join(parts)

    def _array(self, name: str, tensor: Any) -> Array:
        array = tensor.as_numpy() if tensor.is_cpu() else self._on_device(tensor)
        return array[:, 0] if name in SCALARS else array

    def _on_device(self, tensor: Any) -> Array:
        if self._device is None:
            raise RuntimeError(f"{self._model} answers on a GPU, and the orchestrator runs on a CPU")
        return self._device.adopt(tensor)
