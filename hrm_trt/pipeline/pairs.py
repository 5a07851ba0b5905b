"""One target and precision from its graphs to its verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.bundle import MANIFEST, Profile, Range, read_manifest
from hrm.data.vocabulary import read_vocabulary
from hrm_trt.pipeline import building, describe, judging
from hrm_trt.pipeline.bundling import Parts, assemble, bundle_name
from hrm_trt.pipeline.candidates import Built, candidate
from hrm_trt.pipeline.events import Noted
from hrm_trt.pipeline.state import Passed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.bundle import BundleManifest, GateRecord, Topology
    from export.contract import Module
    from hrm_trt.pipeline.preparing import Prepared
    from hrm_trt.pipeline.recipe import Pair
    from hrm_trt.pipeline.result import Status
    from hrm_trt.pipeline.state import Build
    from hrm_trt.pipeline.store import Artefact


def finish(build: Build, prepared: Prepared) -> None:
    """Build, bundle and judge what was prepared, as far as the build goes.

    Raises:
        ExportError: a graph cannot be simulated.
        EngineError: a builder or a runtime refuses something.
    """
    build.prepared.append(prepared)
    if not build.reaches("build"):
        build.result.graphs.extend(describe.graphs(prepared))
        return
    reason = building.obstacle(prepared.pair)
    if reason is not None:
        give_up(build, prepared.pair, "needs-target", reason)
    controls = _controls(build, prepared) if reason is None else {}
    engines = _engines(build, prepared, controls) if reason is None else {}
    _bundles(build, _parts(build, prepared, engines, controls))


def give_up(build: Build, pair: Pair, status: Status, reason: str) -> None:
    """Say of every module of ``pair`` that it is not there, and why."""
    others = [row for row in build.result.engines if (row.target, row.precision) != (pair.target, pair.precision)]
    command = describe.finishing_command(build, pair) if status == "needs-target" else None
    rows = [describe.no_engine(pair, module, status, reason, command) for module in build.modules(pair)]
    build.result.engines = others + rows


def _controls(build: Build, prepared: Prepared) -> dict[Module, Artefact]:
    """The engines of what is quantised as they are without it: for their attention fusions, and their accuracy."""
    if prepared.control is None:
        return {}
    modules = filter(prepared.quantises, build.modules(prepared.pair))
    order = _order(build, prepared)
    return {module: building.build(build.store, prepared.control, module, order) for module in modules}


def _engines(build: Build, prepared: Prepared, controls: Mapping[Module, Artefact]) -> dict[Module, Artefact]:
    order = _order(build, prepared)
    engines: dict[Module, Artefact] = {}
    for module in build.modules(prepared.pair):
        engines[module] = building.build(build.store, prepared.graphs, module, order, controls.get(module))
        build.result.engines.append(describe.engine(engines[module], prepared.pair, module))
    return engines


def _order(build: Build, prepared: Prepared) -> building.Order:
    return building.Order(prepared.pair, _profile(build), build.recipe.builder, prepared.loaded)


def _profile(build: Build) -> Profile:
    length = build.architecture["seq_len"]
    return Profile(batch=build.recipe.profile.batch, sequence=Range(min=length, opt=length, max=length))


def _parts(
    build: Build, prepared: Prepared, engines: Mapping[Module, Artefact], controls: Mapping[Module, Artefact]
) -> Parts:
    dataset = build.recipe.dataset
    return Parts(
        prepared=prepared,
        profile=_profile(build),
        architecture=build.architecture,
        engines=engines,
        controls=controls,
        origin=build.origin,
        vocabulary=None if dataset is None else read_vocabulary(dataset, build.architecture["vocab_size"]),
    )


def _bundles(build: Build, parts: Parts) -> None:
    """Bundle and judge the engines of one pair; where there are none, judge its graphs."""
    passed: list[Path] = []
    pair = parts.prepared.pair
    for topology in build.recipe.topologies_of(pair):
        name = bundle_name(build.name, pair.target, pair.precision, topology)
        if not parts.engines:
            _judge(build, parts, parts.manifest(name, topology), None)
            continue
        bundle = _bundle(build, parts, name, topology)
        if "fixed" in bundle.manifest.passed():
            passed.append(bundle.path)
    if passed:
        build.passed.append(Passed(pair, tuple(passed)))


def _bundle(build: Build, parts: Parts, name: str, topology: Topology) -> Built:
    manifest, bundle = assemble(build.store, parts, name, topology)
    if build.trial is not None:
        records = _judge(build, parts, manifest, bundle.path)
        manifest, bundle = assemble(build.store, parts, name, topology, records)
    build.result.bundles[name] = _name_bundle(build, manifest, bundle.path)
    return Built(manifest, bundle.path)


def _judge(build: Build, parts: Parts, manifest: BundleManifest, bundle: Path | None) -> tuple[GateRecord, ...]:
    if build.trial is None:
        return ()
    control = None
    if parts.controls:
        plain, assembled = assemble(build.store, parts.control(), f"{manifest.name}-control", manifest.topology)
        control = Built(plain, assembled.path)
    answering = candidate(build.trial, parts.prepared, manifest, bundle, control)
    judged = judging.judge_bundle(build.trial, answering, build.recipe.gate.policies)
    build.judged.extend(judged)
    records = tuple(one.record for one in judged)
    build.result.gates.extend(records)
    return records


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
