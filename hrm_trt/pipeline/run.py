"""One build from beginning to end: load → export → build → validate → publish."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from engines.bundle import MANIFEST, MODULES, Profile, Range, read_manifest
from engines.targets import TARGETS, refusal
from hrm.checkpoint import locate
from hrm.data.vocabulary import read_vocabulary
from hrm.errors import EngineError, ExportError, RecipeError
from hrm_trt.pipeline import describe, judging, stages
from hrm_trt.pipeline.bundling import Parts, assemble, bundle_name
from hrm_trt.pipeline.events import Emit, Event, Finished, Noted, ignore
from hrm_trt.pipeline.reporting import Subject, make_report
from hrm_trt.pipeline.result import BuildResult
from hrm_trt.pipeline.store import Store
from hrm_trt.pipeline.trial import prepare
from triton_models.repository import check_destination

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.bundle import BundleManifest
    from engines.targets import PrecisionName, TargetName
    from export.contract import Module
    from hrm_trt.pipeline.judging import Judged
    from hrm_trt.pipeline.recipe import Recipe
    from hrm_trt.pipeline.result import Status
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.trial import Trial
    from hrm_trt.pipeline.workdir import Workdir

Stage = Literal["load", "export", "build", "validate", "publish"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Passed:
    """The bundles of one target and precision that passed under ``fixed``."""

    target: str
    precision: str
    bundles: tuple[Path, ...]


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
    passed: list[Passed] = field(default_factory=list)
    """What may be published."""

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
    result = BuildResult(given=recipe.checkpoint)
    if "policies" in recipe.gate.model_fields_set:
        result.asked = recipe.gate.policies

    def watch(event: Event) -> None:
        result.worked |= isinstance(event, Finished) and not event.cached
        emit(event)

    name = recipe.name or re.sub(r"[^A-Za-z0-9._-]+", "-", located.name).strip("-._")
    build = Build(recipe, workdir, until, name, Store(workdir.root, watch), result)
    if build.reaches("publish") and recipe.publish is not None:
        check_destination(recipe.publish.repository, recipe.publish.name or name)
    loaded = stages.load(build.store, located, recipe.dataset)
    result.checkpoint = describe.checkpoint(located, loaded)
    build.origin = {"checkpoint": result.checkpoint, "versions": describe.versions()}
    if build.reaches("validate") and recipe.dataset is not None:
        build.trial = prepare(build.store, loaded, recipe.dataset, recipe.gate, recipe.execution, recipe.batch)
        build.origin["dataset"] = build.trial.origin
        workdir.point(workdir.dataset(build.trial.origin["sha256"]), recipe.dataset.resolve())
    if build.reaches("export"):
        for target, precision in recipe.pairs():
            _pair(build, loaded, target, precision)
    if build.trial is not None and build.judged:
        result.report = _report(build, build.trial, located.weights.parent)
    for passed in build.passed:
        _publish(build, passed)
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
        others = [row for row in build.result.engines if (row.target, row.precision) != (target, precision)]
        rows = [describe.no_engine(target, precision, module, status, reason) for module in _modules(build)]
        build.result.engines = others + rows

    reason = refusal(target, precision, graphs_only=not build.reaches("build"))
    if reason is not None:
        give_up("unsupported", reason)
        return
    try:
        graphs = stages.export(build.store, loaded, TARGETS[target].variants[precision])
        engines = _engines(build, graphs, target, precision)
        if engines:
            _bundles(build, _parts(build, loaded, graphs, engines, target, precision))
    except (ExportError, EngineError) as error:
        give_up("failed", str(error))


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
    sizes, dataset = loaded.value["architecture"], build.recipe.dataset
    length = sizes["seq_len"]
    return Parts(
        target=target,
        precision=precision,
        runtime=build.recipe.runtime,
        profile=Profile(batch=build.recipe.profile.batch, sequence=Range(min=length, opt=length, max=length)),
        loaded=loaded,
        graphs=graphs,
        engines=engines,
        origin=build.origin,
        vocabulary=None if dataset is None else read_vocabulary(dataset, sizes["vocab_size"]),
    )


def _bundles(build: Build, parts: Parts) -> None:
    """Bundle and judge the engines of one pair."""
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
        build.result.bundles[name] = _name_bundle(build, manifest, bundle.path)
    if passed:
        build.passed.append(Passed(parts.target, parts.precision, tuple(passed)))


def _name_bundle(build: Build, manifest: BundleManifest, bundle: Path) -> Path:
    """Give a bundle its name, unless that names one that passed and this one did not; returns where the bundle is."""
    place = build.workdir.bundle(manifest.name)
    if "fixed" not in manifest.passed() and (place / MANIFEST).is_file():
        older = read_manifest(place)
        if "fixed" in older.passed():
            if not manifest.gates and older.digest == manifest.digest:
                return place  # the same engines, and a verdict with them
            build.store.emit(Noted(f"{manifest.name} still names the bundle that passed; this one is at {bundle}"))
            return bundle
    build.workdir.point(place, bundle)
    return place


def _publish(build: Build, passed: Passed) -> None:
    from triton_models.publish import publish

    settings = build.recipe.publish
    if settings is None or not build.reaches("publish"):
        return
    name = settings.name or build.name
    if len(build.recipe.buildable()) > 1:
        name = f"{name}-{passed.target}-{passed.precision}"
    published = publish(passed.bundles, settings.repository, name, keep=settings.keep)
    build.result.worked |= published.new
    build.result.published.append(published)


def _report(build: Build, trial: Trial, home: Path) -> Path:
    seconds = {row.sha256: row.seconds for row in build.result.engines if row.sha256 and row.seconds is not None}
    report = make_report(trial, Subject(build.name, build.origin, tuple(build.judged), seconds, home))
    build.workdir.point(build.workdir.report(build.name), report.path)
    return build.workdir.report(build.name)


def _modules(build: Build) -> tuple[Module, ...]:
    """The modules that the recipe's topologies need, each once."""
    return tuple(dict.fromkeys(module for topology in build.recipe.topologies for module in MODULES[topology]))
