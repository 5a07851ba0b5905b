"""What the commands that deal with a server have in common."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from hrm_trt.cli.console import people, results

if TYPE_CHECKING:
    from triton_models.server.loading import Loading
    from triton_models.server.probe import Health


def loading(url: str, seconds: float) -> Loading:
    """A server whose models can be loaded; each step is told on stderr where that is a terminal.

    Raises:
        UnreachableError: no server answers there.
        MissingError: it has no model control, or tritonclient is not installed.
    """
    from triton_models.server.control import connect
    from triton_models.server.loading import Loading

    control = connect(url)
    control.require_model_control()
    return Loading(control, seconds, _tell)


def show_health(health: Health) -> None:
    """One line on a solver that answered."""
    results.print(
        f"[green]✓[/] [bold]{escape(health.name)}[/] version {health.version} answers "
        f"[dim]({health.seconds * 1e3:.0f} ms, {health.depth} segments)[/]"
    )


def health_json(health: Health) -> dict[str, Any]:
    """The same for a document."""
    return asdict(health)


def _tell(step: str) -> None:
    if people.is_terminal:
        people.print(f"  [dim]{escape(step)}[/]")
