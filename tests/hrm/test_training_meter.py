from __future__ import annotations

import pytest

from hrm.training.learner import StepResult
from hrm.training.meter import Meter

FIRST = StepResult(1.0, 0.5, 0.25, halted=4, right=1, cells=2.0, depth=10, halting_right=3)
SECOND = StepResult(3.0, 1.5, 0.75, halted=0, right=0, cells=0.0, depth=0, halting_right=0)


def taken(meter: Meter) -> dict[str, float]:
    values = meter.take()
    assert values.pop("rows_per_second") > 0
    return values


def test_losses_are_means_over_steps_and_the_rest_over_what_halted() -> None:
    meter = Meter(8)
    meter.add(FIRST)
    meter.add(SECOND)
    assert taken(meter) == {
        "lm_loss": 2.0,
        "q_halt_loss": 1.0,
        "q_continue_loss": 0.5,
        "count": 4,
        "exact_accuracy": 0.25,
        "accuracy": 0.5,
        "steps": 2.5,
        "q_halt_accuracy": 0.75,
    }
    meter.add(FIRST)
    assert taken(meter)["lm_loss"] == 1.0, "what was taken is not counted again"


def test_where_nothing_halted_there_is_no_accuracy() -> None:
    meter = Meter(8)
    meter.add(SECOND)
    assert taken(meter) == {"lm_loss": 3.0, "q_halt_loss": 1.5, "q_continue_loss": 0.75, "count": 0}


def test_it_goes_on_counting_in_another_process() -> None:
    whole, first, second = Meter(8), Meter(8), Meter(8)
    for meter in (whole, first):
        meter.add(FIRST)
    second.restore(first.state())
    for meter in (whole, second):
        meter.add(SECOND)
    assert taken(second) == taken(whole)
    assert second.state()["results"] == []
    assert first.state()["seconds"] == pytest.approx(0, abs=60)
