"""`hrm-trt doctor`: what this machine can build and run, what is missing, and the command that gets it."""

from __future__ import annotations

from dataclasses import asdict

from rich import box
from rich.markup import escape
from rich.table import Table

from engines.targets import TARGETS
from hrm_trt.cli.console import print_json, results
from hrm_trt.pipeline import machine


def doctor_command(*, json: bool) -> None:
    """Look around and say so."""
    if json:
        print_json(_document())
        return
    for key, value in machine.describe().items():
        results.print(f"{key:<12} {value}", markup=False, highlight=False)
    results.print(f"{'gpus':<12} {', '.join(machine.gpus()) or 'none'}", markup=False, highlight=False)
    results.print(_packages())
    results.print(_abilities())
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
    }


def _packages() -> Table:
    table = Table(title="Packages", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("package", "version", "needed for"):
        table.add_column(name)
    for package in machine.PACKAGES:
        table.add_row(package.name, package.version or "[yellow]missing[/]", package.purpose)
    return table


def _abilities() -> Table:
    """One row a target; precisions that are refused for one reason stand together."""
    table = Table(title="What this machine can do", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("target", "engines", "graphs", "refused, and why"):
        table.add_column(name)
    for target, kind in TARGETS.items():
        rows = [row for row in machine.abilities() if row.target == target]
        reasons: dict[str, list[str]] = {}
        for row in rows:
            if row.build is not None:
                reasons.setdefault(row.build, []).append(row.precision)
        why = "\n".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        table.add_row(
            f"{target}\n[dim]{kind.device}[/]",
            ", ".join(row.precision for row in rows if row.build is None) or "–",
            ", ".join(row.precision for row in rows if row.export is None) or "–",
            escape(why),
        )
    return table
