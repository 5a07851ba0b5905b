"""`hrm-trt build`: from options to a recipe, and from its result to tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import UsageError
from hrm_trt.cli.build_tables import show
from hrm_trt.cli.console import people, print_json
from hrm_trt.cli.progress import BuildView
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.recipe import Recipe, make_recipe, read_recipe
from hrm_trt.pipeline.run import STAGES, run
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class BuildOptions:
    """What the command line says; None where it is silent."""

    recipe: Path | None
    checkpoint: str | None
    dataset: Path | None
    targets: list[str] | None
    precisions: list[str] | None
    runtime: str | None
    policies: list[str] | None
    publish: Path | None
    name: str | None
    limit: int | None
    threads: int | None

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
            "publish": {"repository": None if self.publish is None else str(self.publish.absolute())},
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
    recipe = _recipe(options, place)
    with BuildView() as view:
        result = run(recipe, place, until=until, emit=view)
    if json:
        print_json(result.to_json())
    else:
        show(result, workdir)
        if not result.worked:
            people.print("[dim]nothing has changed since the last build: no work was done[/]")
    return result.exit_code


def _recipe(options: BuildOptions, workdir: Workdir) -> Recipe:
    if options.recipe is not None:
        return make_recipe(options.over(read_recipe(options.recipe)))
    if options.checkpoint is None:
        return make_recipe(options.over(demo.settings(workdir)))
    return make_recipe(options.over({}))


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
