"""The orchestrator's loop with its threads: who waits where, who wakes up, and what becomes of them when it fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from fake_clients import Client, Puppet, Told, request

from engines.act import Policy
from engines.slots import Slots
from triton_models.solver.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triton_models.solver.work import Work

CAPACITY, AHEAD = 4, 2
HALTS = [1, 2, 3, 5, 8]
PATIENCE = 20.0
"""Seconds after which something that should have happened has not; nothing waits for them."""
Start = "Callable[..., tuple[Loop, Puppet, Told]]"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts loops, and ends those that a test has left running."""
    started: list[tuple[Loop, Puppet]] = []

    def make(reporter: Told | None = None) -> tuple[Loop, Puppet, Told]:
        model, told = Puppet(HALTS), reporter or Told()
        loop = Loop(Slots(model, CAPACITY), AHEAD, told)
        loop.start()
        started.append((loop, model))
        return loop, model, told

    yield make
    for loop, model in started:
        model.go.set()
        loop.close()


def wait(client: Client) -> Client:
    assert client.answered.wait(PATIENCE)
    return client


def hold(loop: Loop, model: Puppet, work: Work) -> None:
    """Have ``work`` in the middle of a segment until ``model.go`` is set."""
    model.go.clear()
    loop.submit([work])
    assert model.stepping.wait(PATIENCE)


def wait_until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.001)


def in_background(loop: Loop, *works: Work) -> threading.Thread:
    thread = threading.Thread(target=loop.submit, args=(works,), daemon=True)
    thread.start()
    return thread


def test_every_one_of_many_threads_gets_its_own_answer(start: Start) -> None:
    loop, _, told = start()
    sent = [(puzzle, *request([puzzle, 0])) for puzzle in list(range(len(HALTS))) * 60]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda entry: loop.submit([entry[2]]), sent))
    assert [wait(client).depths for _, client, _ in sent] == [[HALTS[puzzle], 1] for puzzle, _, _ in sent]
    loop.close()
    assert told.outcomes == {"ok": len(sent)}
    assert sum(told.steps) == sum(HALTS[puzzle] + 1 for puzzle, _, _ in sent)
    assert max(told.steps) == CAPACITY
    assert told.held == 0


def test_the_door_is_shut_while_there_is_no_room_and_opens_again(start: Start) -> None:
    loop, model, _ = start()
    first = request([4] * CAPACITY)
    hold(loop, model, first[1])
    ahead = request([0] * AHEAD)
    loop.submit([ahead[1]])  # may wait inside
    late = request([0])
    thread = in_background(loop, late[1])
    thread.join(0.1)
    assert thread.is_alive()
    model.go.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [wait(client).depths for client, _ in (first, ahead, late)] == [[8] * CAPACITY, [1] * AHEAD, [1]]


def test_who_waits_inside_still_waits_there_after_a_segment() -> None:
    told = Told()
    loop = Loop(Slots(Puppet(HALTS), CAPACITY), AHEAD, told)
    inside = [request([1]) for _ in range(CAPACITY + AHEAD)]
    loop.submit([work for _, work in inside])
    loop.advance()
    late = request([0])
    thread = in_background(loop, late[1])
    thread.join(0.1)
    assert thread.is_alive()
    loop.advance()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert told.outcomes == {"ok": CAPACITY}


def test_a_request_larger_than_all_slots_goes_through(start: Start) -> None:
    loop, _, told = start()
    client, work = request([1] * (3 * CAPACITY))
    loop.submit([work])
    assert wait(client).depths == [2] * (3 * CAPACITY)
    assert told.steps == [CAPACITY] * 6


@pytest.mark.parametrize("where", ["encode", "step"])
def test_an_engine_that_fails_fails_those_inside_and_nobody_after_them(start: Start, where: str) -> None:
    loop, model, told = start()
    inside = request([4] * (CAPACITY - 1))
    hold(loop, model, inside[1])
    waiting = request([0])
    loop.submit([waiting[1]])
    model.failing = where
    model.go.set()
    for client, _ in (inside, waiting):
        assert str(wait(client).error).startswith("the orchestrator failed: the e")
    model.failing = None
    after = request([2])
    loop.submit([after[1]])
    assert wait(after[0]).depths == [3]
    loop.close()
    assert told.outcomes == {"error": 2, "ok": 1}
    assert told.held == 0


def test_who_comes_during_a_segment_that_fails_is_solved(start: Start) -> None:
    loop, model, _ = start()
    inside, since = request([4] * CAPACITY), request([1])
    hold(loop, model, inside[1])
    loop.submit([since[1]])
    model.failing = "once"
    model.go.set()
    assert wait(inside[0]).error == "the orchestrator failed: the engine is not there"
    assert wait(since[0]).depths == [2]


