"""What TensorRT-RTX makes of the demo and of a random 27M-parameter HRM, on a machine without a GPU.

    python -m benchmarks.engines [--output FILE.json] [--only demo|27m]

For every precision and module: seconds, bytes of the plan, products by precision, fused attentions, the GPU memory that
activations take at the largest shapes, and the builder's peak of main memory. Every number is from the engine's
sidecar, which the build itself wrote. The random model is calibrated on 32 Sudokus: a scale is as good as another for
what is measured here.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.pipeline import random_checkpoint
from engines.tensorrt.sidecar import Sidecar, read_sidecar
from hrm.generation.sudoku.making import make
from hrm.generation.sudoku.options import SudokuOptions
from hrm.generation.writing import write_dataset
from hrm_trt.pipeline import demo, machine
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir

RESULTS = Path(__file__).parent / "results" / "engines.json"
LIBRARIES = ("torch", "onnx", "nvidia-modelopt", "tensorrt-rtx-cu13-bindings", "numpy")
TARGET = "sm_120"
PRECISIONS = ["fp16", "fp8", "nvfp4"]
MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--only", choices=("demo", "27m"))
    arguments = parser.parse_args()
    models = {}
    with tempfile.TemporaryDirectory() as home:
        if arguments.only != "27m":
            models["demo (789k)"] = build(demo.settings(Workdir(Path(home)), [TARGET]), Path(home))
        if arguments.only != "demo":
            models["random 27M"] = build(random_model(Path(home)), Path(home))
    document = {
        "format_version": 1,
        "benchmark": "engines",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "models": models,
    }
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    for name, rows in models.items():
        show(name, rows)


def random_model(home: Path) -> dict[str, Any]:
    """A recipe for random weights, with a few puzzles to calibrate on."""
    random_checkpoint(home / "random27m.safetensors")
    puzzles = SudokuOptions("3x3", train=0, calibration=32, search=0, test=8)
    write_dataset(home / "dataset", make(puzzles, lambda *_: None))
    return {
        "name": "random-27m",
        "checkpoint": str(home / "random27m.safetensors"),
        "dataset": str(home / "dataset"),
        "calibration": {"puzzles": 32},
    }


def build(settings: dict[str, Any], home: Path) -> list[dict[str, Any]]:
    """Build every engine; returns a row for each one that differs from those before."""
    recipe = make_recipe({**settings, "targets": [TARGET], "precisions": PRECISIONS})
    result = run(recipe, Workdir(home / "work"), until="build")
    rows = {engine.sha256: row(engine.precision, engine.path) for engine in reversed(result.engines) if engine.path}
    assert result.exit_code == 0, [engine.reason for engine in result.engines]
    return list(reversed(rows.values()))


def row(precision: str, path: str) -> dict[str, Any]:
    """One engine's numbers."""
    sidecar: Sidecar = read_sidecar(Path(path))
    return {
        "target": sidecar.target,
        "precision": precision,
        "module": sidecar.module,
        "seconds": round(sidecar.seconds, 2),
        "plan_bytes": sidecar.plan_bytes,
        "weight_bytes": sidecar.weight_bytes,
        "activation_bytes": sidecar.activation_bytes,
        "peak_build_bytes": sidecar.peak_build_bytes,
        "profile": sidecar.profile.model_dump(mode="json"),
        **sidecar.counts.model_dump(mode="json"),
    }


def show(name: str, rows: list[dict[str, Any]]) -> None:
    """Print one model's engines."""
    table = Table(title=name, title_justify="left")
    for column in ("module", "precision"):
        table.add_column(column)
    for column in ("s", "plan MB", "weights MB", "FP4", "FP8", "FP16", "attentions", "activations MB", "peak MB"):
        table.add_column(column, justify="right")
    for each in rows:
        counts = (each[key] for key in ("fp4_gemms", "fp8_gemms", "fp16_gemms", "fused_attentions"))
        table.add_row(
            each["module"],
            each["precision"],
            f"{each['seconds']:.1f}",
            *(f"{each[key] / MB:.1f}" for key in ("plan_bytes", "weight_bytes")),
            *map(str, counts),
            *(f"{each[key] / MB:.0f}" for key in ("activation_bytes", "peak_build_bytes")),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
