"""Energy, from a driver that counts and from machines where nothing does."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bench_subjects import HALTS, make_plan, subject
from scripted import Scripted

from engines.act import Policy
from hrm_trt.bench.energy import gpu_joules
from hrm_trt.bench.measure import SubjectJob, SubjectSession, Turn
from hrm_trt.bench.summary import About, Lane, Limit, document


class NVMLError(Exception):
    """What the real package raises."""


def driver(counts: list[int] | None) -> Any:
    """A stand-in for pynvml that counts so many millijoules, one reading after another; None for no driver."""

    def init() -> None:
        if counts is None:
            raise NVMLError

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda _: (counts or []).pop(0),
    )


def turn(*, on_gpu: bool) -> Turn:
    plan = make_plan(subject(lambda _: Scripted(list(HALTS))))
    job = SubjectJob(lambda _: Scripted(list(HALTS)), plan.trial.puzzles, Policy("fixed", 2), 2, 1, on_gpu)
    return SubjectSession(job, Scripted(list(HALTS))).turn(lambda _: None)


def test_nothing_is_told_without_the_package_or_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(None))
    assert gpu_joules() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_joules() is None
    assert turn(on_gpu=True).joules is None


def test_a_turn_on_a_gpu_has_what_was_used_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver([5_000, 17_500]))
    assert turn(on_gpu=True).joules == pytest.approx(12.5)


def test_a_cpu_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver([]))
    assert turn(on_gpu=False).joules is None


def test_a_row_has_the_median_of_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver([0, 4_000, 4_000, 5_000, 5_000, 15_000]))
    plan = make_plan(subject(lambda _: Scripted(list(HALTS))))
    lane = Lane(plan.subjects[0], 2, Policy("fixed", 2))
    lane.turns += [turn(on_gpu=True) for _ in range(3)]
    (row,) = document(plan, [lane], Limit(), About("2026-01-01", 0.0, interrupted=False)).rows
    assert row.joules_per_puzzle == pytest.approx(4 / len(plan.trial.puzzles))
    assert np.isfinite(row.puzzles_per_second.median)
