"""What a build tells whoever watches it; the pipeline knows nothing of terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A stage began to work on ``subject``."""

    stage: str
    subject: str


@dataclass(frozen=True)
class Progressed:
    """A stage has done ``done`` of ``total`` puzzles."""

    stage: str
    subject: str
    done: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A stage's artefact is there: made just now in ``seconds``, or found in the store."""

    stage: str
    subject: str
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Noted:
    """Something a person should know."""

    text: str


Event = Started | Progressed | Finished | Noted
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Watch nothing."""
    del event
