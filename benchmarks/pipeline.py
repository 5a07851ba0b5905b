"""Where a build's time and memory go: every stage of the demo, and of a random 27M-parameter HRM up to its engines.

    python -m benchmarks.pipeline [--output FILE.json]

Each build runs in a process and a work directory of its own. Seconds are wall time; peak memory is the process's
resident peak while the stage ran (Linux's VmHWM, reset before each part), everything that is loaded included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from hrm.config import PAPER
from hrm_trt.pipeline import demo, machine
from hrm_trt.pipeline.events import Event, Finished, Started
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from hrm.config import HRMConfig
    from hrm_trt.pipeline.recipe import Stage

RESULTS = Path(__file__).parent / "results" / "pipeline.json"
LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
MIB = 2**20


@dataclass
class Row:
    """One artefact, or one part of it."""

    stage: str
    subject: str
    seconds: float
    peak_mib: float


@dataclass
class Meter:
    """Watches a build's events."""

    rows: list[Row] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    part: tuple[str, str] | None = None

    def __call__(self, event: Event) -> None:
        """Take the time and the peak of every part."""
        if isinstance(event, Started):
            self._close()
            self.part = (event.stage, event.subject)
            self.began = time.perf_counter()
            Path("/proc/self/clear_refs").write_text("5")
        elif isinstance(event, Finished):
            self._close()

    def _close(self) -> None:
        if self.part is not None:
            self.rows.append(Row(*self.part, time.perf_counter() - self.began, peak_mib()))
        self.part = None


def peak_mib() -> float:
    """Resident peak since it was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measure(settings: dict[str, Any], until: Stage, home: Path, pipe: Any) -> None:
    """Build in this process, and send rows and sizes through ``pipe``."""
    meter = Meter()
    began = time.perf_counter()
    result = run(make_recipe(settings), Workdir(home), until=until, emit=meter)
    seconds = time.perf_counter() - began
    files = [*result.graphs, *result.engines]
    pipe.send(
        {
            "seconds": seconds,
            "stages": [asdict(row) for row in meter.rows],
            "files": [{"module": one.module, "bytes": one.bytes} for one in files],
        }
    )


def build(settings: dict[str, Any], until: Stage) -> dict[str, Any]:
    """One build in a fresh process and work directory."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as home:
        if "publish" in settings:
            settings = {**settings, "publish": {"repository": f"{home}/repository"}}
        ours, theirs = context.Pipe()
        child = context.Process(target=measure, args=(settings, until, Path(home), theirs))
        child.start()
        theirs.close()
        measured: dict[str, Any] = ours.recv()
        child.join()
    return measured


def random_checkpoint(path: Path, config: HRMConfig = PAPER) -> None:
    """An HRM with random weights, 27M if not told otherwise: only speed and size can be learnt from it."""
    from hrm.checkpoint.native import save
    from hrm.network import random_network

    network = random_network(config, seed=0)
    save(config, network.state_dict(), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as home:
        checkpoint = Path(home) / "random27m.safetensors"
        random_checkpoint(checkpoint)
        paper = {"name": "random-27m", "checkpoint": str(checkpoint)}
        builds = {
            "demo (789k), cpu fp32, to the end": build(demo.settings(Workdir(Path(home))), "publish"),
            "random 27M, cpu fp32, to engines": build(paper, "build"),
            "random 27M, sm_120 fp16, to graphs": build({**paper, "targets": ["sm_120"]}, "export"),
        }
    document = {
        "format_version": 1,
        "benchmark": "pipeline",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "builds": builds,
    }
    output.write_text(json.dumps(document, indent=2) + "\n")
    for name, measured in builds.items():
        show(name, measured)


def show(name: str, measured: dict[str, Any]) -> None:
    """Print one build as a table."""
    table = Table(title=f"{name}: {measured['seconds']:.1f} s", title_justify="left")
    for column in ("stage", "part", "seconds", "peak MiB"):
        table.add_column(column, justify="right" if column in ("seconds", "peak MiB") else "left")
    for row in measured["stages"]:
        table.add_row(row["stage"], row["subject"], f"{row['seconds']:.2f}", f"{row['peak_mib']:.0f}")
    sizes = ", ".join(f"{one['module']} {one['bytes'] / MIB:.1f} MiB" for one in measured["files"])
    table.caption = sizes
    Console().print(table)


if __name__ == "__main__":
    main()
