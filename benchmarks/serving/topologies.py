"""What the two-engine form costs: the demo with one engine a segment, and with executor and planner called apart."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.serving.parts import load_models
from benchmarks.serving.points import Sample, Served, clients_process, sample
from benchmarks.serving.shared import server
from benchmarks.serving.subjects import SLOTS
from engines.bundle import MODULES, Topology
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from benchmarks.serving.subjects import Subject

_SUFFIXES: dict[Topology, str] = {"segment": "", "planner-executor": "-planner-executor"}


def compare_topologies(
    subject: Subject, clients: Sequence[int], seconds: float, repetitions: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Both forms on one server, by turns."""
    points: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "repository"
        for topology, suffix in _SUFFIXES.items():
            bundle = subject.bundle.with_name(subject.bundle.name + suffix)
            publish([bundle], repository, topology, keep=1, slots=SLOTS)
        with server.running(repository, Path(scratch)) as running, clients_process() as process:
            for topology in _SUFFIXES:
                load_models(running, *(f"{topology}_{module}" for module in MODULES[topology]), topology)
            forms = [Served(running, name, name, subject.answers["adaptive"], subject.labels) for name in _SUFFIXES]
            for count in clients:
                points += _compare_at(forms, process, count, seconds, repetitions)
                for point in points[-len(forms) :]:
                    say(f"{point['topology']:17} {count:4} clients {point['requests_per_second']:8.1f}/s")
    return {"title": subject.title, "slots": SLOTS, "points": points}


def _compare_at(
    forms: Sequence[Served], process: Executor, clients: int, seconds: float, repetitions: int
) -> list[dict[str, Any]]:
    turns = [[process.submit(sample, form, clients, seconds).result() for form in forms] for _ in range(repetitions)]
    return [_point(form.model, clients, found) for form, *found in zip(forms, *turns, strict=True)]


def _point(topology: str, clients: int, samples: Sequence[Sample]) -> dict[str, Any]:
    checked = [each.checked for each in samples]
    return {
        "topology": topology,
        "clients": clients,
        "requests_per_second": sum(each.answered for each in checked) / sum(each.seconds for each in samples),
        "p50_ms": float(np.median(np.concatenate([each.milliseconds for each in checked]))),
        "wrong": sum(each.wrong + each.other_depth + each.errors.total() for each in checked),
    }
