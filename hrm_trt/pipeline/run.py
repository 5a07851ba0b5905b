"""One build from beginning to end: load → export → calibrate → quantise → build → validate → publish."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engines.targets import QUANTISED, TARGETS
from engines.tensorrt.library import LIBRARIES
from engines.tensorrt.options import check_options
from hrm.checkpoint import locate
from hrm.errors import CalibrationError, EngineError, ExportError, RecipeError
from hrm_trt.pipeline import describe, stages
from hrm_trt.pipeline.events import Emit, Event, Finished, ignore
from hrm_trt.pipeline.pairs import finish, give_up
from hrm_trt.pipeline.preparing import prepare
from hrm_trt.pipeline.recipe import STAGES
from hrm_trt.pipeline.reporting import Subject, make_report
from hrm_trt.pipeline.result import BuildResult
from hrm_trt.pipeline.state import Build
from hrm_trt.pipeline.store import Store
from hrm_trt.pipeline.trial import prepare as prepare_trial
from triton_models.remote.place import check_destination

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrm.checkpoint import Located
    from hrm_trt.pipeline.recipe import Pair, Recipe, Stage
    from hrm_trt.pipeline.state import Passed
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.trial import Trial
    from hrm_trt.pipeline.workdir import Workdir


def run(recipe: Recipe, workdir: Workdir, *, until: Stage = "publish", emit: Emit = ignore) -> BuildResult:
    """Do what ``recipe`` asks for, up to and including ``until``.

    Raises:
        RecipeError: nothing that was asked for can exist, or there are no puzzles to calibrate or judge on.
        HrmTrtError: whatever the stages raise for bad input; a pair that cannot be built is a row of the result.
    """
    build, loaded, located = start(recipe, workdir, until, emit)
    if build.reaches("export"):
        for pair in recipe.pairs():
            _pair(build, loaded, pair)
    conclude(build, located.weights.parent)
    return build.result


def start(recipe: Recipe, workdir: Workdir, until: Stage, emit: Emit) -> tuple[Build, Artefact, Located]:
    """Check what is asked for, load the checkpoint, and make ready what it will be judged by.

    Raises:
        RecipeError: nothing that was asked for can exist, or there are no puzzles to calibrate or judge on.
        CheckpointError: the checkpoint cannot be read.
        DatasetError: the puzzles don't fit it.
    """
    _check(recipe, until)
    located = locate(recipe.checkpoint)
    build = begin(recipe, workdir, until, recipe.name or _plain(located.name), emit)
    if build.reaches("publish") and recipe.publish is not None:
        check_destination(recipe.publish.repository, recipe.publish.name or build.name)
    loaded = stages.load(build.store, located, recipe.dataset)
    build.architecture = loaded.value["architecture"]
    build.result.checkpoint = describe.checkpoint(located, loaded)
    build.origin = {"checkpoint": build.result.checkpoint, "versions": describe.versions()}
    if build.reaches("validate") and recipe.dataset is not None:
        build.trial = prepare_trial(build.store, loaded, recipe.dataset, recipe.gate, recipe.execution, recipe.batch)
        build.origin["dataset"] = build.trial.origin
        workdir.point(workdir.dataset(build.trial.origin["sha256"]), recipe.dataset.resolve())
    return build, loaded, located


def begin(recipe: Recipe, workdir: Workdir, until: Stage, name: str, emit: Emit) -> Build:
    """A build that has done nothing yet."""
    result = BuildResult(given=recipe.checkpoint)
    if "policies" in recipe.gate.model_fields_set:
        result.asked = recipe.gate.policies

    def watch(event: Event) -> None:
        result.worked |= isinstance(event, Finished) and not event.cached
        emit(event)

    return Build(recipe, workdir, until, name, Store(workdir.root, watch), result)


def conclude(build: Build, home: Path) -> None:
    """Report on what was judged, and publish what passed; ``home`` is where the checkpoint lies."""
    if build.trial is not None and build.judged:
        build.result.report = _report(build, build.trial, home)
    for passed in build.passed:
        _publish(build, passed)


def _plain(name: str) -> str:
    """``name`` without what bundles and models cannot be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")


