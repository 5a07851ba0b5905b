"""A benchmark as tables for people: one for each batch, and below it what must be said of its rows."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hrm_trt.bench.compare import differences
from hrm_trt.bench.flags import baseline
from hrm_trt.bench.labels import count, digits, key, label, mean_depth, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from hrm_trt.bench.document import BenchDocument, Row, Spread

_SPEED = ("puzzles/s", "ratio", "latency", "limit", "exact", "depth")
_COST = ("spread", "segment", "open", "first", "peak")
_CHANGE = ("puzzles/s", "was", "change", "exact", "was")
_LEAST = 17
"""Columns for what ran: `onnxruntime fp32,` and then the topology."""
_GIGA = 1e9
_BUSY = 15.0
"""Percent of the processor that the system may use for itself."""


def show(document: BenchDocument, other: BenchDocument | None = None) -> Group:
    """All of one run; with ``other``, what changed against it."""
    parts: list[RenderableType] = []
    for batch, group in groupby(document.rows, key=lambda row: row.batch):
        rows = tuple(group)
        parts.append(_speed(batch, rows, document))
        parts.extend(_flags(rows))
    parts.append(_cost(document.rows))
    if other is not None:
        parts.extend(_against(document, other))
    parts.extend(_refusals(document))
    parts.extend(_legend(document))
    return Group(*parts)


def _speed(batch: int, rows: Sequence[Row], document: BenchDocument) -> Table:
    """How fast and how good the rows of one batch are."""
    puzzles, times = rows[0].puzzles, len(rows[0].puzzles_per_second.each)
    title = f"{escape(document.model)}, batch {batch}: {count(puzzles, 'puzzle')}, {count(times, 'repetition')}"
    table = _empty(title, ("policy",), _SPEED)
    for row in rows:
        table.add_row(escape(label(row)), row.policy, *_numbers(row, document.rows))
    return table


def _numbers(row: Row, rows: Sequence[Row]) -> Iterator[str]:
    reference = baseline(row, rows)
    speed = row.puzzles_per_second.median
    yield f"{'[yellow]![/] ' if row.flags else ''}{digits(speed)}"
    yield "–" if reference is None else f"{speed / reference.puzzles_per_second.median:.2f}"
    yield milliseconds(row.latency_seconds.median)
    yield "–" if row.share_of_limit is None else f"{row.share_of_limit:.0%}"
    yield f"{row.exact:.2%}"
    yield f"{mean_depth(row.depths):.2f}"


def _cost(rows: Sequence[Row]) -> Table:
    """What the rows take beside, and how far their repetitions lie apart."""
    told = any(row.joules_per_puzzle is not None for row in rows)
    table = _empty("What it takes", ("batch", "policy"), (*_COST, "J/puzzle") if told else _COST)
    for row in rows:
        used = "–" if row.joules_per_puzzle is None else digits(row.joules_per_puzzle)
        table.add_row(
            escape(label(row)),
            str(row.batch),
            row.policy,
            _width(row.puzzles_per_second),
            milliseconds(row.segment_seconds.median),
            f"{row.open_seconds:.1f} s",
            milliseconds(row.first_call_seconds),
            decimal(row.peak_bytes),
            *((used,) if told else ()),
        )
    return table


def _empty(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """A table whose first column alone gives way on a narrow terminal."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("engines", min_width=_LEAST)
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _width(spread: Spread) -> str:
    """How far the repetitions lie apart."""
    return "–" if len(spread.each) == 1 else f"{(spread.most - spread.least) / spread.median:.0%}"


def _against(document: BenchDocument, other: BenchDocument) -> Iterator[RenderableType]:
    """What changed, and what else did."""
    table = _empty(f"Against {other.date}", ("batch", "policy"), _CHANGE)
    known = {key(row): row for row in other.rows}
    for row in document.rows:
        cells = (escape(label(row)), str(row.batch), row.policy, digits(row.puzzles_per_second.median))
        was = known.get(key(row))
        if was is None:
            table.add_row(*cells, "–", "new", f"{row.exact:.2%}", "–")
            continue
        change = row.puzzles_per_second.median / was.puzzles_per_second.median
        table.add_row(
            *cells,
            digits(was.puzzles_per_second.median),
            f"[{'green' if change >= 1 else 'red'}]{change - 1:+.1%}[/]",
            f"{row.exact:.2%}",
            f"{was.exact:.2%}",
        )
    yield table
    yield from (f"  [yellow]{escape(difference)}[/]" for difference in differences(document, other))


def _flags(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for flag in row.flags:
            yield f"  [yellow]![/] {escape(f'{label(row)}, {row.policy}: {flag}')}"


def _refusals(document: BenchDocument) -> Iterator[RenderableType]:
    """Each reason once, with all that it holds for."""
    reasons: dict[str, list[str]] = {}
    for each in document.refused:
        reasons.setdefault(each.reason, []).append(f"{each.runtime} {each.target} {each.precision}")
    if not reasons:
        return
    yield "\nNot measured"
    for reason, subjects in reasons.items():
        yield escape(f"  {', '.join(dict.fromkeys(subjects))}: {reason}")


def _legend(document: BenchDocument) -> Iterator[RenderableType]:
    if document.interrupted:
        yield "[yellow]interrupted: not every row was measured as often as was asked for[/]"
    busy = document.machine.get("busy_percent", 0.0)
    if busy > _BUSY:
        yield f"[yellow]other programs used up to {busy:.0f}% of the processor: measure again on a machine at rest[/]"
    lines = [
        f"medians on {count(document.threads, 'thread')}. ratio: to PyTorch's fixed row of the same batch.",
        "latency: from taking a slot to the answer. depth: mean segments. segment: one full call.",
        "spread: of the repetitions' puzzles/s. first: the first segment. peak: resident memory.",
    ]
    if document.matrix_flops is not None and document.matrix_shape is not None:
        shape = " × ".join(map(str, document.matrix_shape))
        lines.append(
            f"limit: {digits(document.matrix_flops / _GIGA)} GFLOP/s, a float32 product of {shape} in "
            f"{document.matrix_by}, same run."
        )
    yield f"\n[dim]{escape(chr(10).join(lines))}[/]"
