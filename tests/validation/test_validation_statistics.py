import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from validation.statistics import design_effect, mcnemar_p, puzzles_needed, tango_interval, zero_flip_puzzles


# Two-sided intervals as published, from tables (both, first only, second only, neither).
@pytest.mark.parametrize(
    ("table", "level", "published", "digits"),
    [
        # Tango 1998, a cross-over trial of two ways to disinfect contact lenses, as checked by the R package ratesci.
        ((43, 0, 1, 0), 0.90, (-0.096, 0.037), 3),
        # Fagerland, Lydersen & Laake, "Recommended tests and confidence intervals for paired binomial proportions",
        # Statistics in Medicine 33 (2014) 2850-2875: airway hyper-responsiveness (Bentur et al. 2009).
        ((1, 1, 7, 12), 0.95, (-0.517, -0.026), 3),
        # Fagerland, Lydersen & Laake, Statistical Analysis of Contingency Tables (2017), chapter 8, as checked by
        # their R package contingencytables: complete response to a therapy (Cavo et al. 2012).
        ((59, 6, 16, 80), 0.95, (-0.1240, -0.0054), 4),
        # Agresti & Min, Statistics in Medicine 24 (2005) 729-740, as checked by the R package ratesci.
        ((53, 16, 8, 9), 0.95, (-0.020, 0.207), 3),
        # A further table of ratesci's own tests.
        ((4, 9, 3, 16), 0.95, (-0.027, 0.390), 3),
    ],
)
def test_the_interval_is_the_published_one(table, level, published, digits):
    interval = tango_interval(table[1], table[2], sum(table), confidence=(1 + level) / 2)
    assert tuple(round(bound, digits) for bound in interval) == published


@st.composite
def tables(draw, smallest=2):
    n = draw(st.integers(smallest, 5000))
    lost = draw(st.integers(0, n))
    return lost, draw(st.integers(0, n - lost)), n


@given(tables())
def test_the_bounds_are_ordered_and_hold_the_estimate(table):
    lost, won, n = table
    interval = tango_interval(lost, won, n)
    assert -1 <= interval.lower <= (lost - won) / n + 1e-9
    assert (lost - won) / n - 1e-9 <= interval.upper <= 1


@given(tables())
def test_exchanging_the_models_turns_the_interval_round(table):
    lost, won, n = table
    there, back = tango_interval(lost, won, n), tango_interval(won, lost, n)
    assert (there.lower, there.upper) == (-back.upper, -back.lower)


@given(tables(), st.integers(2, 20))
def test_more_of_the_same_puzzles_narrow_the_interval(table, times):
    lost, won, n = table
    few, many = tango_interval(lost, won, n), tango_interval(times * lost, times * won, times * n)
    assert many.lower >= few.lower - 1e-9
    assert many.upper <= few.upper + 1e-9


@given(tables(smallest=10), st.floats(0.6, 0.999))
def test_more_confidence_widens_the_interval(table, confidence):
    sure, surer = tango_interval(*table, confidence), tango_interval(*table, (1 + confidence) / 2)
    assert surer.lower <= sure.lower + 1e-9
    assert surer.upper >= sure.upper - 1e-9


@pytest.mark.parametrize(("lost", "won", "n"), [(3, 5, 300), (45, 24, 500), (0, 4, 100), (7, 0, 1000)])
def test_at_the_bound_the_score_statistic_meets_the_quantile(lost, won, n):
    """Against a maximum-likelihood estimate that is searched for instead of computed from the quadratic."""
    delta = tango_interval(lost, won, n, 0.95).upper

    def surprise(q):
        cells = ((lost, q + delta), (won, q), (n - lost - won, 1 - 2 * q - delta))
        return -sum(count * math.log(p) for count, p in cells if count)

    q = minimize_scalar(surprise, bounds=(1e-12, (1 - delta) / 2 - 1e-12), method="bounded", options={"xatol": 1e-13}).x
    statistic = (lost - won - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))
    assert statistic == pytest.approx(-norm.ppf(0.95), rel=1e-3)


def test_no_flips_pass_one_point_from_268_puzzles_on():
    assert zero_flip_puzzles(0.01) == 268
    assert tango_interval(0, 0, 267).upper > 0.01
    assert tango_interval(0, 0, 268).upper <= 0.01


def outcomes(n, p_lost, p_won):
    """Every pair of counts that n puzzles can give, but for the most unlikely, and its probability."""
    rows = np.arange(n + 1)
    for lost in rows[binom.pmf(rows, n, p_lost) > 1e-8]:
        row = binom.pmf(lost, n, p_lost) * binom.pmf(np.arange(n - lost + 1), n - lost, p_won / (1 - p_lost))
        for won in np.flatnonzero(row > 1e-8):
            yield int(lost), int(won), float(row[won])


