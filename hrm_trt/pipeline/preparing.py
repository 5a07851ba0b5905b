"""What the engines of one pair are built from: exported graphs, quantised where the precision asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engines.targets import QUANTISED, TARGETS
from export.quantise.sites import quantised, uniform
from hrm.config import HRMConfig
from hrm_trt.pipeline import quantising, stages
from hrm_trt.pipeline.searching import search, searched

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.contract import Module
    from export.quantise.sites import SitePrecision
    from hrm_trt.pipeline.recipe import Pair, Recipe, Stage
    from hrm_trt.pipeline.store import Artefact, Store


@dataclass(frozen=True)
class Prepared:
    """The graphs of one pair, and what was done to them."""

    pair: Pair
    graphs: Artefact
    loaded: Artefact | None = None
    """The checkpoint; a kit has none."""
    control: Artefact | None = None
    """The FP16 graphs that a GPU's quantised ones come from: what emulates them, and their fusions, are held to it."""
    calibration: Artefact | None = None
    assignment: dict[str, SitePrecision] = field(default_factory=dict)
    """What each quantised linear computes in."""
    search: Artefact | None = None
    """How the precision `auto` came to it."""

    @property
    def variant(self) -> str:
        """The type that the graphs have at their borders, and inside where nothing is quantised."""
        return TARGETS[self.pair.target].variants[self.pair.precision]

    def quantises(self, module: Module) -> bool:
        """Whether anything in ``module`` is quantised."""
        levels = {site.partition(".")[0] for site in quantised(self.assignment)}
        return bool(levels & _LEVELS[module])

    def precision(self, module: Module) -> str:
        """What ``module`` computes in, as people say it."""
        return str(self.pair.precision) if self.quantises(module) else self.variant

    @property
    def origin(self) -> dict[str, Any]:
        """What a bundle's manifest says of how its numbers came about."""
        if self.calibration is None:
            return {}
        measured = {"sha256": self.calibration.digest, **self.calibration.value}
        return {"calibration": measured, "assignment": dict(self.assignment)}


_LEVELS: dict[Module, frozenset[str]] = {
    "encoder": frozenset(),
    "executor": frozenset({"L_level"}),
    "planner": frozenset({"H_level"}),
    "segment": frozenset({"L_level", "H_level"}),
}


def prepare(store: Store, recipe: Recipe, loaded: Artefact, pair: Pair, reaches: Callable[[Stage], bool]) -> Prepared:
    """Export, and where ``pair`` is quantised calibrate and quantise, as far as the build ``reaches``.

    Raises:
        ExportError: a graph cannot be made.
        CalibrationError: the magnitudes are of no use.
        DatasetError: the puzzles to calibrate on are missing, or are judged on.
    """
    graphs = stages.export(store, loaded, TARGETS[pair.target].variants[pair.precision])
    if pair.precision not in QUANTISED or recipe.dataset is None or not reaches("calibrate"):
        return Prepared(pair, graphs, loaded)
    if pair.precision == "auto":
        searched(recipe)
    modules = recipe.quantised_modules(pair.precision)
    method = recipe.calibration_method(pair.precision)
    calibration = quantising.calibrate(
        store, loaded, recipe.dataset, recipe.calibration, method, modules, judged_on(recipe, pair)
    )
    if not reaches("quantise"):
        return Prepared(pair, graphs, loaded)
    assignment, found = _assignment(store, recipe, loaded, pair, graphs, calibration)
    label = f"{pair.precision} {'+'.join(modules)}"
    rounded = None
    if recipe.quantise.rounding == "gptq" and "nvfp4" in assignment.values():
        rounded = quantising.compensate(store, loaded, recipe.dataset, recipe.calibration, calibration, assignment)
    written = quantising.quantise(store, graphs, calibration, assignment, label, rounded)
    control = None if pair.target == "cpu" else graphs
    return Prepared(pair, written, loaded, control, calibration, assignment, found)


def judged_on(recipe: Recipe, pair: Pair) -> tuple[str, ...]:
    """The splits that must stay unseen while ``pair`` is calibrated."""
    searched = (recipe.quantise.search.split,) if pair.precision == "auto" else ()
    return (recipe.gate.split, *searched)


def _assignment(
    store: Store, recipe: Recipe, loaded: Artefact, pair: Pair, graphs: Artefact, calibration: Artefact
) -> tuple[dict[str, SitePrecision], Artefact | None]:
    if pair.precision == "auto":
        return search(store, recipe, loaded, pair, graphs, calibration)
    config = HRMConfig.from_dict(loaded.value["architecture"])
    modules = recipe.quantised_modules(pair.precision)
    return uniform(config, modules, pair.precision), None
