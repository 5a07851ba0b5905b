"""How much low precision a checkpoint bears: the work in each linear, and the record of what was tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from export.quantise.sites import Assignment, SitePrecision, sites
from hrm.documents import Document

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from hrm.config import HRMConfig

COST: dict[SitePrecision, float] = {"fp16": 1.0, "fp8": 0.5, "nvfp4": 0.25}
"""What one unit of GEMM work costs in each precision, by its bits."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one assignment made of the search's puzzles."""

    solved: npt.NDArray[np.bool_]
    """[N]"""
    drift: float
    """Mean total-variation distance from the baseline's answers over puzzles, segments and cells."""
    finite: bool
    """Neither NaN nor infinity came up."""


Measure = Callable[[Assignment], Outcome]


class SiteDamage(Document):
    """What one linear in low precision does while all others stay as they are."""

    site: str
    precision: SitePrecision
    work: float
    """Its share of the GEMM work."""
    lost: int
    won: int
    loss: float
    """Exact accuracy lost, as a share of the puzzles."""
    drift: float
    finite: bool


class Attempt(Document):
    """One assignment that was measured."""

    assignment: dict[str, SitePrecision]
    work: dict[SitePrecision, float]
    """Share of the GEMM work in each low precision."""
    exact: float
    lost: int
    """Puzzles that only the baseline solves."""
    won: int
    """Puzzles that only this assignment solves."""
    loss: float
    drift: float
    finite: bool
    accepted: bool
    why: str
    """Why it was tried."""

    @property
    def cost(self) -> float:
        """GEMM work by its bits; 1 where everything is in FP16."""
        return 1.0 - sum(share * (1.0 - COST[precision]) for precision, share in self.work.items())


class SearchRecord(Document):
    """What was tried to find the most low precision that keeps the accuracy, and what was chosen."""

    format_version: Literal[1] = 1
    formats: tuple[SitePrecision, ...]
    """The low precisions that there were, the narrowest first."""
    baseline_exact: float
    n: int
    tolerance: float
    """The loss that the gate allows; an attempt may lose half of it."""
    rule: str
    """By what attempts were accepted, for people."""
    alone: tuple[SiteDamage, ...]
    attempts: tuple[Attempt, ...]
    """In the order in which they were tried; the first is the baseline."""
    chosen: dict[str, SitePrecision]

    @property
    def best(self) -> Attempt:
        """The attempt that was chosen."""
        return next(attempt for attempt in self.attempts if attempt.assignment == self.chosen)


def work(config: HRMConfig) -> dict[str, float]:
    """Each linear's share of the multiplications of one segment, the heads' among them, attention's own not."""
    macs: dict[str, int] = {}
    for module, calls in (("executor", config.H_cycles * config.L_cycles), ("planner", config.H_cycles)):
        for site in sites(config, module):  # type: ignore[arg-type]
            macs[site] = calls * config.tokens * _parameters(config, site)
    heads = config.hidden_size * (config.seq_len * config.vocab_size + 2)
    total = sum(macs.values()) + heads
    return {site: count / total for site, count in macs.items()}


def _parameters(config: HRMConfig, site: str) -> int:
    hidden, width = config.hidden_size, config.mlp_width
    columns = {"qkv_proj": 3 * hidden, "o_proj": hidden, "gate_up_proj": 2 * width, "down_proj": width}
    return hidden * columns[site.rpartition(".")[2]]
