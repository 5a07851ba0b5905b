"""The gate: does an engine solve as many puzzles as the PyTorch baseline, to within a tolerance?

*pass*: the upper bound of the loss is at or below the tolerance. *fail*: the loss is above the tolerance and its lower
bound above zero. Anything else, and every would-be pass on too few puzzles, is *inconclusive*.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from validation.verdict import Comparison, Decision, GateOptions, Verdict, points

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from validation.checks import Check


def judge(
    baseline: npt.NDArray[np.bool_],
    engine: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int32],
    options: GateOptions,
) -> Verdict:
    """Compare two models puzzle by puzzle.

    Args:
        baseline: which puzzles PyTorch solves under the fixed policy [N].
        engine: which puzzles the engine solves [N].
        groups: the puzzle that each one is a copy of [N].
        options: what is asked for.
    """
    compared = compare(baseline, engine, groups, options)
    solved = len(np.unique(groups[baseline]))
    if compared.loss > compared.tolerance and compared.lower_bound > 0:
        return _verdict(compared, "fail", _fail_reason(compared))
    too_few = _too_few(compared, options, solved)
    if compared.upper_bound <= compared.tolerance and not too_few:
        return _verdict(compared, "pass", _pass_reason(compared))
    needed = _needed(compared, options, solved)
    advice = f"about {needed:,} puzzles should decide" if needed else "no number of puzzles is sure to decide"
    return _verdict(compared, "inconclusive", f"{too_few or _undecided_reason(compared)}; {advice}", needed)


def refuse(verdict: Verdict, checks: Iterable[Check]) -> Verdict:
    """``verdict``, or a failure in its place where a check failed: its numbers then mean nothing."""
    reasons = [f"{check.name}: {check.reason}" for check in checks if not check.ok]
    if not reasons:
        return verdict
    return verdict.model_copy(update={"verdict": "fail", "reason": "; ".join(reasons), "puzzles_needed": None})


def compare(
    baseline: npt.NDArray[np.bool_],
    engine: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int32],
    options: GateOptions,
) -> Comparison:
    """Count the flips and bound the loss; arguments as for ``judge``."""
    from validation.statistics import design_effect, mcnemar_p, tango_interval

    lost, won, n = np.flatnonzero(baseline & ~engine), np.flatnonzero(engine & ~baseline), len(baseline)
    effect = design_effect(baseline, engine, groups)
    bounds = tango_interval(len(lost) / effect, len(won) / effect, n / effect, options.confidence)
    baseline_exact = float(baseline.mean())
    return Comparison(
        n=n,
        clusters=len(np.unique(groups)),
        design_effect=effect,
        baseline_exact=baseline_exact,
        engine_exact=float(engine.mean()),
        lost=tuple(lost.tolist()),
        won=tuple(won.tolist()),
        lower_bound=bounds.lower,
        upper_bound=bounds.upper,
        mcnemar_p=mcnemar_p(len(lost), len(won)),
        tolerance=options.tolerance * (baseline_exact if options.unit == "relative" else 1.0),
        unit=options.unit,
        confidence=options.confidence,
    )


def _verdict(compared: Comparison, decision: Decision, reason: str, needed: int | None = None) -> Verdict:
    return Verdict(**dict(compared), verdict=decision, reason=reason, puzzles_needed=needed)


def _too_few(compared: Comparison, options: GateOptions, solved: int) -> str:
    """Why these puzzles are too few for a pass, whatever came out; empty where they are not."""
    if compared.clusters < options.min_puzzles:
        return f"{_count(compared.clusters)} cannot pass, which takes {options.min_puzzles:,}"
    if solved < options.min_solved:
        return f"PyTorch solves {_count(solved)}, and a pass takes {options.min_solved:,}"
    return ""


def _needed(compared: Comparison, options: GateOptions, solved: int) -> int | None:
    """How many puzzles would decide if the engine loses nothing, or, where that many did not, what it seems to lose."""
    from validation.statistics import puzzles_needed

    if not solved:
        return None
    share = (compared.flips_lost + compared.flips_won) / compared.n * compared.design_effect
    copies = compared.n / compared.clusters
    floor = math.ceil(copies * max(options.min_puzzles, options.min_solved * compared.clusters / solved))
    needed = max(puzzles_needed(share, compared.tolerance, options.confidence), floor)
    if needed > compared.n:
        return needed
    margin = compared.tolerance - compared.loss if compared.loss <= compared.tolerance else compared.loss
    return max(puzzles_needed(share, margin, options.confidence), floor) if margin > 0 else None


def _fail_reason(compared: Comparison) -> str:
    least = f"{_sure(compared)} at least {points(compared.lower_bound)} are lost"
    return f"{_change(compared)}, more than {_tolerance(compared)}; {least}"


def _pass_reason(compared: Comparison) -> str:
    most = f"{_sure(compared)} no more than {points(compared.upper_bound)} are lost"
    return f"{_change(compared)}; {most}, within {_tolerance(compared)}"


def _undecided_reason(compared: Comparison) -> str:
    between = f"from {100 * compared.lower_bound:.2f} to {points(compared.upper_bound)}"
    return f"{_change(compared)}; the true loss may be anything {between}, too wide a range for {_tolerance(compared)}"


def _change(compared: Comparison) -> str:
    flips = f"({compared.flips_lost:,} lost and {compared.flips_won:,} won, of {compared.n:,} puzzles)"
    if not compared.loss:
        return f"nothing lost on balance {flips}"
    return f"{points(abs(compared.loss))} {'lost' if compared.loss > 0 else 'gained'} {flips}"


def _tolerance(compared: Comparison) -> str:
    """The tolerance in both units."""
    relative = compared.relative(compared.tolerance)
    share = "" if math.isnan(relative) else f" ({relative:.2%} of PyTorch's accuracy)"
    return f"the tolerance of {points(compared.tolerance)}{share}"


def _sure(compared: Comparison) -> str:
    return f"with {compared.confidence:.0%} confidence"


def _count(puzzles: int) -> str:
    return f"{puzzles} different puzzle{'' if puzzles == 1 else 's'}"
