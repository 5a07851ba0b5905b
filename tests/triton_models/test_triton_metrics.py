"""What a real server's /metrics and log say of a solver, against what was sent: every number, exactly."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pending import until
from scrape import Changes, families
from solver_serving import MAX_DEPTH, Solver, configure, log_requests, serving

from triton_models.solver.flow import PATIENCE_SECONDS
from triton_models.solver.loop import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.triton
SLOTS = 8
OUTCOMES = {"ok", "invalid", "cancelled", "deadline", "error", "not_finite", "queue_full"}
KINDS = {
    "hrm_requests": "counter",
    "hrm_cancelled": "counter",
    "hrm_deadline_exceeded": "counter",
    "hrm_slots_in_use": "gauge",
    "hrm_waiting": "gauge",
    "hrm_depth": "histogram",
    "hrm_solve_seconds": "histogram",
    "hrm_batch_rows": "histogram",
}
LINE = re.compile(rb'metrics\.py:\d+\] ("\{.*\}")$', re.MULTILINE)
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solver]:
    with serving(tmp_path_factory.mktemp("metrics"), "segment", slots=SLOTS, logging=True) as (started,):
        yield started


@pytest.fixture
def changes(solver: Solver) -> Changes:
    """How the solver's metrics change in a test."""
    return Changes(solver.server, solver.name)


@pytest.fixture
def lines(solver: Solver) -> Lines:
    """Reads what the orchestrator has written to the server's log, where its lines are quoted once more."""
    before = solver.server.log.stat().st_size

    def read() -> list[dict[str, Any]]:
        return [json.loads(json.loads(found)) for found in LINE.findall(solver.server.log.read_bytes()[before:])]

    return read


def ended(changes: Changes) -> dict[str, int]:
    """How many requests ended how, those that did."""
    now = changes.all()
    return {outcome: int(count) for outcome in OUTCOMES if (count := now[f"hrm_requests_total {outcome}"])}


def bucket(values: list[int], limit: float) -> int:
    return sum(value <= limit for value in values)


def calls(solver: Solver) -> np.ndarray:
    """Triton's own count of the segment's executions and rows."""
    (found,) = solver.client.get_inference_statistics(solver.puppet).model_stats
    return np.array([found.execution_count, found.inference_count])


def test_every_metric_is_there_before_the_first_request(solver: Solver) -> None:
    found = {family.name: family for family in families(solver.server) if family.name.startswith("hrm_")}
    assert {name: family.type for name, family in found.items()} == KINDS
    for family in found.values():
        assert family.documentation
        for sample in family.samples:
            assert (sample.labels["model"], sample.labels["version"], sample.value) == (solver.name, "1", 0)
    assert {sample.labels["outcome"] for sample in found["hrm_requests"].samples} == OUTCOMES
    assert "nv_inference_request_success" in {family.name for family in families(solver.server)}


def test_good_requests_are_counted_to_the_last_segment(solver: Solver, changes: Changes, lines: Lines) -> None:
    sent = [([index, index + 1, index + 7][: 1 + index % 3], ("adaptive", "fixed")[index % 2]) for index in range(90)]
    began, called = time.monotonic(), calls(solver)
    pending = [solver.begin(puzzles, policy, request_id=f"r{k}") for k, (puzzles, policy) in enumerate(sent)]
    depths = [request.answer()["depth"][:, 0].tolist() for request in pending]
    took = time.monotonic() - began
    until(lambda: ended(changes) == {"ok": 90})
    until(lambda: changes["hrm_slots_in_use"] == 0)
    now, each = changes.all(), [depth for request in depths for depth in request]

    assert now["hrm_depth_count"] == len(each)
    assert now["hrm_depth_sum"] == now["hrm_batch_rows_sum"] == sum(each)
    assert now["hrm_depth_bucket +Inf"] == len(each)
    for depth in range(1, MAX_DEPTH + 1):
        assert now[f"hrm_depth_bucket {depth}"] == bucket(each, depth)

    assert [now["hrm_batch_rows_count"], now["hrm_batch_rows_sum"]] == (calls(solver) - called).tolist()
    assert now["hrm_batch_rows_bucket 8"] == now["hrm_batch_rows_bucket +Inf"] == now["hrm_batch_rows_count"]
    assert now["hrm_batch_rows_bucket 1"] < now["hrm_batch_rows_count"]

    seconds = [now[f"hrm_solve_seconds_bucket {limit}"] for limit in ("0.005", "0.1", "1", "60", "+Inf")]
    assert seconds == sorted(seconds)
    assert seconds[-1] == now["hrm_solve_seconds_count"] == 90
    assert 0 < now["hrm_solve_seconds_sum"] < 90 * took

    found = {line["request"]: line for line in lines()}
    assert len(found) == len(lines()) == 90
    for index, (puzzles, _) in enumerate(sent):
        line = found[f"r{index}"]
        assert 0 < line.pop("seconds") < took
        assert line == {
            "event": "solve",
            "model": solver.name,
            "version": 1,
            "request": f"r{index}",
            "outcome": "ok",
            "depth": max(depths[index]),
            "rows": len(puzzles),
        }


