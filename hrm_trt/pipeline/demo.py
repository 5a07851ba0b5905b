"""The bundled checkpoint, which `hrm-trt build` takes when it is told nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrm_trt.pipeline.workdir import Workdir

NAME = "sudoku-4x4"
BUNDLE = f"{NAME}-cpu-fp32"
_HERE = Path(__file__).resolve()


def home() -> Path:
    """The demo's directory: in a clone beside the packages, in a wheel inside this one."""
    bundled = _HERE.parents[1] / "_checkpoints"
    return (bundled if bundled.is_dir() else _HERE.parents[2] / "checkpoints") / NAME


def settings(workdir: Workdir) -> dict[str, Any]:
    """The demo's recipe."""
    return {
        "name": NAME,
        "checkpoint": str(home()),
        "dataset": str(home() / "dataset"),
        "publish": {"repository": str(workdir.repository)},
    }
