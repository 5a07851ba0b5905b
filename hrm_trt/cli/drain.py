"""`hrm-trt drain`: a server that is about to be stopped finishes its work."""

from __future__ import annotations

from rich.markup import escape

from hrm_trt.cli.console import print_json, results


def drain_command(url: str, names: list[str], *, seconds: float, json: bool) -> None:
    """Unload solvers and wait until their last request is answered; all if ``names`` is empty."""
    from triton_models.server.control import connect
    from triton_models.server.drain import drain

    control = connect(url)
    drained = drain(control, names, seconds)
    if json:
        print_json({"format_version": 1, "server": control.url, "drained": drained})
        return
    what = ", ".join(drained) or "no solver was loaded"
    results.print(f"[green]✓[/] {escape(what)}{': every request is answered' if drained else ''}")
