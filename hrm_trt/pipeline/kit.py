"""The kit: what a machine with the right GPU needs to finish a build, and what it sends home, each in one file.

`pack` writes graphs, calibration, profiles, the test puzzles and PyTorch's answers; `build_kit` builds, gates and packs
the bundles on the target, where no PyTorch is needed; `unpack` brings them into the work directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from export.quantise.sites import SitePrecision
from hrm.documents import Document
from hrm.errors import KitError, UsageError
from hrm.files import sha256_file
from hrm_trt.pipeline import archive, describe
from hrm_trt.pipeline.archive import Contents, Reference
from hrm_trt.pipeline.events import ignore
from hrm_trt.pipeline.pairs import finish
from hrm_trt.pipeline.preparing import Prepared, prepare
from hrm_trt.pipeline.recipe import Pair, Recipe
from hrm_trt.pipeline.run import begin, conclude, guarded, start
from hrm_trt.pipeline.store import Store, read_artefact
from hrm_trt.pipeline.trial import Trial, baseline

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.events import Emit
    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.state import Build
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.workdir import Workdir

KIT = "kit.json"
BUILT = "built.json"
_DATASET = "dataset"


class KitPair(Document):
    """One bundle of each topology to build: ``Prepared``, with references for artefacts."""

    pair: Pair
    graphs: Reference
    control: Reference | None
    calibration: Reference | None
    assignment: dict[str, SitePrecision]


class Kit(Contents):
    """Everything that is known before there is a GPU."""

    format_version: Literal[1] = 1
    name: str
    recipe: Recipe
    architecture: dict[str, Any]
    origin: dict[str, Any]
    trial: dict[str, Any]
    """Which puzzles these are."""
    baseline: Reference
    pairs: tuple[KitPair, ...]


class Built(Contents):
    """What came of a kit."""

    format_version: Literal[1] = 1
    name: str
    bundles: dict[str, Reference]
    reports: dict[str, Reference]


def pack(recipe: Recipe, workdir: Workdir, path: Path, *, emit: Emit = ignore) -> Kit:
    """Do all that needs no GPU and write the kit to ``path``.

    Raises:
        UsageError: nothing in the recipe needs a GPU, or something in it cannot exist.
        HrmTrtError: whatever the stages raise.
    """
    _check(recipe)
    build, loaded, located = start(recipe, workdir, "validate", emit)
    trial = build.trial
    if trial is None:
        raise UsageError("a kit has puzzles in it", why="no data set was named", hint="pass --dataset DIR")
    answers = baseline(trial)
    prepared = [prepare(build.store, recipe, loaded, pair, build.reaches) for pair in recipe.pairs()]
    files = _files(trial, answers, prepared)
    kit = Kit(
        name=build.name,
        recipe=recipe.model_copy(update={"checkpoint": located.name, "dataset": None, "publish": None}),
        architecture=build.architecture,
        origin=build.origin,
        trial=dict(trial.origin),
        baseline=Reference.to(answers),
        pairs=tuple(map(_pair, prepared)),
        files=archive.digests(files),
    )
    archive.write(path, KIT, kit, files)
    return kit


def build_kit(path: Path, workdir: Workdir, *, emit: Emit = ignore) -> tuple[BuildResult, Path]:
    """Build and gate what is in the kit ``path``; returns what it came to, and the file to take home.

    Raises:
        KitError: it is no kit, or has changed on its way.
        HrmTrtError: whatever the stages raise; a pair that cannot be built is a row of the result.
    """
    kit = archive.read(path, KIT, Kit)
    home = workdir.kit(sha256_file(path))
    archive.extract(path, kit, home)
    recipe = kit.recipe.model_copy(update={"dataset": home / _DATASET})
    build = begin(recipe, workdir, "validate", kit.name, emit)
    build.architecture, build.result.checkpoint = kit.architecture, kit.origin["checkpoint"]
    build.origin = {**kit.origin, "finished with": describe.versions()}
    build.trial = _trial(kit, recipe, build, home)
    workdir.point(workdir.dataset(kit.trial["sha256"]), home / _DATASET)
    for each in kit.pairs:
        _finish(build, each, home)
    conclude(build, home)
    return build.result, _pack_built(build, path.with_suffix(".built.kit"))


def unpack(path: Path, workdir: Workdir, *, emit: Emit = ignore) -> dict[str, Path]:
    """Bring what came of a kit into the work directory; returns the bundles by name.

    Raises:
        KitError: it is not what `hrm-trt build KIT` wrote, or has changed on its way.
    """
    built = archive.read(path, BUILT, Built)
    home = workdir.kit(sha256_file(path))
    archive.extract(path, built, home)
    store = Store(workdir.root, emit)
    bundles = {name: store.adopt(home / each.place).path for name, each in built.bundles.items()}
    for name, bundle in bundles.items():
        workdir.point(workdir.bundle(name), bundle)
    for name, each in built.reports.items():
        workdir.point(workdir.report(name), store.adopt(home / each.place).path)
    return {name: workdir.bundle(name) for name in bundles}


def _check(recipe: Recipe) -> None:
    for pair in recipe.pairs():
        if pair.refusal is not None:
            raise UsageError(
                f"{pair} cannot be packed", why=pair.refusal, hint="`hrm-trt doctor` lists what can be built"
            )
        if pair.runtime == "torch-tensorrt":
            raise UsageError(
                "torch-tensorrt takes no kit",
                why="it compiles the network's weights, and a kit has graphs",
                hint="build from the checkpoint on the GPU machine, or pack with --runtime tensorrt",
            )
        if pair.target == "cpu":
            raise UsageError(
                "a kit for cpu is of no use",
                why="engines for CPUs are built where the checkpoint is",
                hint="name a GPU with --target; `hrm-trt build` builds for cpu",
            )


def _files(trial: Trial, answers: Artefact, prepared: list[Prepared]) -> dict[str, Path]:
    from hrm.data.layout import split_files
    from hrm.data.record import RECORD
    from hrm.data.vocabulary import VOCABULARY

    whole = {trial.dataset / name for name in (RECORD, VOCABULARY)}
    puzzles = [*split_files(trial.dataset, trial.settings.split), *(path for path in whole if path.is_file())]
    files = {f"{_DATASET}/{path.relative_to(trial.dataset).as_posix()}": path for path in puzzles}
    files |= archive.artefact_files(answers)
    for each in prepared:
        for artefact in (each.graphs, each.control, each.calibration):
            if artefact is not None:
                files |= archive.artefact_files(artefact)
    return files


def _pair(prepared: Prepared) -> KitPair:
    return KitPair(
        pair=prepared.pair,
        graphs=Reference.to(prepared.graphs),
        control=prepared.control and Reference.to(prepared.control),
        calibration=prepared.calibration and Reference.to(prepared.calibration),
        assignment=prepared.assignment,
    )


def _trial(kit: Kit, recipe: Recipe, build: Build, home: Path) -> Trial:
    return Trial(
        store=build.store,
        architecture=kit.architecture,
        dataset=home / _DATASET,
        origin=kit.trial,
        settings=recipe.gate,
        execution=recipe.execution,
        batch=recipe.batch,
        source=_artefact(home, kit.baseline),
    )


def _finish(build: Build, each: KitPair, home: Path) -> None:
    def found(reference: Reference | None) -> Artefact | None:
        return None if reference is None else _artefact(home, reference)

    prepared = Prepared(
        pair=each.pair,
        graphs=_artefact(home, each.graphs),
        control=found(each.control),
        calibration=found(each.calibration),
        assignment=each.assignment,
    )
    guarded(build, each.pair, lambda: finish(build, prepared))


def _artefact(home: Path, reference: Reference) -> Artefact:
    artefact = read_artefact(home / reference.place)
    if artefact is None:
        raise KitError(
            "the kit is incomplete",
            why=f"{reference.place} is missing or damaged",
            hint="pack it again, and copy it whole",
        )
    return artefact


def _pack_built(build: Build, path: Path) -> Path:
    artefacts = {name: read_artefact(place.resolve()) for name, place in build.result.bundles.items()}
    bundles = {name: artefact for name, artefact in artefacts.items() if artefact is not None}
    report = None if build.result.report is None else read_artefact(build.result.report.resolve())
    reports = {} if report is None else {build.name: report}
    files: dict[str, Path] = {}
    for artefact in (*bundles.values(), *reports.values()):
        files |= archive.artefact_files(artefact)
    built = Built(
        name=build.name,
        bundles={name: Reference.to(artefact) for name, artefact in bundles.items()},
        reports={name: Reference.to(artefact) for name, artefact in reports.items()},
        files=archive.digests(files),
    )
    archive.write(path, BUILT, built, files)
    return path
