import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from validation.checks import Check
from validation.gate import judge, refuse
from validation.verdict import GateOptions, Verdict


def verdict(n, solved, lost, won, *, copies=1, **options):
    """The verdict where the baseline solves the first puzzles, the engine not the first of these but some others."""
    baseline = np.arange(n) < solved
    engine = baseline.copy()
    engine[:lost] = False
    engine[solved : solved + won] = True
    groups = (np.arange(n) // copies).astype(np.int32)
    return judge(baseline, engine, groups, GateOptions(**options))


@pytest.mark.parametrize(
    ("n", "solved", "lost", "won", "expected"),
    [
        (500, 497, 0, 0, "pass"),
        (500, 497, 1, 0, "pass"),
        (500, 388, 8, 9, "inconclusive"),  # FP8 on the 6×6 Sudoku: harmless, but 500 puzzles are too few to say so
        (3000, 2328, 48, 54, "pass"),  # the same shares on 3,000 puzzles
        (500, 388, 45, 24, "fail"),  # NVFP4 on the 6×6 Sudoku
        (500, 388, 12, 4, "fail"),  # 1.6 points lost, certainly more than none
        (500, 388, 5, 0, "inconclusive"),  # exactly the tolerance
        (300, 200, 4, 1, "inconclusive"),  # 1 point lost, perhaps none
        (20000, 15000, 250, 200, "pass"),  # certainly a loss, and certainly within the tolerance
    ],
)
def test_the_verdict(n, solved, lost, won, expected):
    judged = verdict(n, solved, lost, won)
    assert judged.verdict == expected
    assert (judged.flips_lost, judged.flips_won, judged.n) == (lost, won, n)


def test_what_was_counted_is_all_there():
    judged = verdict(500, 400, 3, 2)
    assert judged.baseline_exact == 0.8
    assert judged.engine_exact == 0.798
    assert judged.loss == 0.002
    assert judged.lost == (0, 1, 2)
    assert judged.won == (400, 401)
    assert judged.lower_bound < judged.loss < judged.upper_bound
    assert judged.mcnemar_p == 1.0
    assert judged.clusters == 500


def test_a_verdict_survives_json():
    judged = verdict(500, 400, 3, 2)
    assert Verdict.model_validate_json(judged.model_dump_json()) == judged


@pytest.mark.parametrize(("n", "solved"), [(299, 299), (500, 99), (500, 0)])
def test_too_few_puzzles_never_pass(n, solved):
    judged = verdict(n, solved, 0, 0)
    assert judged.verdict == "inconclusive"
    assert "different puzzles" in judged.reason


def test_too_few_puzzles_can_fail():
    assert verdict(200, 200, 30, 0).verdict == "fail"


def test_copies_do_not_make_up_for_puzzles():
    judged = verdict(1200, 1200, 0, 0, copies=6)
    assert (judged.n, judged.clusters, judged.verdict) == (1200, 200, "inconclusive")
    assert judged.puzzles_needed == 1800


def test_copies_that_flip_together_widen_the_bounds():
    apart, together = verdict(2400, 2000, 16, 16), verdict(2400, 2000, 16, 16, copies=8)
    assert together.design_effect == pytest.approx(8, rel=0.01)
    assert together.upper_bound > 2 * apart.upper_bound


def test_an_inconclusive_verdict_says_how_many_puzzles_would_decide():
    judged = verdict(500, 388, 8, 9)
    assert judged.puzzles_needed == 2924  # 8.6 × 0.034 / 0.01²
    assert "about 2,924 puzzles" in judged.reason


def test_where_the_loss_is_near_the_tolerance_more_than_that_are_needed():
    judged = verdict(3000, 2300, 51, 33)
    assert judged.verdict == "inconclusive"
    assert judged.puzzles_needed == pytest.approx(15050, abs=1)  # 8.6 × 0.028 / (0.01 - 0.006)²


def test_a_loss_on_the_tolerance_is_never_sure_to_be_decided():
    judged = verdict(20000, 15000, 400, 200)
    assert (judged.verdict, judged.puzzles_needed) == ("inconclusive", None)
    assert "no number of puzzles" in judged.reason


def test_a_relative_tolerance_is_a_share_of_what_the_baseline_solves():
    points, relative = verdict(1500, 600, 4, 2), verdict(1500, 600, 4, 2, unit="relative")
    assert (points.tolerance, points.verdict) == (0.01, "pass")
    assert (relative.tolerance, relative.verdict) == (0.004, "inconclusive")
    assert "0.40 points (1.00% of PyTorch's accuracy)" in relative.reason
    assert "1.00 points (2.50% of PyTorch's accuracy)" in points.reason


@given(st.integers(300, 2000), st.integers(0, 100), st.integers(0, 100), st.floats(0.002, 0.1))
def test_no_table_contradicts_its_verdict(n, lost, won, tolerance):
    judged = verdict(n, n - 100, lost, won, tolerance=tolerance)
    if judged.verdict == "pass":
        assert judged.upper_bound <= tolerance
    elif judged.verdict == "fail":
        assert judged.loss > tolerance
        assert judged.lower_bound > 0
    else:
        assert judged.upper_bound > tolerance
        assert judged.puzzles_needed is None or judged.puzzles_needed > n


@pytest.mark.parametrize("bad", [{"tolerance": 0}, {"tolerance": 1.5}, {"confidence": 0.5}, {"unit": "percent"}])
def test_options_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValidationError):
        GateOptions(**bad)


def test_a_failed_check_fails_the_gate_with_its_reason():
    passed = verdict(500, 497, 0, 0)
    checks = [
        Check(name="finite", ok=False, reason="NaN in 3 puzzles"),
        Check(name="varied answers", ok=True, reason="many"),
    ]
    refused = refuse(passed, checks)
    assert (refused.verdict, refused.reason) == ("fail", "finite: NaN in 3 puzzles")
    assert refused.lost == passed.lost
    assert refuse(passed, checks[1:]) == passed
