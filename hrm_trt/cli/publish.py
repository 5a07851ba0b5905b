"""`hrm-trt publish` and `hrm-trt preflight`: the model repository."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape

from hrm.errors import RepositoryError, UsageError
from hrm_trt.cli.console import print_json, results
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path


def publish_command(
    bundles: list[str],
    repository: Path,
    *,
    name: str | None,
    keep: int,
    allow_ungated: bool,
    allow_emulated: bool,
    workdir: Path | None,
    json: bool,
) -> None:
    """Publish bundles that are already built."""
    from triton_models.publish import publish

    models = [find_model(bundle, Workdir(workdir)) for bundle in bundles]
    for model in models:
        if model.published:
            raise UsageError(
                f"{model.name} is published already",
                why="it is in a model repository, and publishing takes bundles",
                hint="name a bundle of the work directory: `hrm-trt build` prints them",
            )
    published = publish(
        [model.root for model in models],
        repository.absolute(),
        name or models[0].manifest.name,
        keep=keep,
        allow_ungated=allow_ungated,
        allow_emulated=allow_emulated,
    )
    if json:
        print_json({"format_version": 1, **asdict(published), "repository": str(published.repository)})
        return
    stamp = "" if published.gated else " [yellow](not gated)[/]"
    results.print(
        f"[bold]{published.name}[/] version {published.version}{stamp} in {escape(str(published.repository))}"
    )
    for served in published.models:
        results.print(f"  {served}", markup=False)


def preflight_command(repository: Path, *, json: bool) -> int:
    """Check a repository; 0 where a server would load it all."""
    from triton_models.preflight import preflight

    repository = repository.resolve()
    problems = preflight(repository)
    if json:
        print_json({"format_version": 1, "repository": str(repository), "problems": [asdict(one) for one in problems]})
    for problem in problems if not json else ():
        results.print(f"[red]✗[/] {escape(f'{problem.model}: {problem.what}')}\n  [dim]next:[/] {escape(problem.hint)}")
    if not problems and not json:
        results.print(f"[green]✓[/] {repository}: nothing that a server would refuse")
    return RepositoryError.exit_code if problems else 0
