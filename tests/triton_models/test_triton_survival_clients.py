"""Clients that leave, have no time or come in crowds, on a real server: the others are answered as if they had not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from pending import until
from scrape import Changes
from solver_serving import MAX_DEPTH, Solver, serving

from triton_models.solver.flow import PATIENCE_SECONDS
from triton_models.solver.loop import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.triton
SLOTS, QUEUE = 2, 8
ASKED = 2 * (PATIENCE_SECONDS + POLL_SECONDS)
"""Seconds after which the orchestrator has asked every client whether it has gone."""
LATE = 0.05
"""Seconds that a request has which is going to be too late."""


@pytest.fixture(scope="module")
def solvers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Solver]]:
    home = tmp_path_factory.mktemp("clients")
    with serving(home, "segment", "planner-executor", slots=SLOTS, queue=QUEUE) as started:
        yield started


@pytest.fixture(params=[0, 1], ids=["segment", "planner-executor"])
def solver(solvers: list[Solver], request: pytest.FixtureRequest) -> Solver:
    return solvers[request.param]


@pytest.fixture
def changes(solver: Solver) -> Changes:
    """How the solver's metrics change in a test."""
    return Changes(solver.server, solver.name)


def settle(changes: Changes, answered: int) -> None:
    """Wait until so many have been answered, and no slot is taken."""
    until(lambda: changes["hrm_requests_total ok"] == answered)
    until(lambda: changes["hrm_slots_in_use"] == 0)


def test_a_client_that_leaves_mid_solve_frees_its_slot(solver: Solver, changes: Changes) -> None:
    with solver.held([0], policy="fixed") as gone:
        other, waiting = solver.begin([1], "fixed"), solver.begin([2], "fixed")
        gone.cancel()
        assert "CANCELLED" in gone.error()
        time.sleep(ASKED)
    solver.check(other.answer(), [1], "fixed")
    solver.check(waiting.answer(), [2], "fixed")
    settle(changes, answered=2)
    assert changes["hrm_cancelled_total"] == changes["hrm_requests_total cancelled"] == 1
    assert changes["hrm_batch_rows_sum"] == 1 + 2 * MAX_DEPTH  # one segment was under way when it left


def test_a_client_that_leaves_the_line_is_never_solved(solver: Solver, changes: Changes) -> None:
    with solver.held([0], policy="fixed") as first:
        others = [solver.begin([puzzle], "fixed") for puzzle in (1, 2)]
        gone = [solver.begin([puzzle], "fixed") for puzzle in (3, 4, 5, 6)]
        for pending in gone:
            pending.cancel()
        time.sleep(ASKED)
    for puzzle, pending in enumerate([first, *others]):
        solver.check(pending.answer(), [puzzle], "fixed")
    settle(changes, answered=3)
    assert changes["hrm_batch_rows_sum"] == 3 * MAX_DEPTH


def test_a_deadline_within_a_segment_is_an_error_after_it(solver: Solver, changes: Changes) -> None:
    with solver.held([0], policy="fixed", timeout=int(LATE * 1e6)) as late:
        other = solver.begin([1], "fixed")
        time.sleep(2 * LATE)
    assert late.error() == "StatusCode.UNAVAILABLE: the request's timeout passed after 1 segments"
    solver.check(other.answer(), [1], "fixed")
    settle(changes, answered=1)
    assert changes["hrm_deadline_exceeded_total"] == changes["hrm_requests_total deadline"] == 1
    assert changes["hrm_batch_rows_sum"] == 1 + MAX_DEPTH


@pytest.mark.parametrize("ahead", [2, 6], ids=["at the front", "in line"])
def test_a_deadline_that_passes_in_line_is_an_error_without_a_segment(
    solver: Solver, changes: Changes, ahead: int
) -> None:
    with solver.held([0], policy="fixed") as first:
        others = [solver.begin([1 + other], "fixed") for other in range(ahead)]
        late = solver.begin([9], "fixed", timeout=int(LATE * 1e6))
        time.sleep(2 * LATE)
    for puzzle, pending in enumerate([first, *others]):
        solver.check(pending.answer(), [puzzle], "fixed")
    assert late.error().startswith("StatusCode.UNAVAILABLE: ")
    assert "timeout" in late.error()
    settle(changes, answered=1 + ahead)
    assert changes["hrm_batch_rows_sum"] == (1 + ahead) * MAX_DEPTH


def test_a_deadline_that_is_far_away_changes_nothing(solver: Solver) -> None:
    solver.ask([3], timeout=60_000_000)


def test_no_slot_is_empty_while_puzzles_wait(solver: Solver, changes: Changes) -> None:
    with solver.held([0], policy="fixed") as first:
        crowd = [solver.begin([puzzle], "fixed") for puzzle in range(1, QUEUE)]
        time.sleep(0.5)  # they have come, and the first of them are embedded
    for puzzle, pending in enumerate([first, *crowd]):
        solver.check(pending.answer(), [puzzle], "fixed")
    settle(changes, answered=QUEUE)
    assert changes["hrm_batch_rows_sum"] == QUEUE * MAX_DEPTH
    assert changes["hrm_batch_rows_count"] == QUEUE * MAX_DEPTH / SLOTS + 1  # the held segment had one puzzle


def test_when_the_queue_is_full_the_surplus_is_refused_at_once_and_the_urgent_is_not(
    solver: Solver, changes: Changes
) -> None:
    with solver.held([0]) as first:
        crowd = [solver.begin([puzzle]) for puzzle in range(1, 3 * QUEUE)]
        until(lambda: changes["hrm_requests_total queue_full"] == len(crowd) - QUEUE - (SLOTS - 1))
        until(lambda: sum(pending.done for pending in crowd) == len(crowd) - QUEUE - (SLOTS - 1))
        urgent = solver.begin([3], level=1)
        time.sleep(0.2)  # for it to be refused, if it is
        refused = [pending for pending in crowd if pending.done]
        assert not first.done
    for pending in refused:
        assert pending.error() == f"StatusCode.UNAVAILABLE: the queue is full: {QUEUE} puzzles wait for a slot"
    answered = [(puzzle, pending) for puzzle, pending in enumerate(crowd, 1) if pending not in refused]
    for puzzle, pending in [(0, first), (3, urgent), *answered]:
        solver.check(pending.answer(), [puzzle])


def test_who_has_priority_overtakes_those_who_wait(solver: Solver) -> None:
    with solver.held([0], policy="fixed") as first:
        others = [solver.begin([1], "fixed", level=3) for _ in range(QUEUE)]
        urgent = solver.begin([2], "fixed", level=1)
        time.sleep(0.2)  # it has come
    for puzzle, pending in [(0, first), (2, urgent), *((1, other) for other in others)]:
        solver.check(pending.answer(), [puzzle], "fixed")
    overtaken = [other for other in others if other.ended > urgent.ended]
    assert len(overtaken) >= QUEUE - 2 * SLOTS  # those in slots and those at the front of the line went before
