"""The scheduler by itself: no puzzle is lost or answered twice, no slot leaks, the line is fair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scripted import SEQUENCE, VOCABULARY, Scripted

from engines.act import Policy
from engines.slots import Row, Slots

CAPACITY = 3
HALTS = [1, 2, 3, 5, 8, 13]
"""Puzzle k of the scripted model wants to stop at this segment."""


class RefusalError(Exception):
    """What the model raises when it is told to fail."""


class Fragile(Scripted):
    """A scripted model that fails when it is told to."""

    failing: str | None = None

    def encode(self, inputs, puzzle_identifiers):
        if self.failing == "encode":
            raise RefusalError
        return super().encode(inputs, puzzle_identifiers)

    def step(self, z_H, z_L, input_embeddings):
        if self.failing == "step":
            raise RefusalError
        return super().step(z_H, z_L, input_embeddings)


policies = st.builds(Policy, st.sampled_from(["fixed", "adaptive", "confidence"]), st.integers(1, 9))


class Traffic(RuleBasedStateMachine):
    """Puzzles that come, run, are cancelled, and meet a model that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Fragile(HALTS, sure_from=4)
        self.slots: Slots[int] = Slots(self.model, CAPACITY)
        self.sent = 0
        self.open: dict[int, Row[int]] = {}
        """By number, in the order they came."""

    @rule(puzzles=st.lists(st.tuples(st.integers(0, len(HALTS) - 1), policies), min_size=1, max_size=6))
    def submit(self, puzzles):
        rows = []
        for puzzle, policy in puzzles:
            rows.append(Row(np.zeros(SEQUENCE, np.int32), puzzle, policy, owner=self.sent))
            self.open[self.sent] = rows[-1]
            self.sent += 1
        self.slots.submit(rows)

    @precondition(lambda self: self.open)
    @rule()
    def turn(self):
        before = [row.owner for row in self.slots.running]
        turn = self.slots.turn()
        # All that ran are there, and those that join are the first of the line.
        joined = [owner for owner in self.open if owner not in before][: CAPACITY - len(before)]
        assert sorted(row.owner for row in turn.rows) == sorted((*before, *joined))
        for row, answer in turn.answers.items():
            assert self.open.pop(row.owner) is row  # once, and only if it was asked
            self.check(row, answer)

    @staticmethod
    def check(row, answer):
        stops = {"fixed": 99, "adaptive": HALTS[row.puzzle_identifier], "confidence": 4}[row.policy.name]
        assert answer.depth == row.depth == min(stops, row.policy.max_depth)
        assert answer.halted == (stops <= row.policy.max_depth)
        assert answer.tokens.tolist() == [answer.depth % VOCABULARY] * SEQUENCE
        assert answer.finite

    @precondition(lambda self: self.open)
    @rule(which=st.sets(st.integers(0, 40)))
    def cancel(self, which):
        self.slots.drop(lambda row: row.owner % 41 in which)
        self.open = {owner: row for owner, row in self.open.items() if owner % 41 not in which}

    @precondition(lambda self: self.open)
    @rule(where=st.sampled_from(["encode", "step"]))
    def fail(self, where):
        self.model.failing = where
        depths = {owner: row.depth for owner, row in self.open.items()}
        try:
            self.turn()
        except RefusalError:
            assert {owner: row.depth for owner, row in self.open.items()} == depths
        finally:
            self.model.failing = None

    @rule()
    def clear(self):
        assert {row.owner for row in self.slots.clear()} == set(self.open)
        self.open.clear()

    @invariant()
    def everything_is_somewhere_once(self):
        held = [row.owner for row in (*self.slots.running, *self.slots.waiting)]
        assert sorted(held) == sorted(self.open)
        assert len(self.slots.running) <= CAPACITY
        assert self.slots.idle == (not self.open)

    def teardown(self):
        """Whatever happened, all puzzles that are left are answered within their segments."""
        for _ in range(9 * (1 + len(self.open) // CAPACITY)):
            if self.open:
                self.turn()
        assert self.slots.idle


TestTraffic = Traffic.TestCase


def test_a_row_whose_heads_are_lost_leaves_at_once_and_alone():
    class Poisoned(Scripted):
        def step(self, z_H, z_L, input_embeddings):
            output = super().step(z_H, z_L, input_embeddings)
            output.q_halt[input_embeddings[:, 0, 0] == 1] = np.nan
            return output

    slots: Slots[str] = Slots(Poisoned([3, 3, 3]), 3)
    slots.submit(Row(np.zeros(SEQUENCE, np.int32), k, Policy("fixed", 4), owner="abc"[k]) for k in range(3))
    ((row, answer),) = slots.turn().answers.items()
    assert (row.owner, answer.finite, answer.halted) == ("b", False, False)
    assert [row.owner for row in slots.running] == ["a", "c"]


def test_who_stays_is_not_moved_and_who_comes_takes_the_place_of_who_left():
    slots: Slots[str] = Slots(Scripted([1, 3, 3, 3]), 3)
    slots.submit(Row(np.zeros(SEQUENCE, np.int32), k, Policy("adaptive", 9), owner="abcd"[k]) for k in (1, 0, 2, 3))
    ran = ["".join(row.owner for row in slots.turn().rows) for _ in range(4)]
    assert ran == ["bac", "bdc", "bdc", "d"]


def test_there_is_no_turn_without_puzzles():
    with pytest.raises(RuntimeError, match="no puzzle"):
        Slots(Scripted([1]), 2).turn()
