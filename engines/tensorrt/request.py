"""What goes to the builder's own process and what comes back, each as one JSON file."""

from __future__ import annotations

from pathlib import Path

from engines.tensorrt.options import BuilderOptions
from hrm.documents import Document

Shape = tuple[int, ...]


class Shapes(Document):
    """The shapes of one input that a plan is built for."""

    min: Shape
    opt: Shape
    max: Shape


class Request(Document):
    """One plan to build."""

    runtime: str
    target: str
    graph: Path
    plan: Path
    """Where to write it."""
    words: Path
    """Where to write all that the builder said."""
    shapes: dict[str, Shapes]
    """By input."""
    options: BuilderOptions


class Refusal(Document):
    """A node that the parser did not take."""

    operator: str
    node: str
    reason: str


class Answer(Document):
    """What came of it: a plan, or why there is none."""

    version: str = ""
    refusals: tuple[Refusal, ...] = ()
    fault: str | None = None
    """Why the builder gave no plan."""
    disk_fault: int | None = None
    """``errno`` of what could not be written."""
    seconds: float = 0.0
    peak_bytes: int = 0
    """The most memory that the process had at once."""
    timing_cache_before: str | None = None
    """Digest of the timing cache that it started with."""
    timing_cache_after: str | None = None
