"""One design under one load: what its clients saw, and where the server says the time went."""

from __future__ import annotations

import functools
import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.serving.observe import PARTS, snapshot
from benchmarks.serving.shared import load, server

if TYPE_CHECKING:
    import numpy.typing as npt

    from benchmarks.serving.observe import Snapshot

_MILLI = 1e3


@dataclass(frozen=True, eq=False)
class Served:
    """A model on a running server, and what it must answer."""

    running: server.Server
    model: str
    engines: str
    """Name of the set whose engines it calls."""
    puzzles: load.Puzzles
    labels: npt.NDArray[np.int32]
    """[N, S]"""
    tensors: dict[str, Any] = field(default_factory=dict)
    """Inputs beside the puzzle: arrays [1, 1]."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Of every request."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One stretch of load."""

    seconds: float
    checked: load.Checked
    exact: int
    """Answers that agree with the labels."""
    client_seconds: float
    """The clients' processor time."""
    before: Snapshot
    after: Snapshot


def clients_process() -> ProcessPoolExecutor:
    """A process of their own for the clients, so that they and whatever runs here don't take turns."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def sample(served: Served, clients: int, seconds: float, *, warm_up: float = 0.5, limit: int | None = None) -> Sample:
    """Load a model; runs in ``clients_process``."""
    requests = [
        load.request(served.model, {"inputs": row[None], **served.tensors}, **served.parameters)
        for row in served.puzzles.inputs
    ]
    what = load.Load(served.running.grpc, requests, clients, seconds, warm_up, limit)
    window = load.run(what, functools.partial(snapshot, served.running))
    checked = load.check(window.exchanges, served.puzzles)
    solved = (served.puzzles.solutions == served.labels).all(axis=1)
    exact = int(solved[checked.right].sum())
    return Sample(window.seconds, checked, exact, window.processor_seconds, *window.observed)


def rows_per_call(served: Served, samples: list[Sample]) -> float:
    """Mean rows of a segment's calls, by Triton's own count."""
    model = f"{served.engines}_segment"
    changes = [one.after.models[model].since(one.before.models[model]) for one in samples]
    return sum(change.rows for change in changes) / max(1, sum(change.calls for change in changes))


def summary(served: Served, samples: list[Sample]) -> dict[str, Any]:
    """Several samples of one design under one load, as one row of the results."""
    answered, seconds = sum(one.checked.answered for one in samples), sum(one.seconds for one in samples)
    milliseconds = np.concatenate([one.checked.milliseconds for one in samples])
    errors = sum((one.checked.errors for one in samples), Counter[str]())
    return {
        "requests_per_second": answered / seconds,
        "each_repetition": [one.checked.answered / one.seconds for one in samples],
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "mean_ms": float(milliseconds.mean()),
        "rows_per_call": rows_per_call(served, samples),
        "answered": answered,
        "exact_accuracy": sum(one.exact for one in samples) / answered,
        "wrong": sum(one.checked.wrong for one in samples),
        "other_depth": sum(one.checked.other_depth for one in samples),
        "errors": dict(errors),
        "processor_ms": _processor(samples, answered),
        "triton_ms": {model: _times(model, samples) for model in _models(served)},
        "solve_ms": _solve_milliseconds(served.model, samples),
        "observed_seconds": sum(one.after.moment - one.before.moment for one in samples),
    }


def _models(served: Served) -> list[str]:
    return [served.model, f"{served.engines}_encoder", f"{served.engines}_segment"]


def _processor(samples: list[Sample], answered: int) -> dict[str, float]:
    """Milliseconds of processor time for each request, by process; counted over a little more than the window."""
    found = {"clients": sum(one.client_seconds for one in samples)}
    for one in samples:
        share = one.seconds / (one.after.moment - one.before.moment)
        for process, seconds in one.after.processor.items():
            taken = seconds - one.before.processor.get(process, seconds)
            found[process[0]] = found.get(process[0], 0.0) + taken * share
    return {process: _MILLI * seconds / answered for process, seconds in found.items() if seconds}


def _times(model: str, samples: list[Sample]) -> dict[str, float]:
    """Mean milliseconds of one of the model's requests in each part of Triton, and how many rows it answered."""
    changes = [one.after.models[model].since(one.before.models[model]) for one in samples]
    requests = max(1, sum(change.requests for change in changes))
    parts = {part: _MILLI * sum((change.seconds or {})[part] for change in changes) / requests for part in PARTS}
    return {**parts, "requests": requests, "rows": sum(c.rows for c in changes), "calls": sum(c.calls for c in changes)}


def _solve_milliseconds(model: str, samples: list[Sample]) -> float | None:
    """The orchestrator's own account: mean time from a request's arrival to its response."""
    name = "hrm_solve_seconds_{}{{" + model + "}}"
    total, count = (
        sum(one.after.metrics.get(key, 0.0) - one.before.metrics.get(key, 0.0) for one in samples)
        for key in (name.format("sum"), name.format("count"))
    )
    return _MILLI * total / count if count else None
