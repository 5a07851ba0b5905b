"""The fewest replicas that keep a promise, for every row of a benchmark, and what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrm.errors import UsageError
from hrm_trt.bench.labels import mean_depth
from hrm_trt.capacity.measured import depth_at, limit_for, name_of, nonsense, replica_of, rows_of
from hrm_trt.capacity.simulate import draw, poisson, quantile, simulate
from hrm_trt.capacity.units import ceiling, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.act import PolicyName
    from hrm_trt.bench.document import BenchDocument, Row
    from hrm_trt.capacity.measured import Limited
    from hrm_trt.capacity.prices import Price, Prices
    from hrm_trt.capacity.simulate import Counts, Replica, Simulated

SHARE = 0.99
"""The percentile of the promise."""
BEYOND = 200
"""Puzzles that are slower than the percentile, for it to be steady."""
PUZZLES = round(BEYOND / (1 - SHARE))
"""How many are looked at."""
SEED = 0
_EDGE, _EDGE_PER_SLOT = 1000, 10
"""Puzzles before and after those that are looked at: they come to a replica that is neither filling nor emptying."""
_IDLE = 0.001
"""More replicas than those that are used so little are not tried."""
_EXACT_BELOW = 512
_ROUNDING = 1 + 1e-6
"""Times are differences of large ones."""
HOUR, GIB = 3600.0, 2**30

ASSUMPTIONS = (
    "puzzles arrive independently of each other (Poisson), and each as deep as the benchmark's were on average",
    "replicas are independent, one on each machine; every puzzle goes to one of them at random, evenly",
    "a replica has as many slots as the row's batch; they are stepped together, and puzzles come and go between steps",
    "a step's time lies on a straight line between measured batches; below the smallest it is that of the smallest",
    "what puzzles take beside their steps is what the measured throughputs, of one slot and of all, leave for it",
    "no time on the network, and no failures; a server's own overhead is not in the benchmark either",
)


@dataclass(frozen=True)
class Promise:
    """What is to be kept."""

    rate: float
    """Puzzles per second, of all replicas together."""
    p99: float
    """Seconds from arrival to answer that 99 of 100 puzzles take at most."""
    policy: PolicyName = "adaptive"
    utilisation: float = 0.8
    """Arrivals over what a replica answers with all slots taken, at most."""
    exact: float | None = None
    """Share of right answers; None for all that the row has."""


@dataclass(frozen=True)
class Option:
    """One row of the benchmark, and how it keeps the promise."""

    row: Row
    price: Price
    limited: Limited
    replicas: int
    utilisation: float
    busy: float
    """Share of the time in which the engine runs, with however few rows."""
    rows_per_step: float
    waiting: float
    """Mean seconds from arrival to a slot."""
    mean: float
    """Seconds from arrival to answer, as the next two."""
    p50: float
    p99: float
    cost: float
    """Per 1,000 puzzles."""

    @property
    def memory(self) -> int:
        """Bytes of all replicas at their peak."""
        return self.replicas * self.row.peak_bytes

    @property
    def per_hour(self) -> float:
        """What all replicas cost."""
        return self.replicas * self.price.per_hour

    @property
    def cost_right(self) -> float | None:
        """Per 1,000 right answers; None where there are none."""
        return self.cost / self.limited.exact if self.limited.exact else None


@dataclass(frozen=True)
class Cannot:
    """One row that does not keep the promise, and why."""

    row: Row
    reason: str
    alone: float | None = None
    """The p99 of a replica that is all but empty, where that is too long."""


@dataclass(frozen=True)
class Plan:
    """What a benchmark says of a promise."""

    options: tuple[Option, ...]
    """The cheapest first."""
    cannot: tuple[Cannot, ...]


def plan(document: BenchDocument, prices: Prices, promise: Promise) -> Plan:
    """Every row of the policy that keeps the promise, and every one that does not.

    Raises:
        UsageError: none does, or there is none.
    """
    rows = rows_of(document, promise.policy)
    sound = tuple(row for row in rows if nonsense(row) is None)
    found = [_consider(row, sound, prices.find(row.target, document.machine), promise) for row in rows]
    options = [one for one in found if isinstance(one, Option)]
    cannot = tuple(one for one in found if isinstance(one, Cannot))
    if not options:
        raise _nothing(cannot, promise)
    return Plan(tuple(sorted(options, key=lambda one: (one.cost, one.p99))), cannot)


def _consider(row: Row, rows: tuple[Row, ...], price: Price | None, promise: Promise) -> Option | Cannot:
    wrong = nonsense(row)
    if wrong is not None:
        return Cannot(row, wrong)
    if price is None:
        return Cannot(row, f"the price list has no machine like the benchmark's for {row.target}")
    if price.memory_gib is not None and row.peak_bytes > price.memory_gib * GIB:
        return Cannot(row, f"it takes {row.peak_bytes / GIB:.1f} GiB, and {price.name} has {price.memory_gib:g} GiB")
    limit = limit_for(row, promise.exact)
    if limit is None:
        return Cannot(row, f"{row.exact:.2%} of its answers are right, and {promise.exact:.2%} are asked for")
    replica = replica_of(row, rows)
    alone = replica.alone(depth_at(limit.depths, SHARE))
    if alone > promise.p99 * _ROUNDING:
        return Cannot(row, f"its p99 is {format_duration(alone)} even where puzzles never meet", alone)
    return _place(row, price, limit, replica, promise)


def _place(row: Row, price: Price, limit: Limited, replica: Replica, promise: Promise) -> Option | Cannot:
    """Search for the fewest replicas."""
    depth = mean_depth(limit.depths)
    throughput = replica.throughput(depth)
    edge = _EDGE + _EDGE_PER_SLOT * replica.slots
    traffic = poisson(_depths(limit, edge), SEED)
    runs: dict[int, Simulated] = {}

    def keeps(replicas: int) -> bool:
        runs[replicas] = simulate(replica, traffic.faster(promise.rate / replicas))
        return quantile(runs[replicas].latency[edge:-edge], SHARE) <= promise.p99 * _ROUNDING

    least = math.ceil(promise.rate / (promise.utilisation * throughput))
    most = max(least, math.ceil(promise.rate * replica.alone(depth) / _IDLE))
    replicas = fewest(keeps, least, most)
    if replicas is None:
        return Cannot(row, f"its p99 is longer even with {most:,} replicas, which have next to nothing to do")
    run = runs[replicas]
    latency = run.latency[edge:-edge]
    return Option(
        row=row,
        price=price,
        limited=limit,
        replicas=replicas,
        utilisation=promise.rate / (replicas * throughput),
        busy=run.busy,
        rows_per_step=float(run.rows.mean()),
        waiting=float(run.waiting[edge:-edge].mean()),
        mean=float(latency.mean()),
        p50=quantile(latency, 0.5),
        p99=quantile(latency, SHARE),
        cost=1000 * replicas * price.per_hour / (promise.rate * HOUR),
    )


def fewest(keeps: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest number from ``least`` to ``most`` that ``keeps``; None where not even ``most`` does.

    A number that does is taken to mean that all larger ones do. Above 512 it may be too large by half a percent.
    """
    below, above = least - 1, least
    while not keeps(above):
        if above == most:
            return None
        below, above = above, min(most, 2 * above)
    while above - below > max(1, 2 * below // _EXACT_BELOW):
        middle = (below + above) // 2
        below, above = (below, middle) if keeps(middle) else (middle, above)
    return above


def _depths(limit: Limited, edge: int) -> Counts:
    """Those that are looked at between those that are not."""
    parts = (draw(limit.depths, size, SEED + part) for part, size in enumerate((edge, PUZZLES, edge)))
    return np.concatenate(tuple(parts))


def _nothing(cannot: tuple[Cannot, ...], promise: Promise) -> UsageError:
    what = f"nothing in the benchmark keeps a p99 of {format_duration(promise.p99)}"
    lone = [(one.alone, one) for one in cannot if one.alone is not None]
    if not lone:
        why = "; ".join(f"{name_of(one.row)}: {one.reason}" for one in cannot)
        return UsageError(what, why=why, hint="ask for less, or measure other runtimes with `hrm-trt bench`")
    alone, best = min(lone, key=lambda pair: pair[0])
    shorter = "; --exact SHARE gives up the deepest puzzles for less" if len(best.row.depths) > 1 else ""
    return UsageError(
        what,
        why=f"more replicas do not help: of the fastest ({name_of(best.row)}), {best.reason}",
        hint=f"--p99 {ceiling(alone)} is about the least that can be kept{shorter}",
    )
