"""The parts of the benchmark: designs compared on one bundle, and the orchestrator against the in-process runner."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tritonclient.grpc

from benchmarks.serving.designs.placing import RIVALS, Design, place_rivals, rival_model
from benchmarks.serving.points import Sample, Served, clients_process, rows_per_call, sample, summary
from benchmarks.serving.shared import load, server
from benchmarks.serving.subjects import PAPER_SEGMENTS, SLOTS, in_process
from engines.act import Policy
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    import numpy.typing as npt

    from benchmarks.serving.subjects import Subject

IN_FLIGHT = Design("in-flight", "in flight", "adaptive", gang=False)
DESIGNS = (IN_FLIGHT, *RIVALS)


@contextlib.contextmanager
def serving(subject: Subject, prepare: Callable[[Path], None] | None = None) -> Iterator[server.Server]:
    """A server of its own on a repository with this subject, published, prepared and loaded."""
    with tempfile.TemporaryDirectory() as scratch:
        repository = Path(scratch) / "repository"
        publish([subject.bundle], repository, subject.name, keep=1, slots=SLOTS)
        if prepare is not None:
            prepare(repository)
        with server.running(repository, Path(scratch)) as running:
            load_models(running, f"{subject.name}_encoder", f"{subject.name}_segment", subject.name)
            yield running


def load_models(running: server.Server, *names: str) -> None:
    """Have the server read these models."""
    with tritonclient.grpc.InferenceServerClient(running.grpc) as client:
        for name in names:
            client.load_model(name)


def compare(
    subject: Subject,
    clients: Sequence[int],
    seconds: float,
    repetitions: int,
    say: Callable[[str], None],
    prepare: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """All designs on one subject at each number of clients; they take turns, so that they share the machine's mood."""
    points: list[dict[str, Any]] = []
    found = {**about(subject), "depths": depths(subject.depths), "points": points}
    places: list[Path] = []

    def remember(repository: Path) -> None:
        places.append(repository)
        if prepare is not None:
            prepare(repository)

    with serving(subject, remember) as running, clients_process() as process:
        for count in clients:
            points += _compare_at(subject, running, places[0], process, count, seconds, repetitions)
            for point in points[-len(DESIGNS) :]:
                say(line(point))
    return found


def _compare_at(
    subject: Subject,
    running: server.Server,
    repository: Path,
    process: Executor,
    clients: int,
    seconds: float,
    repetitions: int,
) -> list[dict[str, Any]]:
    served = {design.key: _served(subject, running, design) for design in DESIGNS}
    samples: dict[str, list[Sample]] = {design.key: [] for design in DESIGNS}
    gang = 0
    for _ in range(repetitions):
        for design in DESIGNS:
            samples[design.key].append(process.submit(sample, served[design.key], clients, seconds).result())
            if design.key == IN_FLIGHT.key:
                rows = rows_per_call(served[design.key], samples[design.key][-1:])
                gang = _match_gangs(subject.name, running, repository, gang, rows)
    return [
        {"design": design.key, "clients": clients, "gang": design.gang}
        | summary(served[design.key], samples[design.key])
        for design in DESIGNS
    ]


def _match_gangs(name: str, running: server.Server, repository: Path, gang: int, rows: float) -> int:
    """Have the rivals wait for as many rows as the orchestrator's calls had just now; how many that is."""
    wanted = max(1, round(rows))
    if wanted != gang:
        place_rivals(repository, name, wanted)
        load_models(running, *(rival_model(name, rival) for rival in RIVALS))
    return wanted


def _served(subject: Subject, running: server.Server, design: Design) -> Served:
    model = subject.name if design.key == IN_FLIGHT.key else rival_model(subject.name, design)
    return Served(running, model, subject.name, subject.answers[design.policy], subject.labels)


def depths(found: npt.NDArray[np.int32]) -> dict[str, Any]:
    """How deep the puzzles go under adaptive halting."""
    occurring, counts = np.unique(found, return_counts=True)
    histogram = {str(depth): int(count) for depth, count in zip(occurring, counts, strict=True)}
    return {"mean": float(found.mean()), "puzzles": len(found), "counts": histogram}


def against_in_process(
    subject: Subject, clients: Sequence[int], rounds: int, repetitions: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The orchestrator at a fixed number of segments, and the in-process runner on the same puzzles, by turns."""
    inputs = subject.answers["fixed"].inputs
    policy = Policy("fixed", PAPER_SEGMENTS)
    depth = {"max_depth": np.array([[PAPER_SEGMENTS]], dtype=np.int32)}
    points = []
    with serving(subject) as running, clients_process() as process:
        for count in clients:
            puzzles = inputs[: max(rounds, count)]
            samples, alone = [], []
            for _ in range(repetitions):
                answers, seconds = in_process(subject.bundle, puzzles, policy, count)
                alone.append(len(puzzles) * PAPER_SEGMENTS / seconds)
                expected = load.Puzzles(puzzles, answers.tokens, answers.depth)
                served = Served(
                    running, subject.name, subject.name, expected, answers.tokens, depth, {"policy": policy.name}
                )
                process.submit(sample, served, 1, 0.0, limit=1).result()  # the first call of an engine takes longer
                samples.append(process.submit(sample, served, count, 0.0, limit=len(puzzles)).result())
            point = {"design": IN_FLIGHT.key, "clients": count, **summary(served, samples)}
            point["segments_per_second"] = point["requests_per_second"] * PAPER_SEGMENTS
            point["in_process_segments_per_second"] = float(np.mean(alone))
            point["in_process_each_repetition"] = alone
            points.append(point)
            say(line(point))
    return {**about(subject), "segments": PAPER_SEGMENTS, "points": points}


def about(subject: Subject) -> dict[str, Any]:
    """What every part says of what it served."""
    return {"name": subject.name, "title": subject.title, "slots": SLOTS}


def line(point: dict[str, Any]) -> str:
    """One point, for whoever watches."""
    numbers = f"{point['requests_per_second']:8.1f}/s  p50 {point['p50_ms']:8.1f} ms  p99 {point['p99_ms']:8.1f} ms"
    return f"{point['design']:12} {point['clients']:4} clients  {numbers}  {point['rows_per_call']:5.1f} rows"
