"""The thread that passes events on to Triton's metrics and log, with metrics that only remember. No Triton here."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fake_clients import SETTINGS
from pending import until

from triton_models.solver.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "triton_models.solver.metrics"


class Family:
    """Stands for Triton's ``MetricFamily`` and its metrics; ``values`` holds what was recorded, by name and labels."""

    COUNTER = GAUGE = HISTOGRAM = "kind"
    values: Counter[str]
    broken = ""
    """The name of the metric whose next update fails."""

    def __init__(self, name: str, description: str, kind: str) -> None:
        self.name = name

    def Metric(self, labels: dict[str, str], buckets: list[float] | None = None) -> SimpleNamespace:
        key = " ".join([self.name, *list(labels.values())[2:]])
        return SimpleNamespace(
            increment=lambda by: self.add(key, by),
            observe=lambda value: self.add(key, value),
            set=lambda value: self.add(key, value - self.values[key]),
        )

    @classmethod
    def add(cls, key: str, value: float) -> None:
        if key == cls.broken:
            cls.broken = ""
            raise RuntimeError("the server does not answer")
        cls.values[key] += value


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was written to Triton's log; the module under test sees a Triton as long as this lasts."""
    lines: list[str] = []
    triton = ModuleType("triton_python_backend_utils")
    Family.values = Counter()
    triton.MetricFamily, triton.Logger = Family, SimpleNamespace(log_info=lines.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    yield lines
    sys.modules.pop(NAME, None)


def reporter(*, log_requests: bool = False) -> Any:
    return importlib.import_module(NAME).TritonReporter(SETTINGS, 4, log_requests=log_requests)


def ended(outcome: str, message: str = "") -> Work:
    work = Work(None, f"my-{outcome}", 0.0)  # type: ignore[arg-type]  (it is answered)
    work.outcome, work.message = outcome, message  # type: ignore[assignment]
    return work


def test_all_that_was_told_is_passed_on_before_the_end(log: list[str]) -> None:
    told = reporter()
    for rows in (1, 2, 3):
        told.stepped(rows)
        told.holding(rows, 5 * rows)
    for outcome in ("ok", "ok", "cancelled", "deadline", "invalid", "queue_full"):
        told.answered(ended(outcome), 0.5)
    told.close()
    assert Family.values == {
        "hrm_batch_rows": 6,
        "hrm_slots_in_use": 3,
        "hrm_waiting": 15,
        "hrm_solve_seconds": 1.0,
        "hrm_requests_total ok": 2,
        "hrm_requests_total cancelled": 1,
        "hrm_cancelled_total": 1,
        "hrm_requests_total deadline": 1,
        "hrm_deadline_exceeded_total": 1,
        "hrm_requests_total invalid": 1,
        "hrm_requests_total queue_full": 1,
    }
    assert [json.loads(line)["outcome"] for line in log] == ["cancelled", "deadline", "invalid"]


def test_an_update_that_fails_does_not_end_the_counting(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module(NAME), "FLUSH_SECONDS", 0.0)
    Family.broken = "hrm_batch_rows"
    told = reporter()
    told.stepped(4)
    until(lambda: not Family.broken)
    told.stepped(3)
    told.answered(ended("ok"), 0.5)
    told.close()
    assert Family.values["hrm_batch_rows"] == 3
    assert Family.values["hrm_requests_total ok"] == 1


def test_a_line_holds_what_an_operator_looks_for_and_nothing_that_breaks_it(log: list[str]) -> None:
    told = reporter(log_requests=True)
    work = ended("error", 'an engine said "no"\nand more')
    work.request_id = 'odd"\n\ud800id'
    told.answered(work, 0.1234567)
    told.answered(ended("ok"), 1.0)
    told.close()
    assert all("\n" not in line and line.isascii() for line in log)
    assert [json.loads(line) for line in log] == [
        {
            "event": "solve",
            "model": "tiny",
            "version": 3,
            "request": 'odd"\n\ud800id',
            "outcome": "error",
            "depth": 0,
            "rows": 0,
            "seconds": 0.123457,
            "message": 'an engine said "no"\nand more',
        },
        {
            "event": "solve",
            "model": "tiny",
            "version": 3,
            "request": "my-ok",
            "outcome": "ok",
            "depth": 0,
            "rows": 0,
            "seconds": 1.0,
        },
    ]