@pytest.mark.parametrize("place", ["running", "waiting"])
def test_a_client_that_has_gone_leaves_its_place(start: Start, place: str) -> None:
    loop, model, told = start()
    inside, waiting = request([4] * CAPACITY), request([0])
    hold(loop, model, inside[1])
    loop.submit([waiting[1]])
    gone, other = (inside, waiting) if place == "running" else (waiting, inside)
    gone[0].gone = True
    asked = gone[0].asked
    wait_until(lambda: gone[0].asked > asked + 1)
    steps = len(told.steps)
    model.go.set()
    assert wait(gone[0]).told == "cancelled"
    assert wait(other[0]).depths == ([1] if place == "running" else [8] * CAPACITY)
    if place == "running":
        assert told.steps[steps:] == [CAPACITY, 1]  # the segment that was under way, and the one for who is left
    loop.close()
    assert told.outcomes == {"cancelled": 1, "ok": 1}


@pytest.mark.parametrize("place", ["running", "waiting", "answered late"])
def test_an_answer_after_the_deadline_is_none(place: str) -> None:
    now, told, model = [0.0], Told(), Puppet(HALTS)
    loop = Loop(Slots(model, CAPACITY), AHEAD, told, lambda: now[0])
    other = request([0 if place == "answered late" else 4] * (CAPACITY - (place != "waiting")))
    late = request([0 if place == "answered late" else 4], deadline=1.5)
    step = model.step

    def slow(*state):
        now[0] += 1.0 if place != "answered late" else 2.0
        return step(*state)

    model.step = slow
    loop.submit([other[1]])
    loop.submit([late[1]])
    while told.outcomes.total() < 2:
        loop.advance()
    segments = {"running": 2, "waiting": 0, "answered late": 1}[place]
    assert late[0].error == f"the request's timeout passed after {segments} segments"
    assert other[0].answers is not None
    assert told.outcomes == {"deadline": 1, "ok": 1}


def test_closing_answers_everything_first(start: Start) -> None:
    loop, model, told = start()
    first = request([4] * CAPACITY)
    hold(loop, model, first[1])
    others = [request([2]) for _ in range(6)]
    threads = [in_background(loop, work) for _, work in others]
    wait_until(lambda: all(client.asked for client, _ in others))  # they have come
    closing = threading.Thread(target=loop.close, daemon=True)
    closing.start()
    model.go.set()
    for thread in (closing, *threads):
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [client.depths for client, _ in (first, *others)] == [[8] * CAPACITY, *[[3]] * 6]
    assert told.outcomes == {"ok": 7}


def test_a_client_that_cannot_be_answered_harms_nobody_else(start: Start) -> None:
    loop, _, told = start()
    broken, deaf, well = request([1]), request([1]), request([1])
    broken[0].unreachable = deaf[0].deaf = True
    loop.submit([work for _, work in (broken, deaf, well)])
    assert wait(well[0]).depths == [2]
    assert wait(deaf[0]).error == "the answer could not be sent: shared memory is full"
    loop.close()
    assert told.outcomes == {"ok": 1, "error": 2}
    assert broken[1].message.endswith("; the client could not be told: shared memory is full")


class Treacherous(Told):
    """A reporter that ends the loop's thread."""

    def holding(self, slots: int) -> None:
        raise RuntimeError("no more")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_the_loop_dies_everyone_is_told_those_who_come_later_too(start: Start) -> None:
    loop, model, told = start(Treacherous())
    inside = request([4] * CAPACITY)
    hold(loop, model, inside[1])
    waiting = [request([0]) for _ in range(5)]
    threads = [in_background(loop, work) for _, work in waiting]
    model.go.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    late = request([0], Policy("fixed", 1))
    loop.submit([late[1]])
    for client, _ in (inside, *waiting, late):
        assert wait(client).error == "the orchestrator failed: it has stopped"
    assert told.outcomes == {"error": 7}


def test_a_question_that_fails_is_asked_again(start: Start) -> None:
    loop, model, _ = start()
    client, work = request([4])

    def is_cancelled() -> bool:
        client.asked += 1
        if client.asked == 1:
            raise RuntimeError("shared memory is full")
        return True

    client.is_cancelled = is_cancelled  # type: ignore[method-assign]
    hold(loop, model, work)
    wait_until(lambda: client.asked > 2)
    model.go.set()
    assert wait(client).told == "cancelled"
