"""What the orchestrator has to know about the engines that it drives: ``settings.json``, written by a publication."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.act import Policy

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Settings:
    """One version of one set of models."""

    name: str
    version: int
    topology: str
    """``segment`` or ``planner-executor``."""
    models: dict[str, str]
    """Triton's name of each module's model."""
    sequence: int
    tokens: int
    """Sequence and the puzzle tokens before it."""
    hidden_size: int
    vocab_size: int
    identifiers: int
    """How many puzzle identifiers there are."""
    H_cycles: int
    L_cycles: int
    max_depth: int
    policies: dict[str, float | None]
    """Those that were gated, with the threshold of ``confidence``."""
    default_policy: str
    puzzle_input: str | None
    """What the encoder takes beside the tokens: ``puzzle_identifiers``, ``puzzle_embedding`` or nothing."""
    carry: str
    puzzle_table: str | None
    graph_batches: tuple[int, ...] = ()
    """Batch sizes for which engines have a CUDA graph, ascending; none on a CPU."""
    format_version: int = 1

    def policy(self, name: str | None, max_depth: int | None) -> Policy:
        """What a client asked for, or what it gets when it did not say.

        Raises:
            ValueError: it may not have that.
        """
        name = self.default_policy if name is None else name
        if name not in self.policies:
            raise ValueError(f"policy {name!r} was not gated for this model; there is {', '.join(self.policies)}")
        depth = self.max_depth if max_depth is None else max_depth
        if not 1 <= depth <= self.max_depth:
            raise ValueError(f"max_depth is {depth}; it must be from 1 to {self.max_depth}")
        return Policy.of(name, depth, self.policies[name])  # type: ignore[arg-type]


def read_settings(path: Path) -> Settings:
    """The settings in ``path``.

    Raises:
        TypeError: a key is missing or unknown.
        ValueError: it is no JSON, or of another format.
    """
    values = json.loads(path.read_bytes())
    if values.get("format_version") != 1:
        raise ValueError(f"{path.name} has format {values.get('format_version')}; this orchestrator reads 1")
    return Settings(**values | {"graph_batches": tuple(values.get("graph_batches", ()))})
