"""The bundled checkpoint, which `hrm-trt build` takes when it is told nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrm_trt.pipeline import bundled

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.workdir import Workdir

NAME = "sudoku-6x6"
PUZZLES = 1000
"""Test puzzles of the demo's gate: more than float engines need, and a demo is not waited for."""
BUNDLE = f"{NAME}-cpu-fp32"


def home() -> Path:
    """The demo's directory."""
    return bundled.directory("checkpoints") / NAME


def settings(workdir: Workdir) -> dict[str, Any]:
    """The demo's recipe."""
    return {
        "name": NAME,
        "checkpoint": str(home()),
        "dataset": str(home() / "dataset"),
        "gate": {"limit": PUZZLES},
        "publish": {"repository": str(workdir.repository)},
    }
