"""Whether `hrm-trt capacity` tells the truth: its simulator beside the real scheduler and the demo's real engine.

    python -m benchmarks.capacity [--workdir DIR] [--rounds N] [--seconds S] [--output FILE.json]

A round measures the engine's segments at several row counts and its throughput with all slots taken, as a benchmark
does, and then lets puzzles arrive in real time (Poisson) at two loads. Each load is simulated twice: with the same
arrivals and depths, which tests the simulator, and as the command does it, with drawn ones, which tests the plan. The
round ends with the segments measured again: its `drift` says how far the machine itself has changed meanwhile, and no
prediction can be better than that. The demo must have been built; nothing is written to its work directory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from engines.onnx_session import RuntimeOptions
from engines.slots import Row, Slots
from engines.solving import solve
from hrm.data.dataset import read_split
from hrm_trt.capacity.measured import calibrated, step_seconds
from hrm_trt.capacity.plan import PUZZLES, SHARE
from hrm_trt.capacity.simulate import Replica, Traffic, draw, poisson, quantile, simulate
from hrm_trt.pipeline import machine
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    import numpy.typing as npt

    from engines.act import Policy
    from engines.stepper import EngineStepper

RESULTS = Path(__file__).parent / "results" / "capacity.json"
LIBRARIES = ("numpy", "onnxruntime")
SLOTS = 32
ROWS = (1, 2, 4, 8, 16, 32)
TURNS, STEPS = 4, 5
TEST_PUZZLES = 1000
LOADS = (0.5, 0.8)
"""Arrivals over what full slots answer."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The demo's engines and puzzles."""

    stepper: EngineStepper
    policy: Policy
    inputs: npt.NDArray[np.int32]
    identifiers: npt.NDArray[np.int32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    subject = open_demo(arguments.workdir, arguments.threads)
    rounds = [round_of(subject, seed, arguments.seconds) for seed in range(arguments.rounds)]
    document = {
        "format_version": 1,
        "benchmark": "capacity",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "threads": arguments.threads,
        "slots": SLOTS,
        "policy": subject.policy.name,
        "seconds_per_load": arguments.seconds,
        "rounds": rounds,
        "summary": summary(rounds),
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    show(document["summary"])


def open_demo(workdir: Path | None, threads: int) -> Subject:
    """The demo's bundle, warm."""
    model = find_model(None, Workdir(workdir))
    puzzles = read_split(model.dataset(None), model.split, TEST_PUZZLES)
    stepper = model.open(RuntimeOptions(threads=threads))
    subject = Subject(stepper, model.policy("adaptive"), puzzles.inputs, puzzles.puzzle_identifiers)
    solve(stepper, subject.inputs[:SLOTS], subject.identifiers[:SLOTS], subject.policy, batch=SLOTS)
    return subject


def round_of(subject: Subject, seed: int, seconds: float) -> dict[str, Any]:
    """Measure the engine, and then each load."""
    measured = segments(subject)
    began = time.perf_counter()
    depths = solve(subject.stepper, subject.inputs, subject.identifiers, subject.policy, batch=SLOTS).depth
    seconds = time.perf_counter() - began
    replica = calibrated(step_seconds(measured, SLOTS), depths, seconds, lone_seconds(subject))
    loads = [load_of(subject, replica, depths.astype(np.int64), load, seconds, seed) for load in LOADS]
    return {
        "segment_seconds": measured,
        "drift": {rows: after / measured[rows] for rows, after in segments(subject).items()},
        "puzzle_seconds": replica.puzzle_seconds,
        "admission_seconds": replica.admission_seconds,
        "puzzles_per_second": replica.throughput(float(depths.mean())),
        "mean_depth": float(depths.mean()),
        "loads": loads,
    }


def lone_seconds(subject: Subject) -> float:
    """Seconds a puzzle where there is one slot."""
    began = time.perf_counter()
    solve(subject.stepper, subject.inputs, subject.identifiers, subject.policy, batch=1)
    return (time.perf_counter() - began) / len(subject.inputs)


def segments(subject: Subject) -> dict[int, float]:
    """Median seconds of a step, by rows; the row counts take turns, a few steps each, as in a batch that goes on."""
    stepper = subject.stepper
    seconds: dict[int, list[float]] = {rows: [] for rows in ROWS}
    embedded = {rows: stepper.encode(subject.inputs[:rows], subject.identifiers[:rows]) for rows in ROWS}
    for rows in ROWS * TURNS:
        state = stepper.initial_carry(rows)
        for _ in range(STEPS):
            began = time.perf_counter()
            stepper.step(*state, embedded[rows])
            seconds[rows].append(time.perf_counter() - began)
    return {rows: statistics.median(each) for rows, each in seconds.items()}


def load_of(
    subject: Subject, replica: Replica, depths: npt.NDArray[np.int64], load: float, seconds: float, seed: int
) -> dict[str, Any]:
    """Puzzles that arrive for so many seconds: what came of them, and what was predicted."""
    rate = load * replica.throughput(float(depths.mean()))
    which = np.random.default_rng(seed).integers(len(depths), size=max(1, round(rate * seconds)))
    traffic = poisson(depths[which], seed).faster(rate)
    found = drive(subject, traffic, which)
    same = simulate(replica, traffic)
    histogram = dict(enumerate(np.bincount(depths).tolist()))
    drawn = simulate(replica, poisson(draw({k: n for k, n in histogram.items() if n}, PUZZLES), seed).faster(rate))
    values = {
        "found": figures(found, traffic),
        "predicted": figures(same.latency, traffic),
        "planned": figures(drawn.latency, None, rate),
    }
    return {"load": load, "rate": rate, "puzzles": len(which), "busy": same.busy, **values}


def drive(subject: Subject, traffic: Traffic, which: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Let the puzzles arrive in real time; returns each one's seconds from arrival to answer, [N]."""
    slots: Slots[int] = Slots(subject.stepper, SLOTS)
    arrivals = traffic.arrivals.tolist()
    rows = [
        Row(subject.inputs[puzzle], int(subject.identifiers[puzzle]), subject.policy, owner)
        for owner, puzzle in enumerate(which)
    ]
    latency, front = np.zeros(len(rows)), 0
    began = time.perf_counter()
    while front < len(rows) or not slots.idle:
        now, first = time.perf_counter() - began, front
        while front < len(rows) and arrivals[front] <= now:
            front += 1
        slots.submit(rows[first:front])
        if slots.idle:
            time.sleep(arrivals[front] - now)
            continue
        answers = slots.turn().answers
        now = time.perf_counter() - began
        for row in answers:
            latency[row.owner] = now - arrivals[row.owner]
    return latency


def figures(latency: npt.NDArray[np.float64], traffic: Traffic | None, rate: float = 0.0) -> dict[str, float]:
    """Answers per second from the first arrival to the last answer, or the rate, and latencies in seconds."""
    if traffic is not None:
        rate = len(latency) / float((traffic.arrivals + latency).max() - traffic.arrivals[0])
    return {
        "puzzles_per_second": rate,
        "mean": float(latency.mean()),
        "p50": quantile(latency, 0.5),
        "p99": quantile(latency, SHARE),
    }


def summary(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By load and prediction: what was predicted over what was found, median and ends of the rounds."""
    lines = []
    for index, load in enumerate(LOADS):
        each = [one["loads"][index] for one in rounds]
        for kind in ("predicted", "planned"):
            ratios = {key: sorted(one[kind][key] / one["found"][key] for one in each) for key in each[0]["found"]}
            spans = {
                key: {"median": statistics.median(values), "least": values[0], "most": values[-1]}
                for key, values in ratios.items()
            }
            lines.append({"load": load, "kind": kind, "over_found": spans})
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    """Print the ratios."""
    table = Table(title="predicted / found, median (least to most)", title_justify="left")
    for name in ("load", "", "per second", "mean", "p50", "p99"):
        table.add_column(name)
    for line in lines:
        spans = (f"{one['median']:.2f} ({one['least']:.2f}–{one['most']:.2f})" for one in line["over_found"].values())
        table.add_row(f"{line['load']:.0%}", line["kind"], *spans)
    Console().print(table)


if __name__ == "__main__":
    main()
