from __future__ import annotations

import numpy as np
import pytest
from capacity_rows import DEPTHS, MEAN, document, row
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.errors import UsageError
from hrm_trt.bench.document import spread
from hrm_trt.capacity.measured import calibrated, depth_at, limit_for, limited, replica_of, step_seconds
from hrm_trt.capacity.plan import Promise, fewest, plan
from hrm_trt.capacity.prices import EXAMPLE, Prices, check_priced, read_prices
from hrm_trt.capacity.simulate import Replica, Traffic, draw, simulate

ONE_DOLLAR = Prices(
    date="2026-01-02",
    currency="USD",
    source="a test",
    machines=[{"name": "box", "target": "cpu", "per_hour": 1.0}],
)
THROUGHPUT = 8 / (0.02 * MEAN)
"""Of ``row()``, puzzles per second."""


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 512))
def test_the_fewest_that_keep_are_found(least, further, threshold):
    most = least + further
    found = fewest(lambda replicas: replicas >= threshold, least, most)
    assert found == (None if threshold > most else max(least, threshold))


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_many_are_found_to_half_a_percent(least, threshold):
    asked = []
    found = fewest(lambda replicas: asked.append(replicas) or replicas >= threshold, least, 10**6)
    assert max(least, threshold) <= found <= max(least, threshold) * 1.005
    assert len(asked) < 40


def test_steps_lie_on_straight_lines_and_the_smallest_measured_is_the_floor():
    assert step_seconds({2: 1.0, 4: 2.0}, 4) == (1.0, 1.0, 1.5, 2.0)
    assert step_seconds({2: 1.0, 4: 2.0}, 3) == (1.0, 1.0, 1.5)
    with pytest.raises(ValueError, match="a step of 5 rows was never measured: 4 at most"):
        step_seconds({2: 1.0, 4: 2.0}, 5)


def test_only_rows_of_the_same_engines_say_how_long_a_step_takes():
    others = [row(1, 0.5, runtime="torch"), row(1, 0.5, precision="int8"), row(1, 0.5, policy="fixed")]
    assert replica_of(row(2), [row(2), *others]).step_seconds == (0.02, 0.02)
    assert replica_of(row(2), [row(2), row(1, 0.01)]).step_seconds == (0.01, 0.02)


def test_what_the_throughput_leaves_is_the_puzzles_own_time():
    lone = row(1, 0.02, puzzles_per_second=spread((1 / (0.02 * MEAN + 0.003),)))
    assert replica_of(lone, [lone]).puzzle_seconds == pytest.approx(0.003)
    assert replica_of(row(), [row()]).puzzle_seconds == 0.0  # never less than nothing


def test_runs_of_one_slot_and_of_many_tell_a_puzzles_own_time_from_an_admissions():
    steps, depths = (0.01, 0.015, 0.02), draw({1: 2, 3: 1}, 600)
    true = Replica(steps, puzzle_seconds=0.001, admission_seconds=0.004)
    seconds = simulate(true, Traffic(np.zeros(len(depths)), depths)).seconds
    found = calibrated(steps, depths, seconds, lone=true.alone(float(depths.mean())))
    assert found.puzzle_seconds == pytest.approx(0.001, rel=0.01)
    assert found.admission_seconds == pytest.approx(0.004, rel=0.01)
    assert calibrated(steps, depths, seconds, lone=0.0).admission_seconds == 0.0  # a lone run that was too fast


def test_a_depth_limit_costs_the_answers_of_deeper_puzzles():
    one = limited(row(), 2)
    assert (one.limit, dict(one.depths)) == (2, {1: 50, 2: 50})
    assert one.unfinished == pytest.approx(0.20)
    assert one.exact == pytest.approx(0.77)
    assert limited(row(exact=0.1), 2).exact == 0.0


@pytest.mark.parametrize(("exact", "limit"), [(None, 8), (0.97, 8), (0.95, 8), (0.92, 4), (0.9, 4), (0.3, 1)])
def test_the_limit_is_the_lowest_that_leaves_what_is_asked_for(exact, limit):
    assert limit_for(row(), exact).limit == limit


