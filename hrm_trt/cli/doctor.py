"""`hrm-trt doctor`: what this machine can build and run, what is missing, and the command that gets it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from engines.runtimes import obstacles
from engines.targets import TARGETS
from hrm_trt.cli.console import print_json, results
from hrm_trt.pipeline import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrm_trt.pipeline.machine import Ability


def doctor_command(*, json: bool) -> None:
    """Look around and say so."""
    if json:
        print_json(_document())
        return
    for key, value in machine.describe().items():
        results.print(f"{key:<12} {value}", markup=False, highlight=False)
    results.print(f"{'gpus':<12} {', '.join(machine.gpus()) or 'none'}", markup=False, highlight=False)
    results.print(_packages())
    abilities = machine.abilities()
    results.print(_abilities(abilities))
    results.print(_refusals(abilities))
    results.print(_runtimes())
    missing = [package for package in machine.PACKAGES if package.version is None]
    for extra in dict.fromkeys(package.extra for package in missing):
        names = ", ".join(package.name for package in missing if package.extra == extra)
        results.print(f"to get {names}: [bold]pip install 'hrm-trt\\[{extra}]'[/]")


def _document() -> dict[str, object]:
    return {
        "format_version": 1,
        "machine": machine.describe(),
        "gpus": machine.gpus(),
        "packages": [{**asdict(package), "version": package.version} for package in machine.PACKAGES],
        "targets": [asdict(row) for row in machine.abilities()],
        "runtimes": [{"runtime": name, "reason": reason} for name, reason in obstacles().items()],
    }


def _packages() -> Table:
    table = Table(title="Packages", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("package", "version", "needed for"):
        table.add_column(name)
    for package in machine.PACKAGES:
        table.add_row(package.name, package.version or "[yellow]missing[/]", package.purpose)
    return table


def _abilities(abilities: Sequence[Ability]) -> Table:
    """One row a target and runtime."""
    table = Table(title="What this machine can do", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("target", "runtime", "builds", "makes graphs for", "Triton image that serves it"):
        table.add_column(name)
    for target, runtime in dict.fromkeys((row.target, row.runtime) for row in abilities):
        rows = [row for row in abilities if (row.target, row.runtime) == (target, runtime)]
        first = runtime == TARGETS[target].runtimes[0]
        table.add_row(
            f"{target}\n[dim]{TARGETS[target].device}[/]" if first else "",
            runtime,
            ", ".join(row.precision for row in rows if row.build is None) or "–",
            ", ".join(row.precision for row in rows if row.export is None) or "–",
            _served_by(rows),
        )
    return table


def _served_by(rows: Sequence[Ability]) -> str:
    if rows[0].runtime == "onnxruntime":
        return "any"
    return next((row.image for row in rows if row.image is not None), "none")


def _runtimes() -> Table:
    """Everything that can run an HRM, with or without an engine built for it."""
    table = Table(title="What runs here", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("runtime", "why not"):
        table.add_column(name)
    for name, reason in obstacles().items():
        table.add_row(name, "it does" if reason is None else escape(reason))
    return table


def _refusals(abilities: Sequence[Ability]) -> Table:
    """Why the others are not built here: each reason once, with all that it holds for."""
    table = Table(title="What it cannot", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("precision", "target", "why not"):
        table.add_column(name)
    reasons: dict[str, list[Ability]] = {}
    for row in abilities:
        if row.build is not None:
            reasons.setdefault(row.build, []).append(row)
    for reason, rows in reasons.items():
        precisions, targets = (
            dict.fromkeys(names) for names in zip(*((r.precision, r.target) for r in rows), strict=True)
        )
        table.add_row(", ".join(precisions), ", ".join(targets), escape(reason))
    return table
