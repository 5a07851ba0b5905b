"""`hrm-trt publish`: bundles into a model repository, and into a server that reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.markup import escape

from hrm.errors import UsageError
from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.server import health_json, loading, show_health
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.models import Model
    from triton_models.publication import Published
    from triton_models.remote.place import Steps
    from triton_models.server.probe import Health


@dataclass(frozen=True)
class PublishOptions:
    """What was asked for on the command line."""

    bundles: list[str]
    repository: str
    name: str | None
    keep: int
    slots: int | None
    queue: int
    allow_ungated: bool
    allow_emulated: bool
    workdir: Path | None


def publish_command(options: PublishOptions, *, server: str | None, seconds: float, json: bool) -> None:
    """Publish bundles that are already built."""
    from triton_models.remote.place import working
    from triton_models.server.rollout import roll_out

    models = _find(options)
    running = None if server is None else loading(server, seconds)
    health = None
    with working(options.repository, _steps(options, models)) as work:
        if running is None:
            work.commit()
            work.tidy()
        else:
            health = roll_out(running, work)
    _show(work.published, health, json=json)


def _steps(options: PublishOptions, models: list[Model]) -> Steps:
    """The publication that was asked for, wherever the repository lies."""
    from triton_models.publication import publication

    return lambda place, verify: publication(
        [model.root for model in models],
        place,
        options.name or models[0].manifest.name,
        keep=options.keep,
        slots=options.slots,
        queue=options.queue,
        allow_ungated=options.allow_ungated,
        allow_emulated=options.allow_emulated,
        verify=verify,
    )


def _find(options: PublishOptions) -> list[Model]:
    models = [find_model(bundle, Workdir(options.workdir)) for bundle in options.bundles]
    for model in models:
        if model.published:
            raise UsageError(
                f"{model.name} is published already",
                why="it is in a model repository, and publishing takes bundles",
                hint="name a bundle of the work directory: `hrm-trt build` prints them",
            )
    return models


def _show(published: Published, health: Health | None, *, json: bool) -> None:
    if json:
        served = {} if health is None else {"served": health_json(health)}
        document = {"format_version": 1, **asdict(published), "repository": str(published.repository), **served}
        print_json(document)
        return
    stamp = "" if published.gated else " [yellow](not gated)[/]"
    results.print(
        f"[bold]{escape(published.name)}[/] version {published.version}{stamp} in {escape(str(published.repository))}"
    )
    for model in published.models:
        results.print(f"  {model}", markup=False)
    if health is not None:
        show_health(health)