def test_no_limit_makes_a_row_better_than_it_is():
    assert limit_for(row(), 0.98) is None


def test_the_depth_at_a_share_is_one_that_more_puzzles_do_not_exceed():
    assert [depth_at(DEPTHS, share) for share in (0.4, 0.5, 0.79, 0.8, 0.94, 0.95, 0.99)] == [1, 2, 2, 4, 4, 8, 8]


def planned(*rows, prices=ONE_DOLLAR, **promise):
    return plan(document(*rows), prices, Promise(**{"rate": 100.0, "p99": 2.0} | promise))


def test_where_there_is_time_the_utilisation_says_how_many():
    (option,) = planned(row()).options
    assert option.replicas == 1
    assert option.utilisation == pytest.approx(100 / THROUGHPUT)
    (option,) = planned(row(), rate=1000.0).options
    assert option.replicas == 7  # 5.25 of them would be full
    assert option.utilisation == pytest.approx(1000 / 7 / THROUGHPUT)
    assert planned(row(), rate=1000.0, utilisation=0.9).options[0].replicas == 6


def test_a_short_promise_takes_more_and_is_kept_by_no_fewer():
    rows = [row(1, 0.005), row(8)]
    (loose,), (tight,) = (
        [option for option in planned(*rows, rate=1000.0, p99=p99).options if option.row.batch == 8]
        for p99 in (2.0, 0.09)
    )
    assert tight.replicas > loose.replicas
    assert tight.p99 <= 0.09 < loose.p99
    assert tight.busy <= 1
    assert tight.rows_per_step < loose.rows_per_step
    assert tight.mean < loose.mean
    assert tight.p50 <= tight.mean


def test_costs_and_memory_are_those_of_all_replicas():
    (option,) = planned(row(), rate=1000.0).options
    assert option.memory == 7 * 10**8
    assert option.per_hour == 7.0
    assert option.cost == pytest.approx(7 / 3600)
    assert option.cost_right == pytest.approx(7 / 3600 / 0.97)
    assert planned(row(exact=0.0)).options[0].cost_right is None


def test_the_cheapest_comes_first_and_the_others_say_why_not():
    slow = row(8, 0.08, runtime="torch")
    found = planned(slow, row(), row(1, 0.5, runtime="sluggish"), row(policy="fixed"), rate=1000.0)
    assert [option.row.runtime for option in found.options] == ["onnxruntime", "torch"]
    (cannot,) = found.cannot
    assert cannot.row.runtime == "sluggish"
    assert cannot.reason == "its p99 is 4.00s even where puzzles never meet"


def test_giving_up_the_deepest_is_cheaper_and_told():
    (whole,), (short,) = (planned(row(), rate=1000.0, exact=exact).options for exact in (None, 0.9))
    assert (whole.limited.limit, whole.limited.unfinished, whole.limited.exact) == (8, 0.0, 0.97)
    assert (short.limited.limit, short.limited.unfinished) == (4, 0.05)
    assert short.limited.exact == pytest.approx(0.92)
    assert short.replicas < whole.replicas


def test_a_plan_is_the_same_every_time():
    assert planned(row(), rate=1000.0, p99=0.2) == planned(row(), rate=1000.0, p99=0.2)


def refused(*rows, **promise):
    with pytest.raises(UsageError) as error:
        planned(*rows, **promise)
    return error.value


def test_a_p99_that_an_empty_replica_does_not_meet_is_refused_with_one_that_it_does():
    error = refused(row(), row(1, 0.01), p99=0.05)
    assert error.what == "nothing in the benchmark keeps a p99 of 50.0ms"
    assert "onnxruntime cpu fp32 segment, batch" in error.why
    assert "its p99 is 80.0ms even where puzzles never meet" in error.why
    assert "--p99 80ms is about" in error.hint
    assert "--exact" in error.hint
    assert planned(row(), row(1, 0.01), p99=0.08).options


