"""What a benchmark's document says of a replica: its steps, its depths, and what a depth limit costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrm.errors import UsageError
from hrm_trt.capacity.simulate import Replica, Traffic, draw, simulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engines.act import PolicyName
    from hrm_trt.bench.document import BenchDocument, Row
    from hrm_trt.capacity.simulate import Counts

_IDENTITY = {"runtime", "target", "precision", "topology", "model"}
"""A row's fields that say which engines ran, as far as it has them."""
_ROUNDING = 1e-9
"""Shares that differ by less are equal."""


@dataclass(frozen=True)
class Limited:
    """A row's puzzles, none of which may take more than so many segments."""

    limit: int
    depths: Mapping[int, int]
    """Puzzles by the segments that they take now."""
    unfinished: float
    """Share that would have gone on; all of them are counted as wrong."""
    exact: float
    """Share of right answers at the least: as if every unfinished puzzle had been right before."""


def rows_of(document: BenchDocument, policy: PolicyName) -> tuple[Row, ...]:
    """The rows that were measured under ``policy``.

    Raises:
        UsageError: there is none.
    """
    rows = tuple(row for row in document.rows if row.policy == policy)
    if rows:
        return rows
    known = ", ".join(dict.fromkeys(row.policy for row in document.rows))
    raise UsageError(
        f"the benchmark has no row of the policy {policy}",
        why=f"it has: {known}" if known else "it has no rows at all",
        hint=f"pass --policy {document.rows[0].policy}" if known else "run `hrm-trt bench` to its end",
    )


def name_of(row: Row) -> str:
    """What was measured, in words."""
    return f"{' '.join(identity(row).values())}, batch {row.batch}"


def identity(row: Row) -> dict[str, str]:
    """Which engines were measured."""
    return row.model_dump(include=_IDENTITY, exclude_none=True)


def nonsense(row: Row) -> str | None:
    """Why nothing can be planned from ``row``; None where it can."""
    counts = row.depths
    if row.batch < 1 or row.segment_seconds.median <= 0 or row.puzzles_per_second.median <= 0:
        return "its batch or its times are not above zero"
    if not counts or min(counts) < 1 or min(counts.values()) < 0 or not any(counts.values()):
        return "its depths are not those of puzzles"
    return None


def step_seconds(measured: Mapping[int, float], slots: int) -> tuple[float, ...]:
    """Seconds of a step with 1, 2, … ``slots`` rows: on straight lines between what was measured.

    Fewer rows than the fewest that were measured take as long as these.

    Args:
        measured: seconds by rows.
        slots: rows at most.

    Raises:
        ValueError: so many rows were never measured together.
    """
    known = sorted(measured)
    if slots > known[-1]:
        raise ValueError(f"a step of {slots} rows was never measured: {known[-1]} at most")
    return tuple(np.interp(np.arange(1, slots + 1), known, [measured[rows] for rows in known]).tolist())


def replica_of(row: Row, rows: Iterable[Row]) -> Replica:
    """A replica with as many slots as ``row`` had; ``rows`` may say how long steps of fewer rows take."""
    alike = [one for one in rows if (identity(one), one.policy) == (identity(row), row.policy)]
    measured: dict[int, float] = {}
    for one in alike:
        measured[one.batch] = max(one.segment_seconds.median, measured.get(one.batch, 0.0))
    steps = step_seconds(measured, row.batch)
    depths = draw(row.depths, sum(row.depths.values()))
    lone = next((1 / one.puzzles_per_second.median for one in alike if one.batch == 1), None)
    return calibrated(steps, depths, len(depths) / row.puzzles_per_second.median, lone)


def calibrated(steps: tuple[float, ...], depths: Counts, seconds: float, lone: float | None = None) -> Replica:
    """A replica whose puzzles take, beside their steps, what measured runs leave for that.

    Runs with one slot and with all of them tell what a puzzle adds to a step from what any number of them adds: alone
    it pays for both, N in A steps pay for N and for A.

    Args:
        steps: seconds of a step with 1, 2, … rows.
        depths: of the puzzles of a run, [N].
        seconds: what that took; all puzzles had come before it began.
        lone: seconds a puzzle in a run with one slot; None where that was not measured.
    """
    alone = simulate(Replica(steps), Traffic(np.zeros(len(depths)), depths))
    puzzles, admissions = len(depths), len(np.unique(alone.admitted))
    left = max(0.0, seconds - alone.seconds)
    if lone is None or puzzles == admissions:
        return Replica(steps, left / puzzles)
    both = max(0.0, lone - float(depths.mean()) * steps[0])
    admission = min(left / admissions, max(0.0, (both * puzzles - left) / (puzzles - admissions)))
    return Replica(steps, max(0.0, left - admission * admissions) / puzzles, admission)


def limit_for(row: Row, exact: float | None) -> Limited | None:
    """The lowest depth limit that leaves the share ``exact`` of right answers; None where there is none.

    Without ``exact`` nothing is given up: the limit is the deepest that was measured.
    """
    depths = sorted(depth for depth, count in row.depths.items() if count)
    if exact is None:
        return limited(row, depths[-1])
    fitting = (limited(row, depth) for depth in depths)
    return next((one for one in fitting if one.exact >= exact - _ROUNDING), None)


def limited(row: Row, limit: int) -> Limited:
    """The puzzles of ``row`` under a depth limit."""
    depths: Counter[int] = Counter()
    for depth, count in row.depths.items():
        depths[min(depth, limit)] += count
    deeper = sum(count for depth, count in row.depths.items() if depth > limit) / sum(row.depths.values())
    return Limited(limit, depths, deeper, max(0.0, row.exact - deeper))


def depth_at(depths: Mapping[int, int], share: float) -> int:
    """The least depth that more than this share of puzzles do not exceed."""
    kinds: Sequence[int] = sorted(depths)
    counts = np.cumsum([depths[kind] for kind in kinds])
    return kinds[int(np.searchsorted(counts, share * counts[-1] * (1 + _ROUNDING)))]
