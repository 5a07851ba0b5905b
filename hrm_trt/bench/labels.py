"""How rows and their numbers are written, in tables, pictures and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrm_trt.bench.document import Row


class Key(NamedTuple):
    """What tells one row from another, in one document and across two."""

    runtime: str
    target: str
    precision: str
    topology: str
    model: str | None
    batch: int
    policy: str


class _Named(Protocol):
    @property
    def runtime(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def topology(self) -> str: ...


def key(row: Row) -> Key:
    """The row's identity."""
    return Key(row.runtime, row.target, row.precision, row.topology, row.model, row.batch, row.policy)


def label(row: _Named) -> str:
    """What ran: ``onnxruntime fp32``; the target and the topology where they are not the usual ones."""
    target = "" if row.target == "cpu" else f" {row.target}"
    topology = "" if row.topology == "segment" else f", {row.topology}"
    return f"{row.runtime}{target} {row.precision}{topology}"


def mean_depth(depths: Mapping[int, int]) -> float:
    """Segments that a puzzle took on average, of how many puzzles took how many."""
    return sum(depth * count for depth, count in depths.items()) / sum(depths.values())


def digits(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def count(number: int, what: str) -> str:
    """``1 puzzle``, ``1,000 puzzles``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{digits(1000 * seconds)} ms"
