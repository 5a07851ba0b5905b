"""The demo as `nvfp4.py` measures it: puzzles of three splits, a network that rounds, and float32's answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from fp8_check import Answers, answer, compare
from low_precision import Amax, Nvfp4Linear, measure_amax, replaced
from results import DEVICE

from benchmarks.nvfp4_methods import Method, inputs_of, mean_error, weight_of
from export.quantise.sites import sites
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import PuzzleSet, read_split
from hrm.network import HRM
from validation.statistics import tango_interval

if TYPE_CHECKING:
    from torch import Tensor

CHECKPOINT = Path("checkpoints/sudoku-6x6")
ON_GPU = DEVICE.type == "cuda"
WIDTH = torch.float16 if ON_GPU else torch.float32
"""What everything that is not rounded computes in."""
BATCH = 5000 if ON_GPU else 250
LIMITS = (
    {"test": None, "calibration": None, "search": None} if ON_GPU else {"test": 1000, "calibration": 250, "search": 250}
)
"""Puzzles of each split; a CPU core solves about twenty in a second."""


@dataclass
class Bench:
    """The demo, its puzzles, and what float32 makes of them."""

    float32: HRM
    test: PuzzleSet
    calibration: PuzzleSet
    search: PuzzleSet
    sites: tuple[str, ...]
    rehearse: bool

    @cached_property
    def base(self) -> Answers:
        """float32's answers to the test puzzles."""
        return solve(self.float32, self.test)

    @cached_property
    def drifted(self) -> Answers:
        """float32's answers to the calibration puzzles."""
        return solve(self.float32, self.calibration)

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """Rows that the checkpoint's executor is given."""
        return self.inputs_of(self.float32)

    @cached_property
    def _rounding(self) -> HRM:
        """A network for all methods, so that it is compiled once."""
        narrow = HRM(self.float32.config, WIDTH).to(DEVICE).eval()
        linears = {site: Nvfp4Linear(weight_of(narrow, site), Amax(1.0, 1.0)) for site in self.sites}
        return quick(replaced(narrow, linears))

    def inputs_of(self, model: HRM) -> dict[str, Tensor]:
        """Rows that the executor's linears are given on calibration puzzles."""
        few = cut(self.calibration, slice(0, 256 if ON_GPU else 32))
        return inputs_of(model, self.sites, lambda: solve(model, few), every=8)

    def method(self, model: HRM) -> Method:
        """``model`` with the scales of its largest magnitudes."""
        return Method(model, measure_amax(model, self.sites, lambda: solve(model, self.calibration)))

    def rounded(self, method: Method) -> HRM:
        """The network that rounds; the next call changes it."""
        tensors = {name: tensor.to(WIDTH) for name, tensor in method.network.state_dict().items()}
        for site in self.sites:
            linear = method.linear(tensors[f"{site}.weight"], method.amax[site])
            tensors |= {f"{site}.{name}": tensor for name, tensor in linear.state_dict().items()}
        self._rounding.load_state_dict(tensors)
        return self._rounding

    def look(self, method: Method) -> dict[str, Any]:
        """What the calibration split says: how far answers drift, and the mean error of the products."""
        meant = method.meant or method.network
        inputs = self.inputs if meant is self.float32 else self.inputs_of(meant)
        drifted = drift(solve(self.rounded(method), self.calibration), self.drifted)
        return {"drift": drifted, "product_error": mean_error(method, inputs)}

    def row(self, model: HRM) -> dict[str, Any]:
        """The test puzzles against float32."""
        found = compare(solve(model, self.test), self.base)
        lost, won, count = found["lost"], found["won"], found["count"]
        return {
            **{name: found[name] for name in ("exact_accuracy", "count", "lost", "won")},
            "loss_points": 100 * (lost - won) / count,
            "upper_bound_points": 100 * tango_interval(lost, won, count).upper,
        }

    def fit(self, model: HRM) -> dict[str, float]:
        """How well puzzles of the search and calibration splits are solved: what chooses."""
        answers = [(solve(model, puzzles), puzzles) for puzzles in (self.search, self.calibration)]
        return {
            "loss": float(np.mean([last_loss(found, puzzles) for found, puzzles in answers])),
            "solved": float(np.mean([found.solved.float().mean().item() for found, _ in answers])),
        }


def prepare(*, rehearse: bool) -> Bench:
    """Read the demo and its puzzles."""
    dataset = CHECKPOINT / "dataset"
    limits = dict.fromkeys(LIMITS, 8) if rehearse else LIMITS
    splits = (read_split(dataset, split, limit) for split, limit in limits.items())
    model = network(load(locate(CHECKPOINT))).to(DEVICE)
    return Bench(model, *splits, sites(model.config, "executor"), rehearse)


def quick(model: HRM) -> HRM:
    """``model`` compiled on a CPU, whose eager rounding takes thrice as long."""
    if not ON_GPU:
        for level in (model.L_level, model.H_level):
            level.compile(dynamic=False)
    return model


def solve(model: HRM, puzzles: PuzzleSet) -> Answers:
    """Every puzzle through every segment."""
    parts = [answer(model, cut(puzzles, slice(start, start + BATCH))) for start in range(0, len(puzzles.inputs), BATCH)]
    return Answers(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.solved for part in parts]),
        torch.cat([part.logits for part in parts], dim=1),
    )


def cut(puzzles: PuzzleSet, rows: slice) -> PuzzleSet:
    arrays = {name: value[rows] for name, value in vars(puzzles).items() if isinstance(value, np.ndarray)}
    return replace(puzzles, **arrays)


def drift(found: Answers, base: Answers) -> float:
    """How far cells' probabilities are from float32's (total variation), mean over cells, segments and puzzles."""
    return ((found.logits.softmax(-1) - base.logits.softmax(-1)).abs().sum(-1) / 2).mean().item()


def last_loss(found: Answers, puzzles: PuzzleSet) -> float:
    labels = torch.from_numpy(puzzles.labels).long().to(DEVICE)
    return F.cross_entropy(found.logits[-1].flatten(0, 1), labels.flatten()).item()
