"""`hrm-trt repository`: what a model repository holds, and having a server serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.server import health_json, loading, show_health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triton_models.manifest import VersionManifest
    from triton_models.server.status import SetStatus

_SHORT = 8
"""Letters of a digest that tell versions apart."""


def status_command(repository: str, server: str | None, *, json: bool) -> None:
    """Show every set, and what the server makes of it."""
    from triton_models.remote.place import full, reading
    from triton_models.server.control import connect
    from triton_models.server.status import status

    control = None if server is None else connect(server)
    with reading(repository) as directory:
        sets = status(directory, control)
    if json:
        url = None if control is None else control.url
        document = {"repository": full(repository), "server": url, "sets": [_set_json(one) for one in sets]}
        print_json({"format_version": 1, **document})
        return
    for one in sets:
        results.print(_table(one))
        for difference in one.differences:
            results.print(f"[yellow]![/] {escape(difference)}")
    if any(one.differences for one in sets):
        results.print("  [dim]next:[/] `hrm-trt repository load` has the server serve what the repository says")
    if not sets:
        results.print(f"nothing is published in {escape(full(repository))}")


def load_command(repository: str, server: str, names: list[str], *, seconds: float, json: bool) -> None:
    """Have a server serve the current version of sets; of all if ``names`` is empty."""
    from triton_models.remote.place import full, reading
    from triton_models.repository import named_sets
    from triton_models.server.reload import serve_current

    with reading(repository) as directory:
        asked = named_sets(directory, names)
        running = loading(server, seconds)
        healthy = [serve_current(running, directory, name) for name in asked]
    if json:
        solvers = [health_json(health) for health in healthy]
        print_json({"format_version": 1, "repository": full(repository), "server": server, "solvers": solvers})
        return
    for health in healthy:
        show_health(health)


def _set_json(one: SetStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "current": one.current,
        "served": one.served,
        "differences": one.differences,
        "versions": [_version_json(version) for version in one.versions],
    }


def _version_json(version: VersionManifest) -> dict[str, Any]:
    return {
        "version": version.version,
        "published": version.published.isoformat(),
        "gated": version.gated,
        "policies": version.policies,
        "evidence": _evidence(version),
        "topologies": _each(bundle.topology for bundle in version.bundles),
        "targets": _each(bundle.target for bundle in version.bundles),
        "precisions": _each(bundle.precision for bundle in version.bundles),
        "slots": version.slots,
        "queue": version.queue,
        "digest": version.content,
        "gates": [gate.model_dump(mode="json") for bundle in version.bundles for gate in bundle.gates],
    }


def _table(one: SetStatus) -> Table:
    table = Table(title=f"[bold]{escape(one.name)}[/]", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("version", justify="right", no_wrap=True)
    for column in ("", "published", "passed", "engines"):
        table.add_column(column)
    table.add_column("slots", justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    for version in one.versions:
        table.add_row(
            str(version.version),
            _state(one, version.version),
            version.published.strftime("%Y-%m-%d %H:%M"),
            _passed(version),
            _engines(version),
            str(version.slots),
            version.content[:_SHORT],
        )
    return table


def _passed(version: VersionManifest) -> str:
    if not version.gated:
        return "[yellow]not gated[/]"
    return f"{', '.join(version.policies)} [dim]({', '.join(_evidence(version))})[/]"


def _engines(version: VersionManifest) -> str:
    """Topologies, targets and precisions."""
    kinds = zip(*((bundle.topology, bundle.target, bundle.precision) for bundle in version.bundles), strict=True)
    return ", ".join("+".join(_each(values)) for values in kinds)


def _state(one: SetStatus, version: int) -> str:
    states = ["[bold]current[/]"] if version == one.current else []
    if one.served is not None and version in one.served:
        states.append("[green]served[/]")
    return ", ".join(states)


def _evidence(version: VersionManifest) -> list[str]:
    """Where the policies on offer passed their gates."""
    gates = (gate for bundle in version.bundles for gate in bundle.gates)
    return _each(gate.evidence for gate in gates if gate.policy in version.policies and gate.verdict == "pass")


def _each(values: Iterable[str]) -> list[str]:
    """Every value once, in order."""
    return list(dict.fromkeys(values))
