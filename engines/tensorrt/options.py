"""How hard the builder tries, and what its plans may run on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from engines.tensorrt.library import LIBRARIES
from hrm.documents import Document
from hrm.errors import UsageError


class BuilderOptions(Document):
    """What a recipe says of the builder. Weights always lie in the GPU's memory: streaming them is off."""

    optimisation_level: int = Field(3, ge=0, le=5)
    """From the quickest build to the quickest engine."""
    workspace_mib: int | None = Field(None, ge=1)
    """GPU memory that one layer may use as scratch; the library's own limit where nothing is said."""
    hardware_compatible: bool = False
    """A plan for Ampere and everything newer, slower than one for a single architecture; classic TensorRT alone."""
    version_compatible: bool = False
    """A plan that newer releases of the same major version load as well; classic TensorRT alone."""
    timing_cache: Path | None = None
    """What was timed before. A file that is there is used and never changed; one that is not is written after the
    build. Classic TensorRT alone."""


def check_options(options: BuilderOptions, runtime: str) -> None:
    """Refuse what the library of ``runtime`` does not have.

    Raises:
        UsageError: an option is set that would do nothing.
    """
    idle = sorted(name for name in LIBRARIES[runtime].unsupported if getattr(options, name))
    if idle:
        raise UsageError(
            f"{runtime} has no {', '.join(idle)}",
            why="it would be accepted and do nothing",
            hint="leave it out of `builder` in the recipe, or build with `--runtime tensorrt`",
        )