@pytest.mark.parametrize("n", [300, 500, 1000])
@pytest.mark.parametrize("different", [0.0101, 0.02, 0.05])
def test_an_engine_beyond_the_tolerance_passes_in_at_most_5_percent_of_all_cases(n, different):
    """Exactly, over all outcomes: the engine loses 1.01 points and wins the rest of what comes out differently."""
    loss = 0.0101
    cases = outcomes(n, (different + loss) / 2, (different - loss) / 2)
    assert sum(p for lost, won, p in cases if tango_interval(lost, won, n).upper <= 0.01) <= 0.05


@pytest.mark.parametrize("n", [300, 500, 1000])
@pytest.mark.parametrize("different", [0.01, 0.034, 0.1])
def test_a_harmless_engine_fails_in_about_5_percent_of_all_cases_at_most(n, different):
    """Exactly, over all outcomes: as many puzzles are lost as won on average. The interval is approximate."""
    cases = outcomes(n, different / 2, different / 2)
    failed = sum(p for lost, won, p in cases if (lost - won) / n > 0.01 and tango_interval(lost, won, n).lower > 0)
    assert failed <= 0.052


def test_the_advised_number_of_puzzles_passes_a_harmless_engine_in_9_of_10_cases():
    different, n = 0.034, puzzles_needed(0.034, 0.01)
    cases = outcomes(n, different / 2, different / 2)
    passed = sum(p for lost, won, p in cases if tango_interval(lost, won, n).upper <= 0.01)
    assert passed == pytest.approx(0.9, abs=0.01)


def test_the_advice_is_8_6_times_the_share_that_differs_and_never_less_than_no_flips_need():
    assert puzzles_needed(0.10, 0.01) == 8600
    assert puzzles_needed(0.034, 0.01) == 2924
    assert puzzles_needed(0.0, 0.01) == 268


def test_mcnemar_is_a_binomial_test_of_lost_against_won():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(5, 0) == pytest.approx(2 * 0.5**5)
    # Fagerland, Lydersen & Laake 2017, chapter 8: exact conditional test of the table (59, 6, 16, 80).
    assert round(mcnemar_p(6, 16), 6) == 0.052479
    assert mcnemar_p(45, 24) == pytest.approx(binomtest(45, 69).pvalue)


def solved_by(lost, won, n):
    baseline = np.ones(n, dtype=np.bool_)
    engine = baseline.copy()
    engine[lost] = False
    baseline[won] = False
    return baseline, engine


@given(st.integers(0, 2**32 - 1))
def test_puzzles_without_copies_have_no_design_effect(seed):
    random = np.random.default_rng(seed)
    baseline, engine = random.random((2, 50)) < 0.8
    if (baseline == engine).all():
        engine[0] = not engine[0]
    assert design_effect(baseline, engine, np.arange(50)) == pytest.approx(1.0)


def test_copies_that_flip_together_count_as_one_puzzle():
    groups = np.repeat(np.arange(300), 4)
    baseline, engine = solved_by(np.r_[0:8, 20:24], np.r_[100:104], len(groups))
    assert design_effect(baseline, engine, groups) == pytest.approx(4.0, rel=0.01)


def test_copies_that_flip_independently_lose_nothing():
    groups = np.repeat(np.arange(300), 4)
    baseline, engine = solved_by(np.arange(0, 1200, 100), np.arange(50, 1200, 100), len(groups))
    assert design_effect(baseline, engine, groups) == pytest.approx(1.0, rel=0.01)


def test_without_flips_only_distinct_puzzles_count():
    groups = np.repeat(np.arange(300), 4)
    nothing = np.ones(1200, dtype=np.bool_)
    assert design_effect(nothing, nothing, groups) == 4.0


def test_copies_of_one_puzzle_are_one_puzzle():
    baseline, engine = solved_by([3, 5], [7], 40)
    assert design_effect(baseline, engine, np.zeros(40, dtype=np.int32)) == 40.0


@pytest.mark.parametrize("together", [0.3, 1.0])
def test_with_copies_an_engine_beyond_the_tolerance_seldom_passes(together):
    """Simulated: 300 puzzles with 8 copies each; in those that the engine finds hard, a copy flips with ``together``.

    1.01 points are lost. Taken for independent, the copies would let the engine pass in more than 12 % of the cases.
    """
    random = np.random.default_rng(8)
    groups, baseline = np.repeat(np.arange(300), 8), np.ones(2400, dtype=np.bool_)
    corrected = naive = 0
    for _ in range(400):
        hard = np.repeat(random.random(300) < 0.0101 / together, 8)
        engine = ~(hard & (random.random(2400) < together))
        effect, lost = design_effect(baseline, engine, groups), int((~engine).sum())
        corrected += tango_interval(lost / effect, 0, 2400 / effect).upper <= 0.01
        naive += tango_interval(lost, 0, 2400).upper <= 0.01
    assert corrected / 400 <= 0.07  # 0.05 and two standard errors of 400 cases
    assert naive / 400 > 0.12
