"""The simulator against the scheduler that it stands for, and against what is known of simple lines."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import SEQUENCE, Scripted

from engines.act import Policy
from engines.slots import Row, Slots
from hrm_trt.capacity.simulate import Replica, Traffic, draw, poisson, quantile, simulate

traffics = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=40).map(
    lambda puzzles: Traffic(np.sort([float(when) for when, _ in puzzles]), np.array([depth for _, depth in puzzles]))
)
replicas = st.builds(
    Replica,
    st.lists(st.integers(1, 9).map(float), min_size=1, max_size=5).map(lambda each: tuple(sorted(each))),
    st.integers(0, 3).map(float),
    st.integers(0, 2).map(float),
)


class Clocked(Scripted):
    """A scripted model on a clock of its own."""

    def __init__(self, depths, replica):
        super().__init__(depths)
        self.replica, self.now = replica, 0.0

    def encode(self, inputs, puzzle_identifiers):
        self.now += len(inputs) * self.replica.puzzle_seconds + self.replica.admission_seconds
        return super().encode(inputs, puzzle_identifiers)

    def step(self, z_H, z_L, input_embeddings):
        self.now += self.replica.step_seconds[len(z_H) - 1]
        return super().step(z_H, z_L, input_embeddings)


@dataclass
class Seen:
    """What the scheduler did, by puzzle."""

    calls: list[int] = field(default_factory=list)
    admitted: dict[int, int] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    left: dict[int, float] = field(default_factory=dict)


def run(replica, traffic):
    """The real slots, driven as the runner and the orchestrator drive them."""
    model, seen = Clocked(traffic.depths.tolist(), replica), Seen()
    slots: Slots[int] = Slots(model, replica.slots)
    coming = list(enumerate(traffic.arrivals.tolist()))
    policy = Policy("adaptive", 99)
    while coming or not slots.idle:
        if slots.idle:
            model.now = max(model.now, coming[0][1])
        while coming and coming[0][1] <= model.now:
            puzzle, _ = coming.pop(0)
            slots.submit([Row(np.zeros(SEQUENCE, np.int32), puzzle, policy, owner=puzzle)])
        began, call = model.now, len(seen.calls)
        turn = slots.turn()
        seen.calls.append(len(turn.rows))
        for row in turn.rows:
            seen.admitted.setdefault(row.owner, call)
            seen.took.setdefault(row.owner, began)
        seen.left |= {row.owner: model.now for row in turn.answers}
    return seen


@settings(deadline=None)
@given(replicas, traffics)
def test_it_does_what_the_slots_do(replica, traffic):
    seen, simulated = run(replica, traffic), simulate(replica, traffic)
    puzzles = range(len(traffic.arrivals))
    assert simulated.rows.tolist() == seen.calls
    assert simulated.admitted.tolist() == [seen.admitted[puzzle] for puzzle in puzzles]
    assert (simulated.waiting + traffic.arrivals).tolist() == [seen.took[puzzle] for puzzle in puzzles]
    assert (simulated.latency + traffic.arrivals).tolist() == [seen.left[puzzle] for puzzle in puzzles]


@settings(deadline=None)
@given(replicas, traffics)
def test_nothing_is_lost_and_nobody_overtakes_in_the_line(replica, traffic):
    simulated = simulate(replica, traffic)
    assert simulated.rows.sum() == traffic.depths.sum()
    assert simulated.rows.max() <= replica.slots
    assert (simulated.waiting >= 0).all()
    assert (np.diff(simulated.admitted) >= 0).all()
    assert (simulated.latency >= simulated.waiting + traffic.depths * min(replica.step_seconds)).all()
    assert 0 < simulated.busy_seconds <= simulated.seconds
    assert simulated.busy <= 1


def test_a_puzzle_alone_takes_its_steps_and_its_own_time():
    replica = Replica((2.0, 3.0), 0.5, 0.25)
    simulated = simulate(replica, Traffic(np.array([5.0]), np.array([3])))
    assert simulated.latency.tolist() == [replica.alone(3)] == [6.75]
    assert simulated.waiting.tolist() == [0.0]
    assert (simulated.seconds, simulated.busy) == (6.75, 1.0)


def test_who_comes_during_a_step_begins_with_the_next():
    simulated = simulate(Replica((2.0, 3.0)), Traffic(np.array([0.0, 0.5, 0.6]), np.array([2, 1, 1])))
    assert simulated.rows.tolist() == [1, 2, 1]
    assert simulated.waiting == pytest.approx([0.0, 1.5, 4.4])
    assert simulated.latency == pytest.approx([5.0, 4.5, 6.4])


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_slot_and_one_step_are_the_line_of_the_textbooks(load):
    waiting = simulate(Replica((1.0,)), poisson(np.ones(100_000, np.int64)).faster(load)).waiting
    assert waiting.mean() == pytest.approx(load / (2 * (1 - load)), rel=0.05)  # Pollaczek and Khinchine, M/D/1


@pytest.mark.parametrize("admission", [0.0, 0.3])
def test_full_slots_answer_what_the_throughput_says(admission):
    replica, depths = Replica(tuple(np.linspace(1, 2, 8)), 0.1, admission), draw({1: 1, 3: 1}, 20_000)
    everything_at_once = simulate(replica, Traffic(np.zeros(len(depths)), depths))
    assert len(depths) / everything_at_once.seconds == pytest.approx(replica.throughput(2.0), rel=0.01)


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 16), st.integers(1, 1000), min_size=1), st.integers(1, 3000))
def test_depths_are_drawn_as_often_as_they_were_measured(histogram, puzzles):
    depths = draw(histogram, puzzles)
    assert len(depths) == puzzles
    for depth, count in histogram.items():
        assert (depths == depth).sum() == pytest.approx(puzzles * count / sum(histogram.values()), abs=1)


def test_the_same_seed_gives_the_same_puzzles():
    depths = draw({1: 3, 2: 1}, 1000)
    assert (poisson(depths).arrivals == poisson(depths).arrivals).all()
    assert (draw({1: 3, 2: 1}, 1000) == depths).all()
    assert (poisson(depths, seed=1).arrivals != poisson(depths).arrivals).any()
    assert np.diff(poisson(depths).faster(4.0).arrivals).mean() == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize(
    ("arrivals", "depths", "words"),
    [([0.0, 1.0], [1], "2 arrivals and 1 depths"), ([1.0, 0.0], [1, 1], "not in order"), ([0.0], [0], "takes a step")],
)
def test_traffic_that_cannot_be_is_refused(arrivals, depths, words):
    with pytest.raises(ValueError, match=words):
        Traffic(np.array(arrivals), np.array(depths))


@pytest.mark.parametrize("steps", [(), (1.0, 0.0)])
def test_a_step_that_takes_no_time_is_refused(steps):
    with pytest.raises(ValueError, match="a step takes time"):
        Replica(steps)


def test_a_quantile_is_one_of_the_values():
    values = np.arange(1.0, 101.0)
    assert [quantile(values, share) for share in (0.5, 0.99, 0.991)] == [50.0, 99.0, 100.0]
