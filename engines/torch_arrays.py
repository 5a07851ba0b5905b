"""Rows of the carry in PyTorch's tensors, so that z_H and z_L stay on the device between segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.act import Array, Indices


class TorchArrays:
    """Tensors on one device; satisfies ``engines.act.Arrays``. On a CPU, tensors and numpy arrays share memory.

    Args:
        device: where rows that stay lie, like ``cpu`` or ``cuda:0``.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def take(self, array: Array, rows: Indices) -> Array:
        """These rows of ``array``."""
        return cast("Array", self.tensor(array).index_select(0, self.tensor(cast("Array", rows))))

    def put(self, array: Array, rows: Indices, values: Array) -> Array:
        """``array`` with ``values`` over these rows, in place where it lies on the device."""
        target = self.tensor(array)
        return cast("Array", target.index_copy_(0, self.tensor(cast("Array", rows)), self.tensor(values)))

    def join(self, parts: Sequence[Array]) -> Array:
        """The rows of arrays on the host or the device, one after another on the device; one alone is not copied."""
        tensors = [self.tensor(part) for part in parts]
        return cast("Array", tensors[0] if len(tensors) == 1 else torch.cat(tensors))

    def host(self, array: Array) -> Array:
        """A numpy array of the same values; bfloat16, which numpy has not, becomes float32."""
        if not isinstance(array, Tensor):
            return array
        values = array.detach().cpu()
        return cast("Array", (values.float() if values.dtype is torch.bfloat16 else values).numpy())

    def tensor(self, array: Array | Tensor) -> Tensor:
        """``array`` as a tensor on the device; not copied where it lies there."""
        return torch.as_tensor(array, device=self.device)
