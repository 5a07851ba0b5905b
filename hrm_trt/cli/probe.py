"""`hrm-trt probe`: a server's health, by asking it for an answer."""

from __future__ import annotations

from hrm_trt.cli.console import print_json
from hrm_trt.cli.server import health_json, show_health


def probe_command(url: str, names: list[str], repository: str | None, *, seconds: float, json: bool) -> None:
    """Probe solvers of a server; all if ``names`` is empty, or all of a repository."""
    from triton_models.server.control import connect
    from triton_models.server.probe import probe_all

    expected = {}
    if repository is not None:
        from triton_models.remote.place import reading
        from triton_models.server.reload import current_limits

        with reading(repository) as directory:
            expected = current_limits(directory, names)
    control = connect(url)
    healthy = probe_all(control, names or list(expected), seconds, expected)
    if json:
        print_json({"format_version": 1, "server": control.url, "solvers": [health_json(health) for health in healthy]})
        return
    for health in healthy:
        show_health(health)
