"""What a build came to, as tables for people."""

from __future__ import annotations

import shlex
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hrm_trt.cli.console import program, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.bundle import GateRecord
    from hrm_trt.pipeline.result import BuildResult, EngineRow, GraphRow

_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}
_STATUS_COLOURS = {"built": "green", "cached": "green", "failed": "red"}

_EXAMPLE = 28
"""A puzzle of the demo that takes five segments; every data set on which a bundle can pass has that many."""


def show(result: BuildResult, workdir: Path | None) -> None:
    """Print engines, verdicts, where things are, and the command to try next.

    Args:
        result: what the build came to.
        workdir: what `--workdir` was given, for the next command.
    """
    if result.graphs:
        results.print(_graphs(result.graphs))
    if result.engines:
        results.print(_engines(result.engines))
    if result.gates:
        results.print(gates_tables(result.gates))
    for gate in result.gates:
        if gate.verdict != "pass":
            results.print(
                f"[{_COLOURS[gate.verdict]}]{gate.verdict}[/] {escape(f'{gate.bundle}, {gate.policy}: {gate.reason}')}"
            )
    for row in result.published:
        policies = ", ".join(row.policies) or "none"
        results.print(f"published [bold]{escape(row.name)}[/] version {row.version} (policies: {policies})")
        results.print(f"  repository  {escape(str(row.repository))}")
    if result.report is not None:
        results.print(f"  report      {escape(str(result.report / 'report.html'))}")
    if result.bundles:
        model = next(iter(result.bundles))
        command = f"solve --model {model} --example {_EXAMPLE}" if result.published else f"inspect {model}"
        place = "" if workdir is None else f" --workdir {shlex.quote(str(workdir))}"
        results.print(f"try next: [bold]{escape(f'{program()} {command}{place}')}[/]")
    elif not result.engines and not result.graphs:
        results.print(f"loaded {escape(result.given)}: {result.checkpoint['parameters']:,} parameters")


def _graphs(rows: list[GraphRow]) -> Group:
    table = Table(title="Graphs", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("module", "variant"):
        table.add_column(name)
    table.add_column("size", justify="right")
    for row in rows:
        table.add_row(row.module, row.variant, decimal(row.bytes))
    places = dict.fromkeys(str(Path(row.path).parent) for row in rows)
    return Group(table, *(f"  in {escape(place)}" for place in places))


def _engines(rows: list[EngineRow]) -> Group:
    table = Table(title="Engines", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("module", "built for", "runtime", "status"):
        table.add_column(name)
    table.add_column("size", justify="right")
    table.add_column("built in", justify="right")
    for row in rows:
        table.add_row(
            row.module,
            f"{row.target} {row.precision}",
            row.runtime or "–",
            f"[{_STATUS_COLOURS.get(row.status, 'yellow')}]{row.status}[/]",
            "–" if row.bytes is None else decimal(row.bytes),
            "–" if row.seconds is None else f"{row.seconds:.2f} s",
        )
    for reason in dict.fromkeys(row.reason for row in rows if row.reason):
        table.caption = f"{table.caption}\n{escape(reason)}" if table.caption else escape(reason)
    commands = dict.fromkeys(row.command for row in rows if row.command)
    return Group(table, *(f"to finish it: [bold]{escape(command)}[/]" for command in commands))


def gates_tables(gates: Sequence[GateRecord]) -> Group:
    """Verdicts: a table for each bundle, one row a policy."""
    tables = [_gates_table(bundle, tuple(group)) for bundle, group in groupby(gates, key=lambda gate: gate.bundle)]
    allowed = ", ".join(sorted({f"{gate.tolerance:.2%}" for gate in gates}))
    legend = (
        f"loss ≤: upper bound of the loss against PyTorch float32; {allowed} is allowed. depth: mean segments used."
    )
    return Group(*tables, f"[dim]{legend}[/]\n")


def _gates_table(bundle: str, gates: Sequence[GateRecord]) -> Table:
    table = Table(title=f"Exact accuracy of [bold]{escape(bundle)}[/]", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("policy")
    for name in ("PyTorch", "engine", "lost/won", "of", "depth", "loss ≤"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for gate in gates:
        table.add_row(
            gate.policy,
            f"{gate.baseline_exact:.2%}",
            f"{gate.engine_exact:.2%}",
            f"{gate.flips_lost}/{gate.flips_won}",
            str(gate.n),
            f"{gate.mean_depth:.2f}",
            f"{gate.upper_bound:.2%}",
            f"[{_COLOURS[gate.verdict]}]{gate.verdict}[/]",
        )
    return table
