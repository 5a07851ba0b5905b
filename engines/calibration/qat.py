"""Quantisation-aware fine-tuning: the trainer's own steps, with linears that round to NVFP4 as the engines will.

What comes out is an ordinary float network: its weights have learnt to be rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)
from torch import nn

from engines.calibration.blocks import StraightThrough
from hrm.network import HRM
from hrm.training.learner import Learner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from hrm.training.backend import Backend
    from hrm.training.batches import BatchStream
    from hrm.training.learner import StepResult
    from hrm.training.recipe import TrainRecipe


class RoundedLinear(nn.Linear):
    """A linear that rounds both operands to NVFP4, and passes gradients on as if it did not."""

    def __init__(self, linear: nn.Linear, input_amax: float) -> None:
        """Round ``linear``, whose weight is shared; the weight's own maximum is taken at every call."""
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight = linear.weight
        self.input_amax = torch.tensor(input_amax, device=linear.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        return F.linear(_rounded(x, self.input_amax), _rounded(self.weight, self.weight.detach().abs().amax()))


class FineTuning:
    """A trained network, trained on with some of its linears rounding."""

    def __init__(self, network: HRM, recipe: TrainRecipe, backend: Backend, amax: Mapping[str, float]) -> None:
        """Start from ``network``, which stays as it is.

        Args:
            network: trained, in float32.
            recipe: of the fine-tuning; its ``arch`` is taken from the network, but for the losses and halting.
            backend: where it runs.
            amax: the calibrated largest input of each linear that is to round, by name; none trains on as it was.
        """
        self._recipe, self._device = recipe, backend.device
        self._learner = Learner(recipe, network.config, backend, recipe.steps or 0)
        self._learner.network.load_state_dict(network.state_dict())
        for name, value in amax.items():
            linear = cast("nn.Linear", self._learner.network.get_submodule(name))
            self._learner.network.set_submodule(name, RoundedLinear(linear, value))

    def steps(self, batches: BatchStream) -> Iterator[StepResult]:
        """Take the recipe's steps, one by one."""
        for number in range(1, (self._recipe.steps or 0) + 1):
            yield self._learner.step(batches.next(self._device), number)

    @property
    def network(self) -> HRM:
        """What has been learnt, as an ordinary network; the average, where the recipe asks for one."""
        kept = self._learner.kept
        plain = HRM(kept.config).to(self._device)
        plain.load_state_dict(kept.state_dict())
        return plain.eval()


def _rounded(values: Tensor, amax: Tensor) -> Tensor:
    rounded: Tensor = StraightThrough.apply(values, amax)  # type: ignore[no-untyped-call]
    return rounded
