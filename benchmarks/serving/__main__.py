"""What in-flight batching brings on a real tritonserver, against three other designs on the same engines.

    python -m benchmarks.serving [--only demo standin 27m perf_analyzer] [--soak SECONDS]

Three sets of engines: the demo's; a stand-in whose call costs 5 ms whatever its rows, with the demo's depths; and a
random 27M-parameter model at four segments, which is compared with the in-process runner. Clients run in a process of
their own and check every answer against the in-process runner's. Client, server, orchestrator and engines share this
machine's cores. Needs the tests' server (`make .venv/triton-server/ready`); the demo is built if it is not there yet.

Results are written when a part is done, and parts that did not run keep what the file had of them, with their dates.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.serving.designs.standin import serve_slowly
from benchmarks.serving.goals import goals
from benchmarks.serving.parts import against_in_process, compare
from benchmarks.serving.picture import PICTURE, draw
from benchmarks.serving.report import tables
from benchmarks.serving.soak import run_soak
from benchmarks.serving.subjects import Subject, demo_subject, paper_subject, standin_subject
from benchmarks.serving.topologies import compare_topologies
from benchmarks.serving.witness import witness
from hrm_trt.pipeline import machine
from hrm_trt.pipeline.workdir import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parents[1] / "results" / "serving.json"
LIBRARIES = ("numpy", "onnxruntime", "tritonclient", "grpcio")
SERVER = "tritonserver 2.51.0 (24.10), nvidia-pytriton 0.7.0"
PARTS = ("demo", "standin", "27m", "topologies", "perf_analyzer")
FEW_CLIENTS = (1, 32)
PAPER_ROUNDS = 8
"""Requests of a lone client."""
_WIDTH = 110


@dataclass(frozen=True)
class Run:
    """What was asked for."""

    home: Path
    workdir: Path
    clients: tuple[int, ...]
    seconds: float
    repetitions: int
    puzzles: int
    soak: float
    say: Callable[[str], None]

    @cached_property
    def demo(self) -> Subject:
        """The demo's engines."""
        self.say("the demo's engines, and the in-process runner's answers")
        return demo_subject(self.workdir, self.puzzles)

    @cached_property
    def standin(self) -> Subject:
        """The stand-in's."""
        return standin_subject(self.home, self.demo.depths)

    def part(self, name: str) -> dict[str, Any]:
        """Measure one part."""
        how = (self.clients, self.seconds, self.repetitions, self.say)
        if name == "demo":
            return compare(self.demo, *how)
        if name == "standin":
            return compare(self.standin, *how, prepare=partial(serve_slowly, name=self.standin.name))
        if name == "27m":
            subject = paper_subject(self.workdir, self.home, max(FEW_CLIENTS))
            return against_in_process(subject, FEW_CLIENTS, PAPER_ROUNDS, self.repetitions, self.say)
        if name == "topologies":
            return compare_topologies(self.demo, FEW_CLIENTS, self.seconds, self.repetitions, self.say)
        if name == "soak":
            return run_soak(self.demo, self.soak, self.say)
        slowly = partial(serve_slowly, name=self.standin.name)
        return witness([(self.demo, None), (self.standin, slowly)], self.seconds, self.home, self.say)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts; none if empty")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="also load the demo for so long")
    parser.add_argument("--clients", type=int, nargs="+", default=(1, 8, 32, 128))
    parser.add_argument("--seconds", type=float, default=4.0, help="of one design at one load, each time")
    parser.add_argument("--repetitions", type=int, default=2, help="turns that the designs take")
    parser.add_argument("--puzzles", type=int, default=500, help="of the demo's test set")
    parser.add_argument("--workdir", type=Path, default=DEFAULT, help="where builds are kept")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    console = Console(width=max(_WIDTH, Console().width))
    document: dict[str, Any] = {
        "format_version": 1,
        "benchmark": "serving",
        "machine": machine.describe(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES} | {"server": SERVER},
        "parts": _measured(arguments.output),
    }
    with tempfile.TemporaryDirectory() as home:
        run = Run(
            home=Path(home),
            workdir=arguments.workdir.absolute(),
            clients=tuple(arguments.clients),
            seconds=arguments.seconds,
            repetitions=arguments.repetitions,
            puzzles=arguments.puzzles,
            soak=arguments.soak,
            say=lambda text: console.print(text, highlight=False),
        )
        for name in (*arguments.only, *(["soak"] if arguments.soak else [])):
            console.rule(name)
            part = run.part(name)
            document["parts"][name] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **part}
            _write(arguments.output, document)
    for table in tables(document["parts"]):
        console.print(table, highlight=False)
    draw(document["parts"], arguments.picture)


def _measured(output: Path) -> dict[str, Any]:
    """What earlier runs have left."""
    return dict(json.loads(output.read_text())["parts"]) if output.is_file() else {}


def _write(output: Path, document: dict[str, Any]) -> None:
    date = max(part["date"] for part in document["parts"].values())
    reached = [goal.to_dict() for goal in goals(document["parts"])]
    output.write_text(json.dumps({**document, "date": date, "goals": reached}, indent=2) + "\n")


if __name__ == "__main__":
    main()
