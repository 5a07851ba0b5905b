"""What a gate asks for, what was counted, and what it says: the documents that a verdict is made of."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from hrm.documents import Document

Unit = Literal["points", "relative"]
Decision = Literal["pass", "fail", "inconclusive"]


class GateOptions(Document):
    """What the gate asks for. Fixed before any answer is looked at."""

    tolerance: float = Field(default=0.01, gt=0, lt=1)
    """How much exact accuracy may be lost, as a fraction."""
    unit: Unit = "points"
    """``points``: of all puzzles. ``relative``: of those that the baseline solves."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of each bound, one-sided."""
    min_puzzles: int = Field(default=300, ge=1)
    """Different puzzles below which nothing passes."""
    min_solved: int = Field(default=100, ge=1)
    """Different puzzles that the baseline must solve for anything to pass."""


class Comparison(Document):
    """Two models over the same puzzles, counted. All shares are fractions of the puzzles."""

    n: int
    clusters: int
    """Different puzzles: the augmented copies of one count once."""
    design_effect: float
    baseline_exact: float
    engine_exact: float
    lost: tuple[int, ...]
    """Indices of the puzzles that only the baseline solves."""
    won: tuple[int, ...]
    """Indices of the puzzles that only the engine solves."""
    lower_bound: float
    """Of the loss of exact accuracy, one-sided."""
    upper_bound: float
    mcnemar_p: float
    tolerance: float
    """In points, whatever the unit it was given in."""
    unit: Unit
    confidence: float

    @property
    def flips_lost(self) -> int:
        """Puzzles that only the baseline solves."""
        return len(self.lost)

    @property
    def flips_won(self) -> int:
        """Puzzles that only the engine solves."""
        return len(self.won)

    @property
    def loss(self) -> float:
        """Exact accuracy lost, as a share of all puzzles; negative where the engine is better."""
        return (self.flips_lost - self.flips_won) / self.n

    def relative(self, share: float) -> float:
        """A share of all puzzles as a share of those that the baseline solves; NaN where it solves none."""
        return share / self.baseline_exact if self.baseline_exact else math.nan


class Verdict(Comparison):
    """What the gate says of one bundle under one policy."""

    verdict: Decision
    reason: str
    """A sentence for people."""
    puzzles_needed: int | None = None
    """About how many would decide, where these did not and more can."""


def points(share: float) -> str:
    """A difference of two shares, for people: 0.01 is 1.00 points."""
    return f"{100 * share:.2f} points"
