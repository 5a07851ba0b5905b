"""In-flight batching without an engine: when puzzles take slots and leave them, by the rules of ``engines.slots``.

All slots that are taken are stepped together. Between two steps puzzles that have come take the free slots, in the
order they came; each leaves after as many steps as it needs. N puzzles, C calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Replica:
    """One engine with its slots."""

    step_seconds: tuple[float, ...]
    """Of a step with 1, 2, … rows; as many as there are slots."""
    puzzle_seconds: float = 0.0
    """What each puzzle adds to the step with which it begins: its embedding and its answer."""
    admission_seconds: float = 0.0
    """What a step adds with which puzzles begin, however many: the encoder's call, and places made for them."""

    def __post_init__(self) -> None:
        if not self.step_seconds or min(self.step_seconds) <= 0:
            raise ValueError("a step takes time")

    @property
    def slots(self) -> int:
        """Puzzles that run at once."""
        return len(self.step_seconds)

    def alone(self, depth: float) -> float:
        """Seconds from arrival to answer of a puzzle that meets nobody."""
        return depth * self.step_seconds[0] + self.puzzle_seconds + self.admission_seconds

    def throughput(self, mean_depth: float) -> float:
        """Puzzles per second with all slots always taken."""
        beginning = self.slots / mean_depth  # puzzles with each step, on average
        step = self.step_seconds[-1] + min(1.0, beginning) * self.admission_seconds
        return beginning / (step + beginning * self.puzzle_seconds)


@dataclass(frozen=True, eq=False)
class Traffic:
    """Puzzles as they come."""

    arrivals: Floats
    """[N], seconds, none before the one in front of it"""
    depths: Counts
    """[N], steps that each needs"""

    def __post_init__(self) -> None:
        if len(self.arrivals) != len(self.depths):
            raise ValueError(f"{len(self.arrivals)} arrivals and {len(self.depths)} depths")
        if (np.diff(self.arrivals) < 0).any():
            raise ValueError("arrivals are not in order")
        if (self.depths < 1).any():
            raise ValueError("every puzzle takes a step")

    def faster(self, times: float) -> Traffic:
        """The same puzzles in the same order, so many times as fast."""
        return Traffic(self.arrivals / times, self.depths)


@dataclass(frozen=True, eq=False)
class Simulated:
    """What became of the traffic."""

    waiting: Floats
    """[N], seconds from arrival to a slot"""
    latency: Floats
    """[N], seconds from arrival to answer"""
    admitted: Counts
    """[N], the call that was each puzzle's first, from 0"""
    rows: Counts
    """[C]"""
    busy_seconds: float
    seconds: float
    """From the first arrival to the last answer."""

    @property
    def busy(self) -> float:
        """Share of the time in which the engine runs, with however few rows."""
        return min(1.0, self.busy_seconds / self.seconds)  # sums of many parts, rounded


def simulate(replica: Replica, traffic: Traffic) -> Simulated:
    """Take every puzzle through the slots of one replica."""
    arrivals, depths = traffic.arrivals.tolist(), traffic.depths.tolist()
    took, left, admitted = [0.0] * len(arrivals), [0.0] * len(arrivals), [0] * len(arrivals)
    leaving: list[tuple[int, int]] = []  # a heap: the last call of every puzzle that runs
    rows: list[int] = []
    now = busy = 0.0
    front = running = 0
    while front < len(arrivals) or running:
        if not running and arrivals[front] > now:
            now = arrivals[front]
        before = front
        while front < len(arrivals) and running < replica.slots and arrivals[front] <= now:
            took[front], admitted[front] = now, len(rows)
            heappush(leaving, (len(rows) + depths[front] - 1, front))
            running += 1
            front += 1
        step = replica.step_seconds[running - 1]
        seconds = step + (front - before) * replica.puzzle_seconds
        if front > before:
            seconds += replica.admission_seconds
        further = leaving[0][0] - len(rows)  # steps of the same rows, until one leaves or one can join
        if running < replica.slots and front < len(arrivals):
            further = min(further, max(0, math.ceil((arrivals[front] - now - seconds) / step)))
        seconds += further * step
        now += seconds
        busy += seconds
        rows += [running] * (1 + further)
        while leaving and leaving[0][0] < len(rows):
            left[heappop(leaving)[1]] = now
            running -= 1
    return Simulated(
        waiting=np.array(took) - traffic.arrivals,
        latency=np.array(left) - traffic.arrivals,
        admitted=np.array(admitted, dtype=np.int64),
        rows=np.array(rows, dtype=np.int64),
        busy_seconds=busy,
        seconds=now - arrivals[0] if arrivals else 0.0,
    )


def poisson(depths: Counts, seed: int = 0) -> Traffic:
    """One puzzle a second on average, independently of each other; the same seed gives the same arrivals."""
    gaps = np.random.default_rng((seed, 0)).exponential(size=len(depths))
    return Traffic(np.cumsum(gaps), depths)


def draw(histogram: Mapping[int, int], puzzles: int, seed: int = 0) -> Counts:
    """So many depths in a random order, [puzzles].

    Each is as frequent as it was measured, to within one puzzle: a p99 that hangs on a rare depth must not hang on
    how often chance drew it.
    """
    kinds, counts = np.array(sorted(histogram.items()), dtype=np.int64).T
    shares = puzzles * counts / counts.sum()
    wanted = np.floor(shares).astype(np.int64)
    wanted[np.argsort(wanted - shares, kind="stable")[: puzzles - wanted.sum()]] += 1
    return np.random.default_rng((seed, 1)).permutation(np.repeat(kinds, wanted))


def quantile(values: Floats, share: float) -> float:
    """The least of ``values`` that so large a share of them does not exceed."""
    return float(np.quantile(values, share, method="inverted_cdf"))