def test_slots_in_use_are_those_of_the_running_puzzles(solver: Solver, changes: Changes) -> None:
    def in_use() -> float:
        return changes["hrm_slots_in_use"]

    with solver.held([0, 1, 2], policy="fixed") as first:
        solver.order("once")
        until(lambda: in_use() == 3)
        second = solver.begin([3, 4], "fixed")
        for _ in range(2):  # a segment that it comes too late for, and one that it is part of
            time.sleep(0.2)
            solver.order("once")
        until(lambda: in_use() == 5)
    solver.check(first.answer(), [0, 1, 2], "fixed")
    solver.check(second.answer(), [3, 4], "fixed")
    until(lambda: in_use() == 0)


def test_each_way_to_end_is_counted_and_logged_with_its_reason(solver: Solver, changes: Changes, lines: Lines) -> None:
    for index in range(3):
        solver.send({"inputs": solver.inputs[:1] + 99}, request_id=f"invalid{index}").error()
    for order in ("fail", "nan"):
        solver.order(order)
        solver.begin([0, 1], request_id=order).error()
    with solver.held([0], policy="fixed", request_id="gone", timeout=60_000_000) as gone:
        gone.cancel()
        time.sleep(2 * (PATIENCE_SECONDS + POLL_SECONDS))  # it has been asked whether it has gone
    with solver.held([1], policy="fixed", request_id="late", timeout=500_000) as late:
        time.sleep(0.6)
    late.error()
    solver.ask([2], request_id="good")
    until(lambda: ended(changes) == {"invalid": 3, "error": 1, "not_finite": 1, "cancelled": 1, "deadline": 1, "ok": 1})
    until(lambda: len(lines()) == 8)
    now = changes.all()
    assert now["hrm_cancelled_total"] == now["hrm_deadline_exceeded_total"] == 1
    assert now["hrm_depth_count"] == now["hrm_solve_seconds_count"] == 1  # those of answers alone

    found = {line["request"]: (line["outcome"], line["rows"], line.get("message")) for line in lines()}
    cells = "inputs has 99; values must be from 0 to 4"
    engine = "the orchestrator failed: segment_segment version 1: this engine was told to fail"
    assert found == {
        **{f"invalid{index}": ("invalid", 0, cells) for index in range(3)},
        "fail": ("error", 2, engine),
        "nan": ("not_finite", 2, "the model gave NaN or infinity in segment 1"),
        "gone": ("cancelled", 1, "the client cancelled the request"),
        "late": ("deadline", 1, "the request's timeout passed after 1 segments"),
        "good": ("ok", 1, None),
    }
    assert "RuntimeError: segment_segment version 1: this engine was told to fail" in solver.server.log.read_text()


def test_failures_alone_are_logged_where_an_operator_wants_it_so(
    solver: Solver, changes: Changes, lines: Lines
) -> None:
    configure(solver.repository / solver.name, lambda config: log_requests(config, False))
    solver.load(solver.name)
    outcomes: Counter[str] = Counter()
    for puzzle in range(20):
        solver.ask([puzzle], request_id="good")
    solver.send({"inputs": np.full((1, 3), -1, np.int32)}, request_id="bad").error()
    until(lambda: bool(lines()))
    until(lambda: ended(changes) == {"ok": 20, "invalid": 1})
    outcomes.update(line["request"] for line in lines())
    assert outcomes == {"bad": 1}
