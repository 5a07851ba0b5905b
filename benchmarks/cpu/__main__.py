"""HRM on a CPU: every runtime beside PyTorch, on the demo, on the official sample and on a random 27M-parameter model.

    python -m benchmarks.cpu [--home DIR] [--puzzles N] [--repetitions N] [--output FILE.json] [--picture FILE.png]

`hrm-trt` does all of it, as a user would run it: it builds and gates float32 and INT8 engines, and benchmarks them in
turns (`hrm-trt bench`; the 27M model stops after 4 segments, and has nothing to say about accuracy). Then one process
solves one puzzle with the 27M INT8 engines; its resident peak and its time are those of `/usr/bin/time -v`. Last, ONNX
Runtime's own profile of a segment says where the time goes. With a `--home` that is kept, nothing is built twice.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cpu.profile import profile
from benchmarks.cpu.tables import tables
from benchmarks.pipeline import random_checkpoint
from hrm.config import PAPER
from hrm_trt.bench.document import read_bench
from hrm_trt.bench.picture import throughput_figure
from hrm_trt.pipeline import demo, machine

RESULTS = Path(__file__).parents[1] / "results" / "cpu.json"
SAMPLE = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4"
COMMAND = Path(sys.executable).with_name("hrm-trt")
GATED_ON = 1000
SEGMENTS = 4
"""Of the random model: it never halts by itself."""
PRECISIONS = ("fp32", "int8")
RUNTIMES = ("torch", "torch-compile", "onnxruntime")
BATCH = 32
PUZZLE = "." * 40 + "1" + "." * 40
TRIES = 5
SOLVE = """
import sys
from hrm_trt.bench.measure import peak_bytes
from hrm_trt.cli import _command

code = _command()
assert "torch" not in sys.modules
print(peak_bytes(), file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Subject:
    """A model, and how it is built and measured."""

    name: str
    checkpoint: Path
    dataset: Path
    until: str
    bench: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Its bundles, one engine for a whole segment."""
        return tuple(f"{self.name}-cpu-{precision}" for precision in PRECISIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="where everything is built; a temporary directory if left out")
    parser.add_argument("--puzzles", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, help="draws the demo's throughput against latency")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home: Path = arguments.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        document = measure(home, arguments.puzzles, arguments.repetitions)
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")
        if arguments.picture is not None:
            throughput_figure(read_bench(home / "demo.json")).savefig(arguments.picture, dpi=144)
    print(tables(document))


def measure(home: Path, puzzles: int, repetitions: int) -> dict[str, Any]:
    """Build, benchmark and profile everything."""
    found = subjects(home, puzzles)
    for subject in found:
        for precision in PRECISIONS:
            given = ("--checkpoint", subject.checkpoint, "--dataset", subject.dataset, "--name", subject.name)
            hrm_trt(home, "build", *given, "--precision", precision, "--until", subject.until, "--limit", GATED_ON)
    return {
        "format_version": 1,
        "benchmark": "cpu",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "one_process": one_process(home),
        "profile_of_a_segment": {
            name: profile(home / "work" / "bundles" / name, BATCH) for each in found for name in each.models
        },
        "bench": {subject.name: bench(home, subject, repetitions) for subject in found},
    }


def subjects(home: Path, puzzles: int) -> tuple[Subject, ...]:
    """What is measured; makes the random model and its puzzles."""
    checkpoint, dataset = home / "random27m.safetensors", home / "sudoku-9x9"
    if not checkpoint.is_file():
        random_checkpoint(checkpoint, replace(PAPER, halt_max_steps=SEGMENTS))
    if not dataset.is_dir():
        sizes = ("--train", 10, "--calibration", 256, "--search", 10, "--test", 300)
        hrm_trt(home, "data", "sudoku", dataset, *sizes)
    trained = ("--puzzles", str(puzzles), "--policy", "fixed", "--policy", "adaptive")
    random = ("--puzzles", str(BATCH), "--policy", "fixed")
    return (
        Subject("demo", demo.home(), demo.home() / "dataset", "validate", trained),
        Subject("sample", SAMPLE, SAMPLE / "dataset", "validate", trained),
        Subject("random-27m", checkpoint, dataset, "build", random),
    )


def bench(home: Path, subject: Subject, repetitions: int) -> Any:
    """The document of `hrm-trt bench`."""
    path = home / f"{subject.name}.json"
    chosen = [word for name in subject.models for word in ("--model", name)]
    chosen += [word for name in RUNTIMES for word in ("--runtime", name)]
    given = ("--checkpoint", subject.checkpoint, "--dataset", subject.dataset, "--repetitions", repetitions)
    hrm_trt(home, "bench", *chosen, *given, *subject.bench, "--output", path)
    return json.loads(path.read_text())


def one_process(home: Path) -> dict[str, float]:
    """One puzzle solved with the 27M INT8 engines: from the process's start to its end, and its resident peak."""
    words = ("solve", PUZZLE, "--model", "random-27m-cpu-int8", "--policy", "fixed", "--json")
    peaks, seconds = [], []
    for _ in range(TRIES):
        began = time.perf_counter()
        process = subprocess.run(
            [sys.executable, "-c", SOLVE, *words, "--workdir", str(home / "work")],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        seconds.append(time.perf_counter() - began)
        peaks.append(int(process.stderr.split()[-1]))
    return {"segments": SEGMENTS, "seconds": statistics.median(seconds), "peak_bytes": max(peaks)}


def hrm_trt(home: Path, *words: object) -> None:
    """Run the command; its progress is shown."""
    place = () if words[0] == "data" else ("--workdir", home / "work")
    subprocess.run([COMMAND, *map(str, words), *map(str, place)], check=True)


if __name__ == "__main__":
    main()
