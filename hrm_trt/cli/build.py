"""`hrm-trt build`: from options to a recipe, and from its result to tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from hrm.errors import UsageError
from hrm_trt.cli.build_tables import show
from hrm_trt.cli.console import people, print_json
from hrm_trt.cli.progress import BuildView
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.archive import is_archive
from hrm_trt.pipeline.kit import build_kit
from hrm_trt.pipeline.recipe import STAGES, Recipe, make_recipe, read_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir
from triton_models.remote.place import full

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.recipe import Stage
    from hrm_trt.pipeline.result import BuildResult


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says; None where it is silent."""

    recipe: Path | None = None
    checkpoint: str | None = None
    dataset: Path | None = None
    targets: list[str] | None = None
    precisions: list[str] | None = None
    runtime: str | None = None
    quantise: list[str] | None = None
    policies: list[str] | None = None
    publish: str | None = None
    name: str | None = None
    limit: int | None = None
    threads: int | None = None
    allow_emulated: bool = False

    def over(self, settings: dict[str, Any]) -> dict[str, Any]:
        """``settings`` with these options on top."""
        given = {
            "checkpoint": self.checkpoint,
            "dataset": None if self.dataset is None else str(self.dataset.absolute()),
            "targets": self.targets,
            "precisions": self.precisions,
            "runtime": self.runtime,
            "name": self.name,
        }
        nested: dict[str, dict[str, Any]] = {
            "gate": {"policies": self.policies, "limit": self.limit},
            "publish": {
                "repository": None if self.publish is None else full(self.publish),
                "allow_emulated": self.allow_emulated or None,
            },
            "quantise": {"modules": self.quantise},
            "execution": {"threads": self.threads},
        }
        result = {**settings, **_without_none(given)}
        for part, values in nested.items():
            if chosen := _without_none(values):
                result[part] = {**(result.get(part) or {}), **chosen}
        return result


def build_command(options: BuildOptions, *, until: str, workdir: Path | None, json: bool) -> int:
    """Build, say what came of it, and return the exit code."""
    if until not in STAGES:
        raise UsageError(
            f"{until!r} is no stage", why="--until stops after a stage", hint=f"one of {', '.join(STAGES)}"
        )
    place = Workdir(workdir)
    if options.publish is not None and until != "publish":
        raise UsageError(
            f"nothing is published when a build stops after {until}",
            why="--publish and --until contradict each other",
            hint="leave one of them out",
        )
    with BuildView() as view:
        result, built = _build(options, place, until, view)
    if json:
        print_json(result.to_json())
    else:
        show(result, workdir)
        if not result.worked:
            people.print("[dim]nothing has changed since the last build: no work was done[/]")
    if built is not None:
        people.print(f"to take home: [bold]hrm-trt unpack {escape(str(built))}[/]")
    return result.exit_code


def _build(options: BuildOptions, place: Workdir, until: Stage, view: BuildView) -> tuple[BuildResult, Path | None]:
    if options.recipe is None or not is_archive(options.recipe):
        return run(make(options, place), place, until=until, emit=view), None
    if options != BuildOptions(options.recipe):
        raise UsageError(
            "a kit holds its own recipe",
            why="options were given beside it that would change what was packed",
            hint="leave them out, or pack again with them",
        )
    return build_kit(options.recipe, place, emit=view)


def make(options: BuildOptions, workdir: Workdir) -> Recipe:
    """The recipe that the command line asks for."""
    if options.recipe is not None:
        return make_recipe(options.over(read_recipe(options.recipe)))
    if options.checkpoint is None:
        return make_recipe(options.over(demo.settings(workdir, options.targets)))
    return make_recipe(options.over({}))


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
