"""The results as tables: every design at every load, and the goals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.serving.goals import allowed, goals, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

_TITLES = {
    "in-flight": "in flight",
    "gang-filled": "gang, filled",
    "gang-fixed": "gang, fixed depth",
    "naive": "naive loop",
}


def tables(parts: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What to print."""
    for name in ("demo", "standin"):
        if name in parts:
            yield _designs(parts[name])
            yield from _ratios(parts[name])
    if "27m" in parts:
        yield _segments(parts["27m"])
    if "topologies" in parts:
        yield _topologies(parts["topologies"])
    yield from _witness(parts)
    yield _goals(parts)


def title(design: str) -> str:
    """What a design is called in tables and pictures."""
    return _TITLES[design]


def _table(heading: str, *columns: str) -> Table:
    table = Table(title=heading, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _designs(part: Mapping[str, Any]) -> Table:
    heading = f"{part['title']}, {part['slots']} slots, mean depth {part['depths']['mean']:.2f}"
    table = _table(heading, "design", "clients", "requests/s", "p50 ms", "p99 ms", "rows/call", "exact", "differ")
    for point in part["points"]:
        differ = point["wrong"] + point["other_depth"] + sum(point["errors"].values())
        table.add_row(
            title(point["design"]),
            str(point["clients"]),
            f"{point['requests_per_second']:.1f}",
            f"{point['p50_ms']:.1f}",
            f"{point['p99_ms']:.1f}",
            f"{point['rows_per_call']:.1f}",
            f"{point['exact_accuracy']:.2%}",
            str(differ),
            end_section=point["design"] == "naive",
        )
    return table


def _ratios(part: Mapping[str, Any]) -> Iterator[str]:
    for clients in sorted({point["clients"] for point in part["points"]}):
        limit, found = allowed(part, clients), times(part, "gang-filled", clients)
        others = ", ".join(f"{times(part, d, clients):.2f}× the {title(d)}" for d in ("gang-fixed", "naive"))
        yield (
            f"{clients:4} clients: in flight is {found:.2f}× the filled gang, where depths allow {limit:.2f}× "
            f"({found / limit:.0%}); {others}"
        )


def _segments(part: Mapping[str, Any]) -> Table:
    heading = f"{part['title']}, {part['segments']} segments for every puzzle"
    table = _table(heading, "clients", "segments/s", "in process", "share", "p50 ms", "rows per call")
    for point in part["points"]:
        served, alone = point["segments_per_second"], point["in_process_segments_per_second"]
        row = (f"{served:.2f}", f"{alone:.2f}", f"{served / alone:.1%}", f"{point['p50_ms']:.0f}")
        table.add_row(str(point["clients"]), *row, f"{point['rows_per_call']:.1f}")
    return table


def _topologies(part: Mapping[str, Any]) -> Table:
    table = _table(f"{part['title']}, in flight", "topology", "clients", "requests/s", "p50 ms", "differ")
    for point in part["points"]:
        numbers = (f"{point['requests_per_second']:.1f}", f"{point['p50_ms']:.1f}", str(point["wrong"]))
        table.add_row(point["topology"], str(point["clients"]), *numbers)
    return table


def _witness(parts: Mapping[str, Any]) -> Iterator[str]:
    part = parts.get("perf_analyzer", {"subjects": {}})
    if "error" in part:
        yield f"perf_analyzer: {part['error']}"
    for subject, found in part["subjects"].items():
        if "error" in found:
            yield f"perf_analyzer, {subject}: {found['error']}"
            continue
        ours = f"{found['ours']:.1f}/s by our clients in the same minute"
        yield f"perf_analyzer, {subject}, {found['clients']} clients: {found['requests_per_second']:.1f}/s; {ours}"


def _goals(parts: Mapping[str, Any]) -> Table:
    table = _table("Goals", "goal", "wanted", "found", "met")
    for goal in goals(parts):
        sign = "≤" if goal.at_most else "≥"
        table.add_row(goal.what, f"{sign} {goal.wanted:g}", f"{goal.found:.3g}", "yes" if goal.met else "[red]no[/]")
    return table
