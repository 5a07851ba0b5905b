"""One build from beginning to end: load → export → build → validate → publish."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from engines.bundle import MODULES, Profile, Range
from engines.targets import TARGETS, refusal
from hrm.checkpoint import locate
from hrm.errors import EngineError, ExportError, RecipeError
from hrm_trt.pipeline import describe, judging, stages
from hrm_trt.pipeline.bundling import Parts, assemble, bundle_name
from hrm_trt.pipeline.events import Emit, Event, Finished, ignore
from hrm_trt.pipeline.reporting import Subject, make_report
from hrm_trt.pipeline.result import BuildResult
from hrm_trt.pipeline.store import Store
from hrm_trt.pipeline.trial import prepare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.targets import PrecisionName, TargetName
    from export.contract import Module
    from hrm_trt.pipeline.judging import Judged
    from hrm_trt.pipeline.recipe import PublishSettings, Recipe
    from hrm_trt.pipeline.result import Status
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.trial import Trial
    from hrm_trt.pipeline.workdir import Workdir

Stage = Literal["load", "export", "build", "validate", "publish"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass
class Build:
    """One build at work: what it was asked for, and what it has come to."""

    recipe: Recipe
    workdir: Workdir
    until: Stage
    name: str
    """What bundles and models are called."""
    store: Store
    result: BuildResult
    origin: dict[str, Any] = field(default_factory=dict)
    trial: Trial | None = None
    """What bundles are judged by; None where the build stops before that."""
    judged: list[Judged] = field(default_factory=list)

    def reaches(self, stage: Stage) -> bool:
        """Whether the build goes as far as ``stage``."""
        return STAGES.index(stage) <= STAGES.index(self.until)


def run(recipe: Recipe, workdir: Workdir, *, until: Stage = "publish", emit: Emit = ignore) -> BuildResult:
    """Do what ``recipe`` asks for, up to and including ``until``.

    Raises:
        RecipeError: nothing that was asked for can exist, or the gate has no puzzles.
        HrmTrtError: whatever the stages raise for bad input; a pair that cannot be built is a row of the result.
    """
    _check(recipe, until)
    located = locate(recipe.checkpoint)
    result = BuildResult()
    if "policies" in recipe.gate.model_fields_set:
        result.asked = recipe.gate.policies

    def watch(event: Event) -> None:
        result.worked |= isinstance(event, Finished) and not event.cached
        emit(event)

    name = recipe.name or re.sub(r"[^A-Za-z0-9._-]+", "-", located.name).strip("-.")
    build = Build(recipe, workdir, until, name, Store(workdir.root, watch), result)
    loaded = stages.load(build.store, located, recipe.dataset, recipe.gate.split)
    result.checkpoint = describe.checkpoint(located, loaded)
    build.origin = {"checkpoint": result.checkpoint, "versions": describe.versions()}
    if build.reaches("validate") and recipe.dataset is not None:
        build.trial = prepare(build.store, loaded, recipe.dataset, recipe.gate, recipe.execution, recipe.batch)
        build.origin["dataset"] = build.trial.origin
    if build.reaches("export"):
        for target, precision in recipe.pairs():
            _pair(build, loaded, target, precision)
    if build.trial is not None and build.judged:
        result.report = _report(build, build.trial)
    return result


def _check(recipe: Recipe, until: Stage) -> None:
    graphs_only = until in ("load", "export")
    refusals = [refusal(*pair, graphs_only=graphs_only) for pair in recipe.pairs()]
    if all(refusals):
        target, precision = recipe.pairs()[0]
        raise RecipeError(
            f"{precision} for {target} cannot be built",
            why=str(refusals[0]),
            hint=f"`hrm-trt doctor` lists what can; for {target}: {', '.join(TARGETS[target].variants)}",
        )
    if recipe.dataset is None and until in ("validate", "publish"):
        raise RecipeError(
            "the gate has no puzzles",
            why="neither the recipe nor the command line names a data set",
            hint="pass --dataset DIR, or stop before the gate with --until build",
        )


def _pair(build: Build, loaded: Artefact, target: TargetName, precision: PrecisionName) -> None:
    """Everything that one target and precision asks for; what cannot be made becomes rows that say so."""

    def give_up(status: Status, reason: str) -> None:
        rows = (describe.no_engine(target, precision, module, status, reason) for module in _modules(build))
        build.result.engines.extend(rows)

    reason = refusal(target, precision, graphs_only=not build.reaches("build"))
    if reason is not None:
        give_up("unsupported", reason)
        return
    try:
        graphs = stages.export(build.store, loaded, TARGETS[target].variants[precision])
        engines = _engines(build, graphs, target, precision)
    except (ExportError, EngineError) as error:
        give_up("failed", str(error))
        return
    if engines:
        _bundles(build, _parts(build, loaded, graphs, engines, target, precision))


def _engines(build: Build, graphs: Artefact, target: TargetName, precision: PrecisionName) -> dict[Module, Artefact]:
    """The engines of one pair; none where the build stops at its graphs."""
    runtime = TARGETS[target].runtime
    if runtime is None or not build.reaches("build"):
        build.result.graphs.extend(describe.graphs(graphs))
        return {}
    engines: dict[Module, Artefact] = {}
    for module in _modules(build):
        engines[module] = stages.build(build.store, graphs, module, runtime, f"{target} {precision}")
        build.result.engines.append(describe.engine(engines[module], target, precision, module))
    return engines


def _parts(
    build: Build,
    loaded: Artefact,
    graphs: Artefact,
    engines: Mapping[Module, Artefact],
    target: TargetName,
    precision: PrecisionName,
) -> Parts:
    length = loaded.value["architecture"]["seq_len"]
    return Parts(
        target=target,
        precision=precision,
        runtime=build.recipe.runtime,
        profile=Profile(batch=build.recipe.profile.batch, sequence=Range(min=length, opt=length, max=length)),
        loaded=loaded,
        graphs=graphs,
        engines=engines,
        origin=build.origin,
    )


def _bundles(build: Build, parts: Parts) -> None:
    """Bundle, judge and publish the engines of one pair."""
    passed: list[Path] = []
    for topology in build.recipe.topologies:
        name = bundle_name(build.name, parts.target, parts.precision, topology)
        manifest, bundle = assemble(build.store, parts, name, topology)
        if build.trial is not None:
            judged = judging.judge_bundle(build.trial, manifest, bundle.path, build.recipe.gate.policies)
            build.judged.extend(judged)
            records = tuple(one.record for one in judged)
            build.result.gates.extend(records)
            manifest, bundle = assemble(build.store, parts, name, topology, records)
        if "fixed" in manifest.passed():
            passed.append(bundle.path)
        build.workdir.point(build.workdir.bundle(name), bundle)
        build.result.bundles[name] = build.workdir.bundle(name)
    if passed and build.reaches("publish") and build.recipe.publish is not None:
        _publish(build, build.recipe.publish, parts, passed)


def _publish(build: Build, settings: PublishSettings, parts: Parts, bundles: list[Path]) -> None:
    from triton_models.publish import publish

    name = settings.name or build.name
    if len(build.recipe.pairs()) > 1:
        name = f"{name}-{parts.target}-{parts.precision}"
    published = publish(bundles, settings.repository, name, keep=settings.keep)
    build.result.worked |= published.new
    build.result.published.append(published)


def _report(build: Build, trial: Trial) -> Path:
    seconds = {row.sha256: row.seconds for row in build.result.engines if row.sha256 and row.seconds is not None}
    report = make_report(trial, Subject(build.name, build.origin, tuple(build.judged), seconds))
    build.workdir.point(build.workdir.report(build.name), report)
    return build.workdir.report(build.name)


def _modules(build: Build) -> tuple[Module, ...]:
    """The modules that the recipe's topologies need, each once."""
    return tuple(dict.fromkeys(module for topology in build.recipe.topologies for module in MODULES[topology]))
