"""A long mixed load on the demo's orchestrator, with the server's memory watched."""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any

from benchmarks.serving.observe import read_metrics
from benchmarks.serving.parts import serving
from benchmarks.serving.points import clients_process
from benchmarks.serving.shared import server, soak

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from benchmarks.serving.subjects import Subject

CLIENTS = 32
_LONGEST_WAIT = 0.3
"""Seconds within which requests are cancelled, or must be answered: about what one takes under this load."""
_SAMPLES = 600
_SETTLE_SECONDS = 10.0


def run_soak(subject: Subject, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Good requests among cancelled, hurried and malformed ones, for ``seconds``."""
    mix = soak.make_mix(
        subject.name, subject.answers["adaptive"], vocabulary=subject.vocabulary, longest_wait=_LONGEST_WAIT
    )
    with serving(subject) as running, clients_process() as process:
        work = process.submit(soak.soak, running.grpc, mix, clients=CLIENTS, seconds=seconds)
        memory = _watch(running, work, max(1.0, seconds / _SAMPLES))
        report: soak.Report = work.result()
        slots = _slots_when_settled(running, subject.name)
    processes = [process for process in memory[0] if process != "second"]
    growth = {process: soak.growth([sample[process] for sample in memory]) for process in processes}
    say(f"soak: {sum(report.per_second.values())} requests, {report.failed} ended as they should not")
    return {
        "seconds": seconds,
        "clients": CLIENTS,
        "outcomes": {kind: dict(counts) for kind, counts in report.outcomes.items()},
        "failed": report.failed,
        "failures": report.failures,
        "slots_in_use": slots,
        "growth": growth,
        "resident_mib": memory,
        "requests_each_second": [report.per_second[second] for second in range(int(seconds))],
    }


def _watch(running: server.Server, work: Future[soak.Report], interval: float) -> list[dict[str, float]]:
    """Resident memory until the work is done."""
    began, found = time.monotonic(), []
    while True:
        found.append({"second": round(time.monotonic() - began, 1), **soak.resident(running)})
        try:
            work.result(timeout=interval)
        except NotYet:
            continue
        return found


def _slots_when_settled(running: server.Server, name: str) -> float:
    """The gauge when nobody asks anything any more; it is written a few times a second."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        held = read_metrics(running)[f"hrm_slots_in_use{{{name}}}"]
        if not held or time.monotonic() > deadline:
            return held
        time.sleep(0.1)
