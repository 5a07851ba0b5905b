"""The orchestrator's loop with its threads: who waits where, who wakes up, and what becomes of them when it fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from fake_clients import Client, Puppet, Told, flow_of, request
from pending import until

from engines.act import Policy
from triton_models.solver.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triton_models.solver.work import Work

CAPACITY, QUEUE = 4, 2
HALTS = [1, 2, 3, 5, 8]
PATIENCE = 20.0
"""Seconds after which something that should have happened has not; nothing waits for them."""
Start = "Callable[..., tuple[Loop, Puppet, Told]]"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts loops, and ends those that a test has left running."""
    started: list[tuple[Loop, Puppet]] = []

    def make(reporter: Told | None = None, queue: int = 10**6) -> tuple[Loop, Puppet, Told]:
        model, told = Puppet(HALTS), reporter or Told()
        loop = Loop(flow_of(model, CAPACITY, queue, told))
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


def test_a_request_that_finds_the_queue_full_is_refused_at_once_and_the_next_is_not(start: Start) -> None:
    loop, model, told = start(queue=QUEUE)
    first = request([4] * CAPACITY)
    hold(loop, model, first[1])
    waiting, surplus = [request([0]) for _ in range(QUEUE)], request([0])
    for _, work in (*waiting, surplus):
        loop.submit([work])
    assert surplus[0].error == "the queue is full: 2 puzzles wait for a slot"
    assert surplus[0].told == "queue_full"
    assert told.outcomes == {"queue_full": 1}
    model.go.set()
    assert [wait(client).depths for client, _ in (first, *waiting)] == [[8] * CAPACITY, [1], [1]]
    after = request([1])
    loop.submit([after[1]])
    assert wait(after[0]).depths == [2]


def test_a_request_larger_than_all_slots_goes_through(start: Start) -> None:
    loop, _, told = start()
    client, work = request([1] * (3 * CAPACITY))
    loop.submit([work])
    assert wait(client).depths == [2] * (3 * CAPACITY)
    assert told.steps == [CAPACITY] * 6


def test_an_engine_that_fails_fails_those_in_slots_and_nobody_else(start: Start) -> None:
    loop, model, told = start()
    inside, waiting = request([4] * CAPACITY), request([1])
    hold(loop, model, inside[1])
    loop.submit([waiting[1]])
    model.failing = "once"
    model.go.set()
    assert wait(inside[0]).error == "the orchestrator failed: the engine is not there"
    assert wait(waiting[0]).depths == [2]
    loop.close()
    assert told.outcomes == {"error": 1, "ok": 1}
    assert told.held == 0


def test_an_encoder_that_fails_fails_those_that_it_was_given(start: Start) -> None:
    loop, model, told = start()
    inside, waiting = request([4]), request([0])
    hold(loop, model, inside[1])
    model.failing = "encode"
    loop.submit([waiting[1]])
    assert wait(waiting[0]).error == "the orchestrator failed: the encoder is not there"
    model.failing = None
    after = request([2])
    loop.submit([after[1]])
    model.go.set()
    assert [wait(client).depths for client, _ in (inside, after)] == [[8], [3]]
    loop.close()
    assert told.outcomes == {"error": 1, "ok": 2}


@pytest.mark.parametrize("place", ["running", "waiting"])
def test_a_client_that_has_gone_leaves_its_place(start: Start, place: str) -> None:
    loop, model, told = start()
    inside, waiting = request([4] * CAPACITY), request([0])
    hold(loop, model, inside[1])
    loop.submit([waiting[1]])
    gone, other = (inside, waiting) if place == "running" else (waiting, inside)
    gone[0].gone = True
    asked = gone[0].asked
    until(lambda: gone[0].asked > asked + 1 or gone[0].answered.is_set())
    steps = len(told.steps)
    model.go.set()
    assert wait(gone[0]).told == "cancelled"
    assert wait(other[0]).depths == ([1] if place == "running" else [8] * CAPACITY)
    if place == "running":
        assert told.steps[steps:] == [CAPACITY, 1]  # the segment that was under way, and the one for who is left
    loop.close()
    assert told.outcomes == {"cancelled": 1, "ok": 1}


def test_closing_answers_everything_first(start: Start) -> None:
    loop, model, told = start()
    first = request([4] * CAPACITY)
    hold(loop, model, first[1])
    others = [request([2]) for _ in range(6)]
    loop.submit([work for _, work in others])
    closing = threading.Thread(target=loop.close, daemon=True)
    closing.start()
    model.go.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
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
    """A reporter that ends the slots' thread."""

    def holding(self, slots: int, waiting: int) -> None:
        raise RuntimeError("no more")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_the_loop_dies_everyone_is_told_those_who_come_later_too(start: Start) -> None:
    loop, model, told = start(Treacherous())
    inside = request([4] * CAPACITY)
    hold(loop, model, inside[1])
    waiting = [request([0]) for _ in range(2 * CAPACITY)]
    loop.submit([work for _, work in waiting])
    model.go.set()
    wait(waiting[0][0])
    late = request([0], Policy("fixed", 1))
    loop.submit([late[1]])
    for client, _ in (inside, *waiting, late):
        assert wait(client).error == "the orchestrator failed: it has stopped"
    assert told.outcomes == {"error": 2 * CAPACITY + 2}


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
    until(lambda: client.asked > 2)
    model.go.set()
    assert wait(client).told == "cancelled"
