"""`hrm-trt rollback`: a version that was kept, served again."""

from __future__ import annotations

from rich.markup import escape

from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.server import health_json, loading, show_health


def rollback_command(
    name: str, repository: str, to: int | None, *, server: str | None, seconds: float, json: bool
) -> None:
    """Make a version that was kept the current one; the one before the current if ``to`` is None."""
    from triton_models.remote.place import full, working
    from triton_models.rollback import going_back
    from triton_models.server.rollout import roll_out

    place = full(repository)
    running = None if server is None else loading(server, seconds)
    health = None
    with working(repository, lambda directory, verify: going_back(directory, name, to, verify)) as work:
        if running is None:
            work.commit()
        else:
            health = roll_out(running, work)
    before = None if work.previous is None else work.previous.version
    if json:
        document = {"name": name, "version": work.version.version, "previous": before, "repository": place}
        served = {} if health is None else {"served": health_json(health)}
        print_json({"format_version": 1, **document, **served})
        return
    instead = "" if before in (None, work.version.version) else f" in place of {before}"
    results.print(f"[bold]{escape(name)}[/] version {work.version.version}{instead} in {escape(place)}")
    if health is not None:
        show_health(health)
