"""The search for the most low precision that keeps the accuracy.

Losses of single linears don't add up, and at a thousand puzzles they are noise: linears are ranked by how far they
move the answers (drift), and puzzles decide only what is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.quantise.sites import quantised
from validation.sensitivity import COST, Attempt, SearchRecord, SiteDamage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from export.quantise.sites import Assignment, SitePrecision
    from validation.sensitivity import Measure, Outcome

_ROUNDING = 1e-9
"""Sums of shares that differ by less are equal."""


def search(
    sites: Sequence[str],
    formats: Sequence[SitePrecision],
    work: Mapping[str, float],
    measure: Measure,
    *,
    tolerance: float,
    evaluations: int,
) -> SearchRecord:
    """Find the assignment of least cost that keeps the accuracy, with few measurements.

    Each linear is measured alone in the narrowest format. Then all together; where that loses too much, as many of the
    least damaging as bisection finds, the others one rung up; then single linears one by one. Accepted is what loses
    at most half the tolerance: what looks best of many on these puzzles has luck in it, and on the gate's own puzzles
    an upper bound, not the loss itself, has to stay within the tolerance.

    Args:
        sites: the linears to assign.
        formats: the low precisions that the hardware has, the narrowest first.
        work: each linear's share of the GEMM work.
        measure: what an assignment makes of the puzzles; never asked twice for the same one.
        tolerance: the loss of exact accuracy that the gate allows.
        evaluations: assignments to measure at most, beside the baseline and single linears.
    """
    bench = _Bench(sites, work, measure, tolerance, evaluations)
    alone = tuple(bench.alone(site, formats[0]) for site in sites) if formats else ()
    if alone:
        ranked = [each.site for each in sorted(alone, key=lambda each: (not each.finite, each.drift, each.loss))]
        _together(bench, tuple(formats), ranked)
    return SearchRecord(
        formats=tuple(formats),
        baseline_exact=bench.baseline_exact,
        n=bench.n,
        tolerance=tolerance,
        rule=(
            f"at most {tolerance / 2:.2%} of the puzzles lost, half the tolerance: the other half is left to chance "
            "on the gate's own puzzles; no NaN or infinity"
        ),
        alone=alone,
        attempts=bench.told(),
        chosen=bench.best.assignment,
    )


def _together(bench: _Bench, formats: tuple[SitePrecision, ...], ranked: list[str]) -> None:
    narrowest = formats[0]
    tried = bench.attempt(dict.fromkeys(ranked, narrowest), f"everything in {_name(narrowest)}")
    if tried is None or tried.accepted:
        return
    rest = _rest(bench, formats[1:], ranked)
    _bisect(bench, narrowest, rest, ranked)
    by_work = sorted(ranked, key=lambda site: -bench.work[site])  # equal shares stay in the order of damage
    while sum(_lower(bench, formats, site) for site in by_work):  # until a whole round moves none
        pass


def _rest(bench: _Bench, wider: tuple[SitePrecision, ...], ranked: list[str]) -> SitePrecision:
    """What linears compute in that don't bear the narrowest format: the next one that all of them bear."""
    for precision in wider:
        tried = bench.attempt(dict.fromkeys(ranked, precision), f"everything in {_name(precision)}, the next rung")
        if tried is not None and tried.accepted:
            return precision
    return "fp16"


def _bisect(bench: _Bench, narrowest: SitePrecision, rest: SitePrecision, ranked: list[str]) -> None:
    """Look for the largest number of least damaging linears that may be in the narrowest format."""
    low, high = 0, len(ranked)
    while high - low > 1:
        middle = (low + high) // 2
        narrow = dict.fromkeys(ranked[:middle], narrowest)
        why = f"the {middle} least damaging in {_name(narrowest)}, the others in {_name(rest)}"
        tried = bench.attempt({**dict.fromkeys(ranked, rest), **narrow}, why)
        if tried is None:
            return
        low, high = (middle, high) if tried.accepted else (low, middle)


def _lower(bench: _Bench, formats: tuple[SitePrecision, ...], site: str) -> bool:
    """Move one linear of the best assignment as far down the ladder as is accepted; returns whether it moved."""
    start = bench.best.assignment
    for precision in formats:
        if COST[precision] >= COST[start[site]]:
            return False
        tried = bench.attempt({**start, site: precision}, f"the best so far, and {site} in {_name(precision)}")
        if tried is None:
            return False
        if tried.accepted:
            return bench.best.assignment != start  # no work, no gain
    return False


class _Bench:
    """Measures assignments, each once, and keeps what came of them."""

    def __init__(
        self, sites: Sequence[str], work: Mapping[str, float], measure: Measure, tolerance: float, evaluations: int
    ) -> None:
        self.work = work
        self._left = evaluations
        self._measure = measure
        self._allowed = tolerance / 2
        self._start: dict[str, SitePrecision] = dict.fromkeys(sites, "fp16")
        outcome = measure(self._start)
        self._solved = outcome.solved
        self.n = len(outcome.solved)
        self.baseline_exact = float(outcome.solved.mean())
        first = self._judge(self._start, outcome, "the baseline: everything in FP16")
        self._known = {_key(self._start): first.model_copy(update={"accepted": True})}
        self._told = dict.fromkeys(self._known)

    @property
    def best(self) -> Attempt:
        """The cheapest that is accepted; of equally cheap ones the one that loses least."""
        accepted = [attempt for attempt in self._known.values() if attempt.accepted]
        return min(accepted, key=lambda each: (round(each.cost / _ROUNDING), each.loss, each.drift))

    def told(self) -> tuple[Attempt, ...]:
        """What was attempted, in order, and the best, which may be a single linear."""
        return tuple(self._known[key] for key in {**self._told, _key(self.best.assignment): None})

    def alone(self, site: str, precision: SitePrecision) -> SiteDamage:
        """Measure one linear by itself."""
        assignment = {**self._start, site: precision}
        found = self._judge(assignment, self._measure(assignment), f"{site} alone in {_name(precision)}")
        self._known[_key(assignment)] = found
        return SiteDamage(
            site=site,
            precision=precision,
            work=self.work[site],
            lost=found.lost,
            won=found.won,
            loss=found.loss,
            drift=found.drift,
            finite=found.finite,
        )

    def attempt(self, changes: Assignment, why: str) -> Attempt | None:
        """Measure an assignment, or remember it; None where no measurement is left."""
        assignment = {**self._start, **changes}
        key = _key(assignment)
        if key not in self._known:
            if not self._left:
                return None
            self._left -= 1
            self._known[key] = self._judge(assignment, self._measure(assignment), why)
        self._told[key] = None
        return self._known[key]

    def _judge(self, assignment: dict[str, SitePrecision], outcome: Outcome, why: str) -> Attempt:
        lost = int((self._solved & ~outcome.solved).sum())
        won = int((outcome.solved & ~self._solved).sum())
        loss = (lost - won) / self.n
        low = sorted(set(quantised(assignment).values()), key=lambda p: COST[p])
        return Attempt(
            assignment=assignment,
            work={name: sum(self.work[site] for site, own in assignment.items() if own == name) for name in low},
            exact=float(outcome.solved.mean()),
            lost=lost,
            won=won,
            loss=loss,
            drift=outcome.drift,
            finite=outcome.finite,
            accepted=outcome.finite and loss <= self._allowed + _ROUNDING,
            why=why,
        )


def _key(assignment: Assignment) -> tuple[tuple[str, SitePrecision], ...]:
    return tuple(sorted(assignment.items()))


def _name(precision: SitePrecision) -> str:
    return precision.upper()
