"""The bundled checkpoint, which `hrm-trt build` takes when it is told nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrm_trt.pipeline import bundled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrm_trt.pipeline.workdir import Workdir

NAME = "sudoku-6x6"
PUZZLES = 1000
"""Test puzzles of the demo's gate: more than float engines need, and a demo is not waited for."""
BUNDLE = f"{NAME}-cpu-fp32"


def home() -> Path:
    """The demo's directory."""
    return bundled.directory("checkpoints") / NAME


def settings(workdir: Workdir, targets: Sequence[str] | None = None) -> dict[str, Any]:
    """The demo's recipe; it publishes what it builds for the machine that it runs on."""
    recipe: dict[str, Any] = {
        "name": NAME,
        "checkpoint": str(home()),
        "dataset": str(home() / "dataset"),
        "gate": {"limit": PUZZLES},
    }
    if targets is None or "cpu" in targets:
        recipe["publish"] = {"repository": str(workdir.repository)}
    return recipe
