"""Engines that give tensors, stepped with the carry resident on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import contiguous_format

from engines.stepper import EngineStepper
from engines.torch_arrays import TorchArrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engines.act import Array
    from engines.stepper import Runs
    from export.contract import Module
    from hrm.config import HRMConfig


class ResidentStepper(EngineStepper):
    """Engines of one device with the carry in tensors there; satisfies ``engines.act.Stepper``.

    Args:
        engines: by module; they take arrays or tensors, and give tensors on their device.
        carry: initial ``z_H`` and ``z_L`` [D] on that device, in the type of the engines' inputs.
        config: sizes and cycles.
        puzzle_table: [identifiers, E], where the encoder takes its row instead of the identifier.
    """

    def __init__(
        self,
        engines: Mapping[Module, Runs],
        carry: tuple[Tensor, Tensor],
        config: HRMConfig,
        puzzle_table: Array | None = None,
    ) -> None:
        arrays = TorchArrays(carry[0].device)
        super().__init__(engines, cast("tuple[Array, Array]", carry), config, puzzle_table, arrays)
        self._shape = (config.tokens, config.hidden_size)
        self._initial = carry

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        """``z_H`` and ``z_L`` [B, T, D] before the first segment."""
        # Contiguous, as all that follow are: to a compiler other strides would be another shape. And a copy of its own
        # whatever the shape, since rows of the carry are written to.
        states = (state.expand(batch, *self._shape) for state in self._initial)
        z_H, z_L = (state.clone(memory_format=contiguous_format) for state in states)
        return cast("Array", z_H), cast("Array", z_L)
