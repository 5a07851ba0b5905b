"""Rows of the carry on a GPU, through CuPy, so that z_H and z_L never cross to the host between segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.act import Array, Indices


class DeviceArrays:
    """CuPy's arrays on one GPU.

    Args:
        device: CUDA's number of the GPU.

    Raises:
        RuntimeError: CuPy is not installed.
    """

    def __init__(self, device: int) -> None:
        try:
            import cupy
        except ImportError as error:
            raise RuntimeError(
                "on a GPU the orchestrator keeps the carry in CuPy arrays, and this environment has no cupy: "
                "pip install cupy-cuda13x, or run the solver with instance_group { kind: KIND_CPU }"
            ) from error
        self._cupy: Any = cupy
        self.device = device

    def take(self, array: Array, rows: Indices) -> Array:
        """These rows of ``array``."""
        with self._here():
            taken: Array = self._cupy.take(array, self._cupy.asarray(rows), axis=0)
            return taken

    def put(self, array: Array, rows: Indices, values: Array) -> Array:
        """``array`` on the device with ``values`` over these rows, in place where it lies there."""
        with self._here():
            target: Array = self._cupy.asarray(array)
            target[self._cupy.asarray(rows)] = self._cupy.asarray(values)
            return target

    def join(self, parts: Sequence[Array]) -> Array:
        """The rows of arrays on the host or the device, one after another on the device."""
        with self._here():
            joined: Array = self._cupy.concatenate([self._cupy.asarray(part) for part in parts])
            return joined

    def adopt(self, tensor: Any) -> Array:
        """What lies in a tensor of Triton's (or any other that speaks DLPack), not copied."""
        with self._here():
            adopted: Array = self._cupy.from_dlpack(tensor)
            return adopted

    def host(self, array: Array) -> Array:
        """A numpy array of the same values."""
        with self._here():
            return np.asarray(self._cupy.asnumpy(array))

    def settle(self) -> None:
        """Wait until what was begun is done: Triton reads tensors from streams of its own."""
        with self._here():
            self._cupy.cuda.get_current_stream().synchronize()

    def _here(self) -> Any:
        """CUDA's current device belongs to a thread, and several threads come by."""
        return self._cupy.cuda.Device(self.device)
