"""`hrm-trt inspect`: what is in a checkpoint, graph, engine, bundle or published model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from hrm_trt.cli.build_tables import gates_tables
from hrm_trt.cli.console import print_json, results
from hrm_trt.pipeline import inspection
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def inspect_command(what: str, *, workdir: Path | None, json: bool) -> None:
    """Find out what ``what`` is and show it."""
    finding = inspection.inspect(what, Workdir(workdir))
    if json:
        print_json({"format_version": 1, "kind": finding.kind, "what": what, **finding.to_json()})
        return
    results.print(f"[bold]{finding.kind}[/] {escape(what)}")
    results.print(_facts(finding.facts))
    for title, rows in finding.tables.items():
        results.print(_table(title, rows))
    if finding.gates:
        results.print(gates_tables(finding.gates))


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, escape(str(value)))
    return table


def _table(title: str, rows: tuple[Mapping[str, Any], ...]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    return table
