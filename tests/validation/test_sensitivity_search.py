"""The search for low precision, on synthetic checkpoints: whatever they are like, its promises hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.search import search
from validation.sensitivity import COST, Outcome, SearchRecord

N = 1000
TOLERANCE = 0.01
BITS = {"fp16": 0, "fp8": 1, "nvfp4": 2}


class Checkpoint:
    """A synthetic one: which puzzles are solved is a function of the assignment; it notes what it is asked.

    Its drift is the loss, but for linears that ``drift`` names, when they are alone in low precision.
    """

    def __init__(self, damage, finite=lambda assignment: True, drift=None):
        self.damage, self.finite, self.drift = damage, finite, drift or {}
        self.asked = []

    def __call__(self, assignment):
        self.asked.append(dict(assignment))
        lost = self.damage(assignment)
        solved = np.ones(N, dtype=np.bool_)
        solved[N - 20 :] = False  # the baseline does not solve everything
        solved[: max(lost, 0)] = False
        solved[N - 20 : N - 20 - min(lost, 0)] = True
        low = [site for site, precision in assignment.items() if precision != "fp16"]
        drift = self.drift.get(low[0], abs(lost) / N) if len(low) == 1 else abs(lost) / N
        return Outcome(solved, drift, self.finite(assignment))


def additive(costs):
    """Each linear loses its own puzzles in NVFP4, a tenth of them in FP8, nothing in FP16."""
    scale = {"fp16": 0, "fp8": 0.1, "nvfp4": 1}
    return lambda assignment: int(sum(costs[site] * scale[precision] for site, precision in assignment.items()))


def run(checkpoint, shares, formats=("nvfp4", "fp8"), evaluations=24, tolerance=TOLERANCE):
    return search(tuple(shares), formats, shares, checkpoint, tolerance=tolerance, evaluations=evaluations)


def equal_shares(sites):
    return {site: 0.8 / len(sites) for site in sites}


EIGHT = {f"s{index}": damage for index, damage in enumerate((0, 1, 30, 0, 2, 4, 1, 0))}


def test_what_bears_the_narrowest_format_as_a_whole_needs_one_evaluation():
    checkpoint = Checkpoint(lambda _: 0)
    record = run(checkpoint, equal_shares(EIGHT))
    assert set(record.chosen.values()) == {"nvfp4"}
    assert len(checkpoint.asked) == 1 + len(EIGHT) + 1


def test_one_bad_linear_goes_a_rung_up_and_the_others_stay_narrow():
    costs = dict.fromkeys(EIGHT, 0) | {"s2": 30}
    record = run(Checkpoint(additive(costs)), equal_shares(EIGHT))
    assert record.chosen == dict.fromkeys(EIGHT, "nvfp4") | {"s2": "fp8"}


def test_the_rest_goes_to_fp16_where_fp8_loses_too_much_as_well():
    costs = dict.fromkeys(EIGHT, 0) | {"s2": 300}
    record = run(Checkpoint(additive(costs)), equal_shares(EIGHT))
    assert record.chosen == dict.fromkeys(EIGHT, "nvfp4") | {"s2": "fp16"}


def test_hopper_has_one_rung_less():
    costs = dict.fromkeys(EIGHT, 0) | {"s2": 300}
    record = run(Checkpoint(additive(costs)), equal_shares(EIGHT), formats=("fp8",))
    assert record.chosen == dict.fromkeys(EIGHT, "fp8") | {"s2": "fp16"}


def test_refining_finds_what_a_misleading_drift_hid_and_gives_the_largest_linears_their_turn_first():
    """The one that moves answers least loses most: bisection keeps none, and of the others only one fits."""
    shares = {"small": 0.1, "large": 0.5, "culprit": 0.2}
    checkpoint = Checkpoint(additive({"small": 2, "large": 3, "culprit": 10}), drift={"culprit": 0.0})
    assert run(checkpoint, shares).chosen == {"small": "fp8", "large": "nvfp4", "culprit": "fp8"}


def test_half_the_tolerance_is_the_limit():
    shares = {"a": 0.5}
    assert run(Checkpoint(additive({"a": 5})), shares).chosen == {"a": "nvfp4"}
    assert run(Checkpoint(additive({"a": 6})), shares).chosen == {"a": "fp8"}


def test_what_is_not_finite_is_not_accepted_however_well_it_does():
    narrow = Checkpoint(lambda _: 0, finite=lambda assignment: assignment["b"] != "nvfp4")
    record = run(narrow, {"a": 0.3, "b": 0.3, "c": 0.3})
    assert record.chosen == {"a": "nvfp4", "b": "fp8", "c": "nvfp4"}
    assert [each.site for each in record.alone if not each.finite] == ["b"]


def test_if_nothing_is_borne_everything_stays_in_fp16():
    def fragile(assignment):
        return 0 if set(assignment.values()) == {"fp16"} else 100

    record = run(Checkpoint(fragile), equal_shares(EIGHT))
    assert set(record.chosen.values()) == {"fp16"}
    assert record.best.why.startswith("the baseline")


def test_linears_are_reported_alone_with_their_flips():
    record = run(Checkpoint(additive(EIGHT)), equal_shares(EIGHT))
    assert {each.site: each.lost for each in record.alone} == EIGHT
    assert all(each.work == pytest.approx(0.1) for each in record.alone)
    assert [each.drift for each in record.alone] == pytest.approx([damage / N for damage in EIGHT.values()])


def test_a_record_survives_being_written():
    record = run(Checkpoint(additive(EIGHT)), equal_shares(EIGHT))
    assert SearchRecord.model_validate_json(record.model_dump_json()) == record


@st.composite
def checkpoints(draw):
    """Monotone ones, whose losses add up, and ones whose losses are drawn by the assignment alone."""
    sites = [f"s{index}" for index in range(draw(st.integers(1, 9)))]
    shares = {site: draw(st.floats(0, 1)) / len(sites) for site in sites}
    if draw(st.booleans()):
        return Checkpoint(additive({site: draw(st.integers(0, 30)) for site in sites})), shares
    seed, calm = draw(st.integers(0, 2**16)), draw(st.integers(1, 30))

    def erratic(assignment):
        code = [BITS[precision] for precision in assignment.values()]
        return int(np.random.default_rng([seed, *code]).integers(-8, calm)) if any(code) else 0

    def finite(assignment):
        code = [BITS[precision] for precision in assignment.values()]
        return not any(code) or np.random.default_rng([seed, 1, *code]).random() > 0.1

    return Checkpoint(erratic, finite), shares


LADDERS = st.sampled_from([("nvfp4", "fp8"), ("fp8",)])


@given(checkpoints(), LADDERS, st.integers(1, 30))
def test_whatever_the_checkpoint_the_promises_hold(case, formats, evaluations):
    checkpoint, shares = case
    record = run(checkpoint, shares, formats, evaluations)
    asked = [tuple(sorted(assignment.items())) for assignment in checkpoint.asked]
    assert len(asked) == len(set(asked)) <= 1 + len(shares) + evaluations

    best = record.best
    assert best.accepted
    assert best.finite
    assert best.loss <= TOLERANCE / 2 + 1e-9
    assert record.chosen.keys() == shares.keys()

    told = [tuple(sorted(attempt.assignment.items())) for attempt in record.attempts]
    alone = [
        tuple(sorted({**dict.fromkeys(shares, "fp16"), each.site: each.precision}.items())) for each in record.alone
    ]
    assert set(asked) == {*told, *alone}
    assert len(told) == len(set(told))
    assert all(attempt.why for attempt in record.attempts)

    for attempt in record.attempts:
        low = sum(share for share in attempt.work.values())
        assert low == pytest.approx(sum(shares[site] for site, own in attempt.assignment.items() if own != "fp16"))
        if attempt.accepted:
            assert best.cost <= attempt.cost + 1e-8
    saved = sum(shares[site] * (1 - COST[own]) for site, own in record.chosen.items())
    assert best.cost == pytest.approx(1 - saved)


@given(checkpoints(), LADDERS, st.integers(1, 30))
def test_a_search_is_the_same_every_time(case, formats, evaluations):
    checkpoint, shares = case
    assert run(checkpoint, shares, formats, evaluations) == run(checkpoint, shares, formats, evaluations)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=8), LADDERS)
def test_with_enough_evaluations_no_single_linear_is_left_that_could_go_lower(damages, formats):
    costs = {f"s{index}": damage for index, damage in enumerate(damages)}
    checkpoint = Checkpoint(additive(costs))
    record = run(checkpoint, equal_shares(costs), formats, evaluations=10_000)
    allowed = TOLERANCE / 2 * N
    for site, own in record.chosen.items():
        for precision in formats:
            if COST[precision] < COST[own]:
                assert additive(costs)({**record.chosen, site: precision}) > allowed
