"""The orchestrator's loop, one step at a time: whatever happens in whatever order, everyone has one right response."""

from __future__ import annotations

import math

from fake_clients import Puppet, Told, request
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engines.act import Policy
from engines.slots import Slots
from triton_models.solver.loop import Loop

CAPACITY = 3
HALTS = [1, 2, 3, 5, 8, 13]
MAX_DEPTH = 9
puzzles = st.lists(st.integers(0, len(HALTS) - 1), min_size=1, max_size=3)
policies = st.builds(Policy, st.sampled_from(["fixed", "adaptive"]), st.integers(1, MAX_DEPTH))


class Traffic(RuleBasedStateMachine):
    """Requests that come, run, are cancelled and come too late; an engine that fails; ways back that are broken."""

    def __init__(self) -> None:
        super().__init__()
        self.model, self.told, self.now = Puppet(HALTS), Told(), 0.0
        self.slots = Slots(self.model, CAPACITY)
        self.loop = Loop(self.slots, ahead=10**6, reporter=self.told, clock=lambda: self.now)
        self.open, self.everyone = [], []

    @rule(puzzles=puzzles, policy=policies, patience=st.sampled_from([math.inf, math.inf, 0.5, 3.0]))
    def submit(self, puzzles, policy, patience):
        deadline = None if patience == math.inf else self.now + patience
        client, work = request(puzzles, policy, arrived=self.now, deadline=deadline)
        self.open.append((client, work, self.now + patience))
        self.everyone.append((client, work))
        self.loop.submit([work])

    @precondition(lambda self: self.open)
    @rule(takes=st.sampled_from([0.0, 0.0, 0.4, 2.0]))
    def advance(self, takes):
        self.now += takes
        assert self.loop.advance()
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
        self.loop.poll()

    @precondition(lambda self: self.open)
    @rule(where=st.sampled_from(["encode", "step"]))
    def fail(self, where):
        self.model.failing = where
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
        assert self.told.held == len(self.slots.running) <= CAPACITY
        assert sum(self.told.steps) >= len(self.told.steps)

    def teardown(self):
        for _ in range(MAX_DEPTH * (1 + 3 * len(self.open))):
            if not self.open and self.slots.idle:
                break
            if self.open:
                self.advance(0.0)
            else:
                self.loop.advance()
        assert not self.open
        assert self.slots.idle
        assert self.told.held == 0


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40)
