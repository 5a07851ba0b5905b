"""The precision `auto`: what low precision does to each linear, and the most of it that the checkpoint bears."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engines.targets import formats
from export.quantise.sites import sites
from hrm.config import HRMConfig
from hrm.data.layout import IGNORE, split_names
from hrm.errors import DatasetError
from hrm.files import write_bytes
from hrm_trt.pipeline.events import Noted
from hrm_trt.pipeline.measuring import BATCH, CODE, LIBRARIES, Material, Measuring
from hrm_trt.pipeline.store import Step
from validation.search import search as find
from validation.sensitivity import SearchRecord, work
from validation.verdict import points

if TYPE_CHECKING:
    from pathlib import Path

    from export.quantise.sites import SitePrecision
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.recipe import Pair, Recipe
    from hrm_trt.pipeline.store import Artefact, Store

RECORD = "search.json"
PICTURE = "sensitivity.png"
_CODE = (
    "hrm_trt.pipeline.searching",
    "validation.report.sensitivity_chart",
    "validation.search",
    "validation.sensitivity",
    *CODE,
)


def searched(recipe: Recipe) -> Path:
    """The data set to search on, which has such a split, and not the gate's.

    Raises:
        DatasetError: there is none, it lacks the split to search on, or the gate judges by that.
    """
    split, dataset = recipe.quantise.search.split, recipe.dataset
    if dataset is None:
        raise DatasetError(
            "there are no puzzles to search on",
            why="what low precision costs is measured on puzzles, and neither the recipe nor the command line names a "
            "data set",
            hint="pass --dataset DIR; `hrm-trt data` makes one",
        )
    if split == recipe.gate.split:
        raise DatasetError(
            f"the {split} split cannot be searched on",
            why="the gate judges by it, and what is chosen on those puzzles looks better on them than it is",
            hint="name another one in the recipe, quantise.search.split; `hrm-trt data` makes one called search",
        )
    names = split_names(dataset)
    if split not in names:
        raise DatasetError(
            f"{dataset} has no {split} split",
            why="the precision `auto` is chosen on puzzles that the gate does not judge by; "
            f"this data set has: {', '.join(names) or 'no split at all'}",
            hint="`hrm-trt data` makes one with --search N; or name one in the recipe, quantise.search.split",
        )
    return dataset


def search(
    store: Store, recipe: Recipe, loaded: Artefact, pair: Pair, graphs: Artefact, calibration: Artefact
) -> tuple[dict[str, SitePrecision], Artefact]:
    """What each linear computes in, and how that was found: a ``SearchRecord`` in ``RECORD``, and a ``PICTURE`` of it.

    Args:
        store: keeps the artefact.
        recipe: what may be quantised, and which puzzles to search on.
        loaded: the checkpoint.
        pair: for which target, which says what low precisions there are.
        graphs: in FP16, the baseline.
        calibration: the magnitudes of every linear that may be quantised.

    Raises:
        DatasetError: the puzzles to search on are missing, or the gate judges by them.
        EngineError: ONNX Runtime refuses a graph, or the baseline's numbers overflow.
    """
    job = _Job(store, recipe, searched(recipe), loaded.value["architecture"], formats(pair.target), graphs, calibration)
    artefact = store.make(job.step(), job.work)
    record = SearchRecord.model_validate(artefact.value)
    warning = too_few(record)
    if warning is not None:
        store.emit(Noted(warning))
    return record.chosen, artefact


def too_few(record: SearchRecord) -> str | None:
    """Why the puzzles that were searched on may have hidden a loss that the gate will see; None where they suffice."""
    from validation.statistics import puzzles_needed

    best = record.best
    needed = puzzles_needed((best.lost + best.won) / record.n, record.tolerance)
    if record.n >= needed:
        return None
    return (
        f"{record.n:,} puzzles to search on cannot tell a loss of {points(record.tolerance)} from chance; "
        f"about {needed:,} can (`hrm-trt data` makes a larger search split)"
    )


@dataclass(frozen=True)
class _Job:
    """One search, and all that it depends on."""

    store: Store
    recipe: Recipe
    dataset: Path
    architecture: dict[str, Any]
    ladder: tuple[SitePrecision, ...]
    graphs: Artefact
    calibration: Artefact

    @property
    def subject(self) -> str:
        modules = ", ".join(self.recipe.quantised_modules("auto"))
        return f"{modules}: how much bears {' or '.join(self.ladder)}"

    @property
    def origin(self) -> dict[str, Any]:
        """Which puzzles are searched on, and which ones must not be among them."""
        from hrm.data.record import digest_split

        settings, gate = self.recipe.quantise.search, self.recipe.gate
        return {
            "dataset": digest_split(self.dataset, settings.split),
            "limit": settings.limit,
            "judged on": digest_split(self.dataset, gate.split),
        }

    def step(self) -> Step:
        recipe = self.recipe
        inputs = {
            **self.origin,
            "graphs": self.graphs.digest,
            "calibration": self.calibration.digest,
            "formats": self.ladder,
            "modules": recipe.quantised_modules("auto"),
            "evaluations": recipe.quantise.search.evaluations,
            "tolerance": [recipe.gate.tolerance, recipe.gate.unit],
            "batch": BATCH,
            "threads": recipe.execution.threads,
        }
        return Step("search", self.subject, inputs=inputs, code=_CODE, libraries=(*LIBRARIES, "matplotlib"))

    def work(self, home: Path) -> Any:
        from hrm.data.drawing import to_png
        from validation.report.sensitivity_chart import sensitivity_figure

        record = self._find()
        write_bytes(home / RECORD, record.model_dump_json(indent=2).encode())
        write_bytes(home / PICTURE, to_png(sensitivity_figure(record)))
        return record.model_dump(mode="json")

    def _find(self) -> SearchRecord:
        config, settings, gate = HRMConfig.from_dict(self.architecture), self.recipe.quantise.search, self.recipe.gate
        names = tuple(site for module in self.recipe.quantised_modules("auto") for site in sites(config, module))
        material = Material(
            graphs=self.graphs,
            calibration=self.calibration,
            architecture=self.architecture,
            puzzles=_puzzles(self.dataset, settings.split, settings.limit, gate.split),
            origin=self.origin,
            options=self.recipe.execution,
        )
        measure = Measuring(self.store, material, most=1 + len(names) + settings.evaluations)
        tolerance = gate.tolerance * (float(measure.baseline.solved.mean()) if gate.unit == "relative" else 1.0)
        return find(names, self.ladder, work(config), measure, tolerance=tolerance, evaluations=settings.evaluations)


def _puzzles(dataset: Path, split: str, limit: int | None, gate: str) -> PuzzleSet:
    """The puzzles to search on that have a label; none of them is among those of the gate."""
    from hrm.data.dataset import read_split

    puzzles = read_split(dataset, split, limit)
    judged = {row.tobytes() for row in read_split(dataset, gate).inputs}
    shared = sum(row.tobytes() in judged for row in puzzles.inputs)
    if shared:
        raise DatasetError(
            f"{shared} of the {len(puzzles)} puzzles to search on are also in the {gate} split",
            why="the gate must judge by puzzles that nothing was chosen on",
            hint=f"search on a split that shares no puzzle with {gate}",
        )
    labelled = (puzzles.labels != IGNORE).any(axis=1)
    if not labelled.any():
        raise DatasetError(
            f"nothing can be learnt from the {split} split", why="no puzzle has a label", hint="choose another split"
        )
    return replace(
        puzzles,
        inputs=puzzles.inputs[labelled],
        labels=puzzles.labels[labelled],
        puzzle_identifiers=puzzles.puzzle_identifiers[labelled],
        groups=puzzles.groups[labelled],
    )
