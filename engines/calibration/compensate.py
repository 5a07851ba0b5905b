"""NVFP4 weights rounded for what they are multiplied with on real trajectories, site by site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from engines.calibration.blocks import round_blocks
from engines.calibration.collect import run_segments, watching
from engines.calibration.gptq import compensated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from engines.calibration.collect import Hook
    from engines.solving import Progress
    from export.quantise.calibration import Calibration
    from hrm.network import HRM

_STRIDE = 8
"""One row in so many is looked at: neighbouring cells have much in common."""


def compensate(
    network: HRM,
    inputs: npt.NDArray[np.int32],
    puzzle_identifiers: npt.NDArray[np.int32],
    sites: Sequence[str],
    calibration: Calibration,
    *,
    batch: int = 128,
    progress: Progress | None = None,
) -> dict[str, npt.NDArray[np.float16]]:
    """The weights [out, in] of ``sites`` in NVFP4, each row's rounding errors made good by the channels after them.

    Args:
        network: in float32; stays as it is.
        inputs: token ids [N, S] of puzzles that nothing is judged by.
        puzzle_identifiers: [N].
        sites: what will compute in NVFP4.
        calibration: the maxima of every site.
        batch: puzzles at a time.
        progress: called after each batch.
    """
    linears = {site: network.get_submodule(site) for site in sites}
    moments = _Moments(calibration)
    with watching(linears, moments.hook):
        run_segments(network, inputs, puzzle_identifiers, batch, _whichever, progress)
    return {site: _rounded(linear, calibration, site, moments.sums[site]) for site, linear in linears.items()}


def _whichever(segment: int) -> None:
    """All segments count alike."""
    del segment


class _Moments:
    """The second moments of what each linear is given, rounded as the engine rounds it."""

    def __init__(self, calibration: Calibration) -> None:
        self.sums: dict[str, Tensor] = {}
        self._calibration = calibration

    def hook(self, site: str) -> Hook:
        """What adds up the moments of ``site``."""

        def add(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            rows = arguments[0].flatten(0, -2)[::_STRIDE].to(torch.float32)
            rows = round_blocks(rows, rows.new_tensor(self._calibration.sites[site].input))
            self.sums[site] = self.sums.get(site, 0) + (rows.t() @ rows).double()

        return add


def _rounded(linear: nn.Module, calibration: Calibration, site: str, moments: Tensor) -> npt.NDArray[np.float16]:
    weight = linear.get_parameter("weight").detach()
    rounded: npt.NDArray[np.float16] = compensated(weight, calibration.sites[site].weight, moments).half().numpy()
    return rounded
