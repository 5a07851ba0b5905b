"""`hrm-trt sensitivity`: what a build with the precision `auto` does up to the quantised graphs, and no further."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hrm.checkpoint import locate
from hrm.config import HRMConfig
from hrm.data.dataset import check_fits, read_info
from hrm.errors import RecipeError
from hrm_trt.pipeline import stages
from hrm_trt.pipeline.events import Emit, ignore
from hrm_trt.pipeline.preparing import prepare
from hrm_trt.pipeline.searching import PICTURE, searched
from hrm_trt.pipeline.store import Store
from validation.sensitivity import SearchRecord

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.recipe import Pair, Recipe, Stage
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.workdir import Workdir


@dataclass(frozen=True)
class Sensitivity:
    """What a checkpoint bears, and how that was found out."""

    pair: Pair
    config: HRMConfig
    record: SearchRecord
    artefact: Artefact

    @property
    def picture(self) -> Path:
        """Accuracy against the share of low precision."""
        return self.artefact.path / PICTURE


def explore(recipe: Recipe, workdir: Workdir, *, emit: Emit = ignore) -> Sensitivity:
    """Search for the most low precision that the checkpoint of ``recipe`` bears on its first target.

    Every artefact is the one that a build of the same recipe needs: nothing is computed twice.

    Raises:
        RecipeError: the target has no low precision.
        DatasetError: there are no puzzles to search on, or the gate judges by them.
        HrmTrtError: whatever the stages raise for bad input.
    """
    pair = recipe.pairs()[0]
    if pair.refusal is not None:
        raise RecipeError(
            f"there is nothing to search for {pair.target}",
            why=pair.refusal,
            hint="pass --target sm_90, sm_100 or sm_120: GPUs that have low precisions",
        )
    dataset = searched(recipe)
    store = Store(workdir.root, emit)
    loaded = stages.load(store, locate(recipe.checkpoint), dataset)
    config = HRMConfig.from_dict(loaded.value["architecture"])
    check_fits(read_info(dataset, recipe.quantise.search.split), config)
    artefact = cast("Artefact", prepare(store, recipe, loaded, pair, _all).search)  # `auto` always searches
    return Sensitivity(pair, config, SearchRecord.model_validate(artefact.value), artefact)


def _all(stage: Stage) -> bool:
    del stage
    return True
