"""The statistics of a paired comparison: how much accuracy an engine may have lost, given the puzzles that were tried.

Both models solve the same n puzzles. *Lost* puzzles are solved by the baseline alone, *won* ones by the engine alone;
the loss is (lost - won) / n. Counts need not be whole: a design effect divides them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

if TYPE_CHECKING:
    import numpy.typing as npt

_POWER = 0.9
_OPEN = 1e-12
"""Keeps the root's bracket clear of the estimate, where the equation of a table without flips has a second root."""


class Interval(NamedTuple):
    """Bounds of the loss, each one-sided: the two together hold with less confidence than either."""

    lower: float
    upper: float


def tango_interval(lost: float, won: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval for the difference of two paired proportions, (lost - won) / n.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17 (1998) 891-908. A bound is the δ at which the score statistic

        (lost - won - nδ) / sqrt(n (2q + δ(1 - δ)))

    meets the normal quantile; q, the probability of a won puzzle, is its maximum-likelihood estimate for that δ: the
    larger root of 2n q² + (2nδ - lost - won - (lost - won)δ) q - won δ(1 - δ) = 0.

    Args:
        lost: puzzles that only the baseline solves.
        won: puzzles that only the engine solves.
        n: all puzzles.
        confidence: of each bound alone; 0.95 here gives the ends of a two-sided 90 % interval.
    """
    z = float(norm.ppf(confidence))
    return Interval(-_upper_bound(won, lost, n, z), _upper_bound(lost, won, n, z))


def _upper_bound(lost: float, won: float, n: float, z: float) -> float:
    if lost == n:
        return 1.0

    def excess(delta: float) -> float:
        return n * delta - (lost - won) - z * math.sqrt(_variance(delta, lost, won, n))

    return float(brentq(excess, (lost - won) / n + _OPEN, 1.0, xtol=1e-12))


def _variance(delta: float, lost: float, won: float, n: float) -> float:
    """Variance of lost - won where the true loss is ``delta``, never below zero by rounding."""
    spread = delta * (1 - delta)
    linear = 2 * n * delta - lost - won - (lost - won) * delta
    root = math.sqrt(max(linear * linear + 8 * n * won * spread, 0.0))
    q = (root - linear) / (4 * n)
    return max(n * (2 * q + spread), 0.0)


def design_effect(baseline: npt.NDArray[np.bool_], engine: npt.NDArray[np.bool_], groups: npt.NDArray[Any]) -> float:
    """By how much the copies of a puzzle count for less than as many independent puzzles; 1 where all are different.

    The cluster-robust variance of the loss over its variance for independent puzzles. The former is Obuchowski's,
    Statistics in Medicine 17 (1998) 1495-1507, with the sums of squares taken about the estimated loss, as Yang, Sun
    and Hardin do for non-inferiority, Computational Statistics & Data Analysis 56 (2012) 1301-1320. Dividing the
    counts and n by the ratio is Rao and Scott's correction, Biometrics 48 (1992) 577-585.

    Never below 1. Where it cannot be estimated (no flips, or a single group) copies are taken to move together: n over
    the number of groups, so that only distinct puzzles count.

    Args:
        baseline: which puzzles the baseline solves [N].
        engine: which puzzles the engine solves [N].
        groups: the puzzle that each one is a copy of [N].
    """
    n = len(groups)
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    clusters = len(sizes)
    change = baseline.astype(np.int64) - engine.astype(np.int64)
    loss = float(change.mean())
    independent = float(((change - loss) ** 2).sum()) * n / max(n - 1, 1)
    if independent == 0.0 or clusters == 1:
        return n / clusters
    residuals = np.bincount(member, weights=change) - sizes * loss
    robust = float((residuals**2).sum()) * clusters / (clusters - 1)
    return max(robust / independent, 1.0)


def mcnemar_p(lost: int, won: int) -> float:
    """Exact two-sided McNemar test of no difference: a binomial test of lost against won, taking each for independent.

    Q. McNemar, Psychometrika 12 (1947) 153-157.
    """
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def puzzles_needed(share_different: float, margin: float, confidence: float = 0.95) -> int:
    """About how many puzzles show, with 90 % power, that a harmless engine loses less than ``margin``.

    The normal approximation for paired proportions, (z_confidence + z_0.90)² d / margin²: the variance of one puzzle's
    difference is d, the share that comes out differently. At 95 % the factor is (1.645 + 1.282)² = 8.6. Never fewer
    than ``zero_flip_puzzles``.
    """
    factor = round(float(norm.ppf(confidence) + norm.ppf(_POWER)) ** 2, 1)
    return max(math.ceil(factor * share_different / margin**2), zero_flip_puzzles(margin, confidence))


def zero_flip_puzzles(margin: float, confidence: float = 0.95) -> int:
    """How many puzzles without a single flip put Tango's upper bound, z² / (n + z²), at or below ``margin``."""
    z = float(norm.ppf(confidence))
    return math.ceil(z * z * (1 - margin) / margin)
