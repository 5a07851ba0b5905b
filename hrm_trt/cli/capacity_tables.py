"""What keeps a promise, and for how much, as tables for people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from hrm_trt.capacity.measured import identity, name_of
from hrm_trt.capacity.plan import ASSUMPTIONS, PUZZLES
from hrm_trt.capacity.units import format_duration, format_rate
from hrm_trt.cli.console import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrm_trt.bench.document import BenchDocument
    from hrm_trt.capacity.plan import Option, Plan, Promise
    from hrm_trt.capacity.prices import Prices


_LEGEND = (
    "depth ≤: segments that a puzzle may use. used: arrivals over what full slots answer. mean, p50, p99: from arrival"
    " to answer. {currency}: of all replicas an hour, per 1,000 answers, and per 1,000 right ones."
)


@dataclass(frozen=True)
class Found:
    """A plan, and what it was made from."""

    benchmark: Path
    document: BenchDocument
    price_list: Path
    prices: Prices
    promise: Promise
    plan: Plan


def show(found: Found) -> None:
    """Print the promise, what keeps it, what does not and why, and all that was assumed."""
    results.print(_table(found))
    results.print(f"[dim]{escape(_LEGEND.format(currency=found.prices.currency))}[/]\n")
    for remark, names in _remarks(found.plan.options).items():
        results.print(f"[yellow]![/] {escape(f'{remark} ({names[0]})')}", end="")
        results.print(f" and {len(names) - 1} more" if len(names) > 1 else "")
    for cannot in found.plan.cannot:
        results.print(f"[yellow]cannot[/] {escape(f'{name_of(cannot.row)}: {cannot.reason}')}")
    if found.document.interrupted:
        results.print("[yellow]![/] the benchmark was interrupted: other rows may be missing")
    _sources(found)


def _table(found: Found) -> Table:
    promise, currency = found.promise, escape(found.prices.currency)
    title = f"{format_rate(promise.rate)}, p99 of {format_duration(promise.p99)}, policy {promise.policy}"
    table = Table(
        title=f"[bold]{title}[/], the cheapest first", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("runs on", overflow="fold")  # it gives way, and no number does
    columns = ("slots\ndepth ≤", "right", "replicas\nused", "mean\np50\np99", "memory", f"{currency}/h\n1,000\nright")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for option in found.plan.options:
        table.add_row(*_cells(option))
    return table


def _cells(option: Option) -> tuple[str, ...]:
    row, limited = option.row, option.limited
    right = "–" if option.cost_right is None else money(option.cost_right)
    return (
        _engines(option),
        f"{row.batch}\n{limited.limit}",
        f"{'≥ ' if limited.unfinished else ''}{limited.exact:.2%}",
        f"[bold]{option.replicas:,}[/]\n{option.utilisation:.0%}",
        "\n".join(format_duration(seconds) for seconds in (option.mean, option.p50, option.p99)),
        decimal(option.memory),
        f"{money(option.per_hour)}\n{money(option.cost)}\n{right}",
    )


def _engines(option: Option) -> str:
    runtime, target, precision, *others = map(escape, identity(option.row).values())
    return "\n".join((runtime, f"{target} {precision}", *(f"[dim]{other}[/]" for other in others)))


def _remarks(options: Sequence[Option]) -> dict[str, list[str]]:
    """What must not be overlooked, and of which rows."""
    remarks: defaultdict[str, list[str]] = defaultdict(list)
    for option in options:
        limit, unfinished = option.limited.limit, option.limited.unfinished
        given_up = f"{unfinished:.2%} of puzzles are answered unfinished after {limit} segments, and counted as wrong"
        for remark in (*([given_up] if unfinished else []), *option.row.flags):
            remarks[remark].append(name_of(option.row))
    return remarks


def _sources(found: Found) -> None:
    prices, document, promise = found.prices, found.document, found.promise
    machines = dict.fromkeys(
        f"{option.price.name}, {option.price.per_hour:g} an hour for {option.row.target}"
        for option in found.plan.options
    )
    warning = "[bold yellow]EXAMPLE PRICES[/] " if prices.example else ""
    results.print(f"prices     {warning}{escape(str(found.price_list))} of {prices.date}, {escape(prices.source)}")
    for machine in machines:
        results.print(f"           {escape(machine)} {escape(prices.currency)}")
    where = document.machine.get("processor", "an unknown machine")
    results.print(f"benchmark  {escape(f'{found.benchmark} of {document.date}: {document.model} on {where}')}")
    results.print("[dim]assumed:[/]")
    for assumption in (*ASSUMPTIONS, *_bounds(promise)):
        results.print(f"  [dim]- {escape(assumption)}[/]")


def _bounds(promise: Promise) -> tuple[str, str]:
    return (
        f"a replica is used to {promise.utilisation:.0%} at most: arrivals over what it answers with all slots taken",
        f"the p99 is that of {PUZZLES:,} simulated puzzles, the same ones every time",
    )


def money(amount: float) -> str:
    """Two decimals, and two digits of less than one."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"
