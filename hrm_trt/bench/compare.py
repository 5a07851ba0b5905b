"""A benchmark held against another of the same checkpoint: another day, another machine, another version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.errors import UsageError
from hrm_trt.bench.document import read_bench
from hrm_trt.bench.labels import count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrm_trt.bench.document import BenchDocument


def read_other(path: Path, checkpoint: str) -> BenchDocument:
    """The document at ``path``, if it can be compared with a benchmark of ``checkpoint``.

    Raises:
        UsageError: it is no document of this version, or another checkpoint's.
    """
    other = read_bench(path)
    if other.checkpoint != checkpoint:
        raise UsageError(
            f"{path} cannot be compared with",
            why=f"it measures {other.model}, the checkpoint {other.checkpoint[:12]}…, and this is {checkpoint[:12]}…",
            hint="compare benchmarks of one checkpoint: name its bundles with --model, or it with --checkpoint",
        )
    return other


def differences(ours: BenchDocument, theirs: BenchDocument) -> Iterator[str]:
    """What else is different, and may be why."""
    if ours.dataset != theirs.dataset or _puzzles(ours) != _puzzles(theirs):
        yield "other puzzles there"
    if ours.threads != theirs.threads:
        yield f"{count(theirs.threads, 'thread')} there, {ours.threads} here"
    for fact in ("processor", "cores"):
        there, here = theirs.machine.get(fact), ours.machine.get(fact)
        if there != here:
            yield f"{fact}: {there} there, {here} here"
    for name in sorted(ours.versions.keys() & theirs.versions.keys()):
        there, here = theirs.versions[name], ours.versions[name]
        if there != here:
            yield f"{name} {there} there, {here} here"
    if theirs.interrupted:
        yield "that one was interrupted"


def _puzzles(document: BenchDocument) -> set[int]:
    return {row.puzzles for row in document.rows}
