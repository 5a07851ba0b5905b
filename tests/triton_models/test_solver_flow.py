"""The way through the orchestrator, step by step: whatever comes in whatever order, each has one right response."""

from __future__ import annotations

import math

import pytest
from fake_clients import Puppet, Told, flow_of, request
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engines.act import Policy
from triton_models.solver.options import LEVELS

CAPACITY, QUEUE = 3, 9
HALTS = [1, 2, 3, 5, 8, 13]
MAX_DEPTH = 9
puzzles = st.lists(st.integers(0, len(HALTS) - 1), min_size=1, max_size=3)
policies = st.builds(Policy, st.sampled_from(["fixed", "adaptive"]), st.integers(1, MAX_DEPTH))


class Traffic(RuleBasedStateMachine):
    """Requests that come, run, are cancelled and come too late; an engine that fails; ways back that are broken."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.told, self.now = Puppet(HALTS), Told(), 0.0
        self.flow = flow_of(self.model, CAPACITY, QUEUE, self.told, clock=lambda: self.now)
        self.open, self.everyone = [], []

    @rule(
        puzzles=puzzles,
        policy=policies,
        level=st.sampled_from(LEVELS),
        patience=st.sampled_from([math.inf, math.inf, 0.5, 3.0]),
    )
    def submit(self, puzzles, policy, level, patience):
        deadline = None if patience == math.inf else self.now + patience
        client, work = request(puzzles, policy, arrived=self.now, deadline=deadline, level=level)
        self.everyone.append((client, work))
        before = sum(len(other.rows) for _, other, _ in self.open)
        self.flow.submit([work])
        if work.outcome is None:
            self.open.append((client, work, self.now + patience))
            return
        assert before >= QUEUE
        assert client.error == work.message == f"the queue is full: {QUEUE} puzzles wait for a slot"

    @precondition(lambda self: self.open)
    @rule()
    def prepare(self):
        self.flow.prepare()
        self.check_all()

    @precondition(lambda self: self.open)
    @rule(takes=st.sampled_from([0.0, 0.0, 0.4, 2.0]))
    def advance(self, takes):
        self.now += takes
        self.flow.advance()
        self.check_all()

    def check_all(self):
        for client, work, patience in self.open:
            if work.outcome is not None:
                self.check(client, work, patience)
        self.open = [entry for entry in self.open if entry[1].outcome is None]

    def check(self, client, work, patience):
        if work.outcome == "ok":
            assert client.depths == [self.depth(row) for row in work.rows]
            assert [answer.tokens.tolist() for answer in client.answers] == [[d % 5] * 3 for d in client.depths]
            assert self.now <= patience
            return
        assert client.unreachable or client.error == work.message != ""
        assert client.unreachable or client.told == work.outcome
        may = {
            "cancelled": client.gone,
            "deadline": self.now > patience,
            "not_finite": any(row.puzzle_identifier in self.model.poisoned for row in work.rows),
            "error": client.deaf or client.unreachable or self.model.failing is not None,
        }
        assert may[work.outcome]

    @staticmethod
    def depth(row):
        stops = MAX_DEPTH if row.policy.name == "fixed" else HALTS[row.puzzle_identifier]
        return min(stops, row.policy.max_depth)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), what=st.sampled_from(["gone", "deaf", "unreachable"]))
    def spoil(self, data, what):
        setattr(data.draw(st.sampled_from(self.open))[0], what, True)

    @rule()
    def poll(self):
        self.flow.poll()

    @precondition(lambda self: self.open)
    @rule(where=st.sampled_from(["encode", "step"]))
    def fail(self, where):
        self.model.failing = where
        self.prepare()
        self.advance(0.0)
        self.model.failing = None

    @precondition(lambda self: self.open)
    @rule(puzzle=st.integers(0, len(HALTS) - 1))
    def poison(self, puzzle):
        self.model.poisoned = {puzzle}
        self.advance(0.0)
        self.model.poisoned = set()

    @invariant()
    def all_that_ended_are_reported_once(self):
        ended = [work for _, work in self.everyone if work.outcome is not None]
        assert sorted(map(id, self.told.works)) == sorted(map(id, ended))
        assert all(client.answered.is_set() or client.unreachable for client, work in self.everyone if work.outcome)
        assert not any(client.misused for client, _ in self.everyone)

    @invariant()
    def slots_are_held_by_those_that_run_alone(self):
        assert 0 <= self.told.held <= CAPACITY
        assert max(self.model.batches, default=0) <= CAPACITY
        assert self.told.held + self.told.waiting <= sum(len(work.rows) for _, work in self.everyone)

    def teardown(self):
        for _ in range((1 + MAX_DEPTH) * (1 + 3 * len(self.open))):
            assert self.flow.can_prepare() or self.flow.can_advance() or self.flow.is_empty()
            self.prepare()
            self.advance(0.0)
        assert not self.open
        assert self.flow.is_empty()
        assert self.told.held == self.told.waiting == 0


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("place", ["running", "waiting", "answered late"])
def test_an_answer_after_the_deadline_is_none(place: str) -> None:
    now, told, model = [0.0], Told(), Puppet(HALTS)
    flow = flow_of(model, CAPACITY, QUEUE, told, clock=lambda: now[0])
    other = request([0 if place == "answered late" else 4] * (CAPACITY - (place != "waiting")))
    late = request([0 if place == "answered late" else 4], deadline=1.5)
    step = model.step

    def slow(*state):
        now[0] += 1.0 if place != "answered late" else 2.0
        return step(*state)

    model.step = slow
    flow.submit([other[1], late[1]])
    while told.outcomes.total() < 2:
        flow.prepare()
        flow.advance()
    segments = {"running": 2, "waiting": 0, "answered late": 1}[place]
    assert late[0].error == f"the request's timeout passed after {segments} segments"
    assert other[0].answers is not None
    assert told.outcomes == {"deadline": 1, "ok": 1}


def test_free_slots_are_no_queue() -> None:
    told = Told()
    flow = flow_of(Puppet(HALTS), CAPACITY, QUEUE, told)
    crowd = [request([1]) for _ in range(CAPACITY + QUEUE + 3)]
    flow.submit([work for _, work in crowd])
    assert told.outcomes == {"queue_full": 3}
    assert [client.told for client, _ in crowd[-3:]] == ["queue_full"] * 3
    flow.prepare()
    flow.advance()
    assert (told.held, told.waiting) == (CAPACITY, QUEUE)


def test_who_is_more_urgent_finds_room_and_goes_first() -> None:
    told = Told()
    flow = flow_of(Puppet(HALTS), 1, QUEUE, told)
    low = [request([0], level=3) for _ in range(1 + QUEUE)]
    usual, high, surplus = request([0]), request([0], level=1), request([0], level=3)
    flow.submit([work for _, work in (*low, usual, high, surplus)])
    assert told.works == [surplus[1]]
    while not flow.is_empty():
        flow.prepare()
        flow.advance()
    assert told.works[1:] == [work for _, work in (high, usual, *low)]
