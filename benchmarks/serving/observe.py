"""What a server says of itself at one moment: Triton's statistics, its metrics, and its processes' time."""

from __future__ import annotations

import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.serving.shared import server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")
_NANO = 1e-9


@dataclass(frozen=True)
class ModelTimes:
    """One model's own account: sums since it was loaded, or between two moments."""

    requests: int = 0
    rows: int = 0
    calls: int = 0
    """Executions: how often the backend was called."""
    seconds: Mapping[str, float] | None = None
    """By part of a request's way through Triton (``PARTS``); every request of a batch counts all of it."""

    def since(self, before: ModelTimes) -> ModelTimes:
        """What came after ``before``."""
        old, new = before.seconds or {}, self.seconds or {}
        return ModelTimes(
            self.requests - before.requests,
            self.rows - before.rows,
            self.calls - before.calls,
            {part: seconds - old.get(part, 0.0) for part, seconds in new.items()},
        )

    def each(self, part: str) -> float:
        """Mean seconds of a request in ``part``."""
        return (self.seconds or {}).get(part, 0.0) / max(1, self.requests)

    @property
    def rows_per_call(self) -> float:
        """Mean batch."""
        return self.rows / max(1, self.calls)


@dataclass(frozen=True)
class Snapshot:
    """A server at one moment."""

    moment: float
    models: Mapping[str, ModelTimes]
    metrics: Mapping[str, float]
    """The orchestrators' own, as ``name{model}`` or ``name{model,label}``."""
    processor: Mapping[tuple[str, int], float]
    """Seconds of processor time by process: ``server`` or its stub's model, and its id."""


def snapshot(running: server.Server) -> Snapshot:
    """Look at a running server."""
    return Snapshot(time.perf_counter(), _models(running), read_metrics(running), _processor(running))


def read_metrics(running: server.Server) -> dict[str, float]:
    """The samples of ``hrm_…`` metrics; of histograms their sums and counts."""
    with urllib.request.urlopen(f"http://{running.metrics}/metrics", timeout=10) as response:
        text = response.read().decode()
    return dict(_samples(text))


def _samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("hrm_") and "le" not in sample.labels:
                labels = [value for name, value in sample.labels.items() if name in ("model", "outcome")]
                yield f"{sample.name}{{{','.join(sorted(labels))}}}", sample.value


def _models(running: server.Server) -> dict[str, ModelTimes]:
    import tritonclient.grpc

    with tritonclient.grpc.InferenceServerClient(running.grpc) as client:
        found = client.get_inference_statistics().model_stats
    return {each.name: _times(each) for each in found}


def _times(message: Any) -> ModelTimes:
    statistics = message.inference_stats
    return ModelTimes(
        requests=statistics.success.count,
        rows=message.inference_count,
        calls=message.execution_count,
        seconds={part: getattr(statistics, part).ns * _NANO for part in PARTS},
    )


def _processor(running: server.Server) -> dict[tuple[str, int], float]:
    stubs = {(server.model_of(stub) or "?", stub.pid): _seconds(stub) for stub in running.stubs()}
    return {("server", running.pid): _seconds(psutil.Process(running.pid)), **stubs}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
