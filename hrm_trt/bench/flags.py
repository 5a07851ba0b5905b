"""What a reader of a benchmark must not overlook, found by holding its rows against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm_trt.bench.labels import digits
from hrm_trt.bench.subjects import TORCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrm_trt.bench.document import Row

LOSS = 0.002
"""Exact accuracy that may be missing to PyTorch's: 0.2 points."""
_ROUNDING = 1e-9


def flagged(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, each with what must be said of it beside what it says already."""
    return tuple(row.model_copy(update={"flags": (*row.flags, *_flags(row, rows))}) for row in rows)


def baseline(row: Row, rows: Sequence[Row]) -> Row | None:
    """PyTorch under ``fixed`` at the same batch: what ratios are of."""
    return next((other for other in _alike(row, rows, TORCH) if other.policy == "fixed"), None)


def _flags(row: Row, rows: Sequence[Row]) -> Iterator[str]:
    speed = row.puzzles_per_second.median
    if row.puzzles < row.batch:
        yield f"the batch was never full: {row.puzzles} puzzles for {row.batch} slots"
    if row.runtime != TORCH:
        for other in _alike(row, rows, TORCH):
            if other.policy == row.policy and speed < other.puzzles_per_second.median:
                yield f"slower than PyTorch at the same batch and policy: {_against(row, other)}"
    plain = "fp16" if row.target.startswith("sm_") else "fp32"
    if row.precision != plain:
        for other in _alike(row, rows, row.runtime):
            if _is_plain(other, row, plain) and speed < other.puzzles_per_second.median:
                yield f"slower than {plain} in the same runtime: {_against(row, other)}"
    yield from _losses(row, rows)


def _losses(row: Row, rows: Sequence[Row]) -> Iterator[str]:
    reference = baseline(row, rows) or next((r for r in rows if r.runtime == TORCH and r.policy == "fixed"), None)
    if reference is not None and reference.exact - row.exact > LOSS + _ROUNDING:
        lost = reference.exact - row.exact
        yield (
            f"exact accuracy is {100 * lost:.2f} points below PyTorch's under fixed: "
            f"{row.exact:.2%} against {reference.exact:.2%} of {row.puzzles} puzzles"
        )


def _alike(row: Row, rows: Sequence[Row], runtime: str) -> list[Row]:
    """The rows of ``runtime`` at the same batch."""
    return [other for other in rows if other.runtime == runtime and other.batch == row.batch]


def _is_plain(other: Row, row: Row, plain: str) -> bool:
    same = (other.target, other.topology, other.policy) == (row.target, row.topology, row.policy)
    return same and other.precision == plain


def _against(row: Row, other: Row) -> str:
    ours, theirs = row.puzzles_per_second.median, other.puzzles_per_second.median
    return f"{digits(ours)} against {digits(theirs)} puzzles/s"