def _check(recipe: Recipe, until: Stage) -> None:
    pairs = recipe.pairs()
    if all(pair.refusal for pair in pairs):
        first = pairs[0]
        raise RecipeError(
            f"{first.precision} for {first.target} cannot be built",
            why=str(first.refusal),
            hint=f"`hrm-trt doctor` lists what can; for {first.target}: {', '.join(TARGETS[first.target].variants)}",
        )
    for pair in pairs:
        _check_pair(recipe, pair)
    if recipe.dataset is not None or STAGES.index(until) < STAGES.index("calibrate"):
        return
    if until in ("validate", "publish"):
        raise RecipeError(
            "the gate has no puzzles",
            why="neither the recipe nor the command line names a data set",
            hint="pass --dataset DIR, or stop before the gate with --until build",
        )
    quantised = next((pair for pair in pairs if pair.precision in QUANTISED), None)
    if quantised is not None:
        raise RecipeError(
            f"there are no puzzles to calibrate {quantised.precision} on",
            why="scales come from real trajectories, and neither the recipe nor the command line names a data set",
            hint="pass --dataset DIR; `hrm-trt data` makes one",
        )


def _check_pair(recipe: Recipe, pair: Pair) -> None:
    if pair.runtime in LIBRARIES:
        check_options(recipe.builder, pair.runtime)
    if not recipe.topologies_of(pair):
        raise RecipeError(
            f"{pair.runtime} has no engine for a whole segment",
            why="it compiles the executor and the planner, and calls each as often as a segment does",
            hint="add planner-executor to `topologies`",
        )


def _pair(build: Build, loaded: Artefact, pair: Pair) -> None:
    """Everything that one pair asks for; what cannot be made becomes rows that say so."""
    if pair.refusal is not None:
        give_up(build, pair, "unsupported", pair.refusal)
        return
    guarded(build, pair, lambda: finish(build, prepare(build.store, build.recipe, loaded, pair, build.reaches)))


def guarded(build: Build, pair: Pair, work: Callable[[], None]) -> None:
    """Do the work of one pair; if it fails, that pair's rows say so, and the others go on."""
    try:
        work()
    except (CalibrationError, EngineError, ExportError) as error:
        give_up(build, pair, "failed", str(error))


def _publish(build: Build, passed: Passed) -> None:
    from triton_models.config import unservable
    from triton_models.publish import publish

    settings = build.recipe.publish
    if settings is None or not build.reaches("publish"):
        return
    reason = unservable(passed.pair.runtime)
    if reason is not None:
        _leave_to_the_target(build, passed.pair, reason)
        return
    name = settings.name or build.name
    if sum(pair.refusal is None for pair in build.recipe.pairs()) > 1:
        name = f"{name}-{passed.pair.target}-{passed.pair.precision}"
    published = publish(
        passed.bundles,
        settings.repository,
        name,
        keep=settings.keep,
        slots=settings.slots,
        queue=settings.queue,
        allow_emulated=settings.allow_emulated,
    )
    build.result.worked |= published.new
    build.result.published.append(published)


def _leave_to_the_target(build: Build, pair: Pair, reason: str) -> None:
    """What is to be served has to be built by the classic builder, on the target itself."""
    served = pair._replace(runtime="tensorrt")
    command = describe.finishing_command(build, served)
    build.result.engines.extend(
        describe.no_engine(served, module, "needs-target", reason, command) for module in build.modules(served)
    )


def _report(build: Build, trial: Trial, home: Path) -> Path:
    seconds = {row.sha256: row.seconds for row in build.result.engines if row.sha256 and row.seconds is not None}
    subject = Subject(build.name, build.origin, tuple(build.judged), seconds, home, tuple(build.prepared))
    report = make_report(trial, subject)
    build.workdir.point(build.workdir.report(build.name), report.path)
    return build.workdir.report(build.name)
