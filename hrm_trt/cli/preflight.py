"""`hrm-trt preflight`: what a server would refuse of a model repository."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.markup import escape

from hrm.errors import RepositoryError, UsageError
from hrm_trt.cli.console import print_json, results

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Destination:
    """Where the repository is to be served, in one of three ways or not at all."""

    tensorrt: str | None
    image: str | None
    server: str | None

    def __post_init__(self) -> None:
        given = [f"--{name}" for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise UsageError(
                f"{' and '.join(given)} cannot both be given",
                why="each of them says which TensorRT the server has",
                hint=f"leave out all but one of them; {given[0]} says it most plainly",
            )


def preflight_command(repository: str, destination: Destination, *, json: bool) -> int:
    """Check a repository; 0 where a server would load it all."""
    from triton_models.preflight import preflight
    from triton_models.remote.place import full, reading

    with reading(repository, everything=True) as directory:
        tensorrt = _tensorrt(destination, directory)
        problems = preflight(directory, tensorrt)
    if json:
        found = [asdict(problem) for problem in problems]
        print_json({"format_version": 1, "repository": full(repository), "tensorrt": tensorrt, "problems": found})
    for problem in problems if not json else ():
        results.print(f"[red]✗[/] {escape(f'{problem.model}: {problem.what}')}\n  [dim]next:[/] {escape(problem.hint)}")
    if not problems and not json:
        where = f" with TensorRT {tensorrt}" if tensorrt else ""
        results.print(f"[green]✓[/] {escape(full(repository))}: nothing that a server{where} would refuse")
    return RepositoryError.exit_code if problems else 0


def _tensorrt(destination: Destination, directory: Path) -> str | None:
    """The TensorRT that is to load the plans in ``directory``; None where there are none, or nothing was said."""
    from triton_models.checks.plans import has_plans
    from triton_models.images import checked_tensorrt, tensorrt_in_image, tensorrt_in_server
    from triton_models.server.control import connect

    if not has_plans(directory):
        return None
    if destination.image is not None:
        return tensorrt_in_image(destination.image)
    if destination.server is not None:
        return tensorrt_in_server(connect(destination.server).metadata()["version"])
    return None if destination.tensorrt is None else checked_tensorrt(destination.tensorrt)
