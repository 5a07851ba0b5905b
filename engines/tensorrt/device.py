"""GPU memory and one stream, through NVIDIA's own bindings: no PyTorch."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from hrm.errors import EngineError, missing_package

if TYPE_CHECKING:
    from engines.protocol import Array


class Device:
    """One buffer for each tensor, kept from call to call and replaced when a tensor grows.

    Raises:
        EngineError: CUDA refuses.
        MissingError: cuda-bindings is not installed.
    """

    def __init__(self) -> None:
        self._cuda = _bindings()
        self._buffers: dict[str, tuple[int, int]] = {}
        self.stream: int = int(self._call(self._cuda.cudaStreamCreate()))
        weakref.finalize(self, _release, self._cuda, self._buffers, self.stream)

    def buffer(self, name: str, size: int) -> int:
        """The address of at least ``size`` bytes for the tensor ``name``."""
        address, room = self._buffers.get(name, (0, 0))
        if room < size or not address:
            if address:
                del self._buffers[name]
                self._call(self._cuda.cudaFree(address))
            address = int(self._call(self._cuda.cudaMalloc(max(size, 1))))
            self._buffers[name] = address, size
        return address

    def upload(self, name: str, array: Array) -> int:
        """Copy a contiguous ``array`` to the tensor's buffer; returns its address."""
        address = self.buffer(name, array.nbytes)
        self._copy(address, array.ctypes.data, array.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice)
        return address

    def download(self, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        """A copy of what is in the tensor's buffer; complete only after ``wait``."""
        array = np.empty(shape, dtype)
        address = self.buffer(name, array.nbytes)
        self._copy(array.ctypes.data, address, array.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost)
        return array

    def wait(self) -> None:
        """Until all that was asked for is done."""
        self._call(self._cuda.cudaStreamSynchronize(self.stream))

    def _copy(self, to: int, source: int, size: int, kind: Any) -> None:
        self._call(self._cuda.cudaMemcpyAsync(to, source, size, kind, self.stream))

    def _call(self, answer: tuple[Any, ...]) -> Any:
        error, *values = answer
        if error != self._cuda.cudaError_t.cudaSuccess:
            _, words = self._cuda.cudaGetErrorString(error)
            raise EngineError(
                "the GPU failed",
                why=f"CUDA says {error.name}: {words.decode()}",
                hint="`nvidia-smi` shows the GPU's memory and state; smaller batches need less",
            )
        return values[0] if values else None


def _bindings() -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise missing_package("cuda-bindings", "tensorrt", "running engines on a GPU") from error
    return runtime


def _release(cuda: Any, buffers: dict[str, tuple[int, int]], stream: int) -> None:
    for address, _ in buffers.values():
        cuda.cudaFree(address)
    cuda.cudaStreamDestroy(stream)
