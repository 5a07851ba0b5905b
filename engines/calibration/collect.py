"""Calibration on real trajectories: what the linears meet in every cycle of every segment of real puzzles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from export.quantise.calibration import SiteAmax
from export.quantise.sites import sites
from hrm.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from engines.solving import Progress
    from export.quantise.calibration import Method
    from export.quantise.sites import Quantisable
    from hrm.network import HRM


Hook = Callable[["nn.Module", tuple[Any, ...]], None]
"""Called with a linear and what it is given."""


@dataclass(frozen=True)
class Measured:
    """What calibration found, by the names of the linears."""

    sites: dict[str, SiteAmax]
    segments: dict[str, tuple[float, ...]]
    """The largest input of each site in each segment, from the first, whatever the method."""
    versions: dict[str, str]
    """Of the libraries that the numbers depend on."""


def calibrate(
    network: HRM,
    inputs: npt.NDArray[np.int32],
    puzzle_identifiers: npt.NDArray[np.int32],
    *,
    modules: tuple[Quantisable, ...] = ("executor",),
    method: Method = "max",
    batch: int = 128,
    progress: Progress | None = None,
) -> Measured:
    """Run every puzzle through all its segments, from the initial carry, and note what the linears are given.

    Args:
        network: stays as it is; a copy is calibrated.
        inputs: token ids [N, S].
        puzzle_identifiers: [N].
        modules: whose linears are calibrated; the heads never are.
        method: how a maximum is chosen.
        batch: puzzles at a time.
        progress: called after each batch.

    Raises:
        CalibrationError: a weight or a hidden state is NaN or infinite.
        MissingError: ModelOpt is not installed.
    """
    from engines.calibration import modelopt

    names = tuple(site for module in modules for site in sites(network.config, module))
    model = _copy(network)
    linears = {name: model.get_submodule(name) for name in names}
    _check_weights(linears)
    maxima = _Maxima(names, network.config.halt_max_steps)

    def forward(model: HRM) -> None:
        with watching(linears, maxima.hook):
            run_segments(model, inputs, puzzle_identifiers, batch, maxima.begin, progress)

    modelopt.calibrate(model, names, method, forward)
    calibrated = {name: modelopt.amax(linear) for name, linear in linears.items()}
    return Measured(
        sites={name: SiteAmax(input=largest, weight=weight) for name, (largest, weight) in calibrated.items()},
        segments={name: tuple(values) for name, values in maxima.values.items()},
        versions=modelopt.versions(),
    )


class _Maxima:
    """The largest magnitude of each site's input by segment."""

    def __init__(self, names: tuple[str, ...], segments: int) -> None:
        self.values = {name: [0.0] * segments for name in names}
        self.segment = 0

    def begin(self, segment: int) -> None:
        """What comes belongs to ``segment``, from 0."""
        self.segment = segment

    def hook(self, name: str) -> Hook:
        """What keeps the largest input of the linear ``name``."""

        def look(_: nn.Module, arguments: tuple[Any, ...]) -> None:
            largest = _largest(arguments[0])
            if not math.isfinite(largest):
                raise _spoilt(name, f"its input holds {largest} in segment {self.segment + 1}")
            values = self.values[name]
            values[self.segment] = max(values[self.segment], largest)

        return look


@contextmanager
def watching(linears: Mapping[str, nn.Module], hook: Callable[[str], Hook]) -> Iterator[None]:
    """See what ``linears`` are given, each by the hook of its name, before quantisers do."""
    hooks = [linear.register_forward_pre_hook(hook(name)) for name, linear in linears.items()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


@torch.no_grad()
def run_segments(
    model: HRM,
    inputs: npt.NDArray[np.int32],
    puzzle_identifiers: npt.NDArray[np.int32],
    batch: int,
    begin: Callable[[int], None],
    progress: Progress | None,
) -> None:
    """Run every puzzle through all its segments; ``begin`` is told of each, from 0."""
    device = model.H_init.device
    for start in range(0, len(inputs), batch):
        rows = slice(start, min(start + batch, len(inputs)))
        tokens, identifiers = (torch.from_numpy(array[rows]).to(device) for array in (inputs, puzzle_identifiers))
        embeddings, carry = model.encode(tokens, identifiers), model.initial_carry(len(tokens))
        for segment in range(model.config.halt_max_steps):
            begin(segment)
            carry, _ = model.segment(carry, embeddings)
        if progress is not None:
            progress(rows.stop, len(inputs))


def _copy(network: HRM) -> HRM:
    """A copy to put quantisers into; it shares the puzzle table, which may take gigabytes."""
    return copy.deepcopy(network, {id(network.puzzle_emb): network.puzzle_emb})


def _check_weights(linears: dict[str, nn.Module]) -> None:
    for name, linear in linears.items():
        largest = _largest(linear.get_parameter("weight"))
        if not math.isfinite(largest):
            raise _spoilt(name, f"its weights hold {largest}")


def _largest(values: Tensor) -> float:
    """The largest magnitude; NaN where there is a NaN."""
    return float(values.detach().abs().amax())


def _spoilt(name: str, why: str) -> CalibrationError:
    return CalibrationError(
        f"{name} cannot be calibrated",
        why=f"{why}, and no scale can be made from that",
        hint="check the checkpoint with `hrm-trt evaluate`: such a network solves nothing",
    )