def test_a_policy_that_was_not_measured_is_refused():
    error = refused(row(), policy="confidence")
    assert (error.what, error.why) == ("the benchmark has no row of the policy confidence", "it has: adaptive")
    assert "no rows at all" in refused(policy="fixed").why


def test_answers_that_are_too_often_wrong_are_refused():
    assert "97.00% of its answers are right, and 99.00% are asked for" in refused(row(), exact=0.99).why


@pytest.mark.parametrize(
    "changes",
    [{"depths": {}}, {"depths": {0: 3}}, {"depths": {2: 0}}, {"segment_seconds": spread((0.0,))}, {"batch": 0}],
)
def test_a_row_that_makes_no_sense_is_left_out_with_the_reason(changes):
    found = planned(row(), row().model_copy(update=changes))
    assert len(found.options) == len(found.cannot) == 1
    assert "not" in found.cannot[0].reason


def test_a_row_that_needs_more_memory_than_there_is_is_left_out():
    (price,) = ONE_DOLLAR.machines
    prices = ONE_DOLLAR.model_copy(update={"machines": (price.model_copy(update={"memory_gib": 1.0}),)})
    found = planned(row(), row(peak_bytes=3 * 2**30, runtime="torch"), prices=prices)
    assert found.cannot[0].reason == "it takes 3.0 GiB, and box has 1 GiB"


def test_a_row_without_a_price_is_left_out_beside_one_that_has_one():
    found = planned(row(), row(target="sm_90"))
    assert found.cannot[0].reason == "the price list has no machine like the benchmark's for sm_90"


MACHINES = """
format_version: 1
date: 2026-01-02
currency: EUR
source: a test
machines:
  - {name: any, target: cpu, per_hour: 3}
  - {name: small, target: cpu, per_hour: 1, machine: {cores: 2}}
  - {name: fast, target: cpu, per_hour: 2, machine: {cores: 2, processor: epyc}}
"""


def test_the_price_that_asks_the_most_of_the_machine_is_taken(tmp_path):
    (tmp_path / "prices.yaml").write_text(MACHINES)
    prices = read_prices(tmp_path / "prices.yaml")
    machines = [{"cores": 2, "processor": "AMD EPYC 9"}, {"cores": 2, "processor": "Xeon"}, {"cores": 4}, {}]
    assert [prices.find("cpu", machine).name for machine in machines] == ["fast", "small", "any", "any"]
    assert prices.find("sm_90", machines[0]) is None


def test_the_bundled_list_says_that_it_is_an_example():
    prices = read_prices(EXAMPLE)
    assert prices.example
    assert "example" in prices.source
    assert {price.target for price in prices.machines} == {"cpu", "sm_90", "sm_100", "sm_120"}
    assert all("example" in price.name for price in prices.machines)


def test_a_list_without_the_target_is_refused(tmp_path):
    path = tmp_path / "prices.yaml"
    check_priced(ONE_DOLLAR, path, ["sm_90", "cpu"], {})
    with pytest.raises(UsageError) as error:
        check_priced(ONE_DOLLAR, path, ["sm_90", "sm_90"], {"processor": "Some Processor"})
    assert error.value.what == f"no price for sm_90 in {path}"
    assert "of 2026-01-02 it has box (cpu)" in error.value.why
    assert "--prices" in error.value.hint


BAD_LISTS = {
    "[]": "is not a price list",
    "": "is not a price list",
    "a: [": "cannot read the price list",
    MACHINES.replace("per_hour: 3", "per_hour: 0"): "machines.0.per_hour",
    MACHINES.replace("per_hour: 3", "price: 3"): "machines.0",
    MACHINES.replace("date: 2026-01-02", "date: soon"): "date: ",
    MACHINES.replace("format_version: 1", "format_version: 2"): "format_version: ",
    MACHINES.partition("machines")[0] + "machines: []": "machines: ",
}


@pytest.mark.parametrize(("text", "words"), BAD_LISTS.items())
def test_what_is_no_price_list_is_refused(tmp_path, text, words):
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        read_prices(tmp_path / "prices.yaml")
    assert words in str(error.value)
    assert str(EXAMPLE) in error.value.hint
