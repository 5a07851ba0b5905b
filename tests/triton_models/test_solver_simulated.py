"""The orchestrator by the clock: what `hrm-trt capacity` simulates is what it does."""

from __future__ import annotations

import numpy as np
from fake_clients import Told, flow_of, request
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted

from engines.act import Policy
from hrm_trt.capacity.simulate import Replica, Traffic, simulate

POLICY = Policy("adaptive", 99)


class Clocked(Scripted):
    """A scripted model on a clock of its own."""

    def __init__(self, depths, replica):
        super().__init__(depths)
        self.replica, self.now = replica, 0.0

    def step(self, z_H, z_L, input_embeddings):
        self.now += self.replica.step_seconds[len(z_H) - 1]
        return super().step(z_H, z_L, input_embeddings)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 9).map(float), min_size=1, max_size=5).map(lambda each: Replica(tuple(sorted(each)))),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=30),
)
def test_puzzles_come_and_go_as_in_the_simulation(replica, puzzles):
    arrivals, depths = np.sort([float(when) for when, _ in puzzles]), np.array([depth for _, depth in puzzles])
    model, told, left = Clocked(depths.tolist(), replica), Told(), {}
    flow = flow_of(model, replica.slots, len(puzzles), told, clock=lambda: model.now)
    coming, inside = list(enumerate(arrivals.tolist())), {}
    while coming or not flow.is_empty():
        if flow.is_empty():
            model.now = max(model.now, coming[0][1])
        while coming and coming[0][1] <= model.now:
            puzzle, arrived = coming.pop(0)
            _, inside[puzzle] = request([puzzle], POLICY, arrived=arrived)
            flow.submit([inside[puzzle]])
        while flow.can_prepare():
            flow.prepare()
        flow.advance()
        left |= {puzzle: model.now for puzzle, work in inside.items() if work.outcome == "ok" and puzzle not in left}
    simulated = simulate(replica, Traffic(arrivals, depths))
    assert told.steps == simulated.rows.tolist()
    assert [left[puzzle] for puzzle in range(len(puzzles))] == (simulated.latency + arrivals).tolist()
