"""One build at work: what it was asked for, and what it has come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engines.bundle import MODULES
from hrm_trt.pipeline.recipe import STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from export.contract import Module
    from hrm_trt.pipeline.judging import Judged
    from hrm_trt.pipeline.preparing import Prepared
    from hrm_trt.pipeline.recipe import Pair, Recipe, Stage
    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.store import Store
    from hrm_trt.pipeline.trial import Trial
    from hrm_trt.pipeline.workdir import Workdir


@dataclass(frozen=True)
class Passed:
    """The bundles of one pair that passed under ``fixed``."""

    pair: Pair
    bundles: tuple[Path, ...]


@dataclass
class Build:
    """What a build was asked for, and what it has come to."""

    recipe: Recipe
    workdir: Workdir
    until: Stage
    name: str
    """What bundles and models are called."""
    store: Store
    result: BuildResult
    architecture: dict[str, Any] = field(default_factory=dict)
    """``HRMConfig.to_dict()``"""
    origin: dict[str, Any] = field(default_factory=dict)
    trial: Trial | None = None
    """What bundles are judged by; None where the build stops before that."""
    prepared: list[Prepared] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    """What may be published."""

    def reaches(self, stage: Stage) -> bool:
        """Whether the build goes as far as ``stage``."""
        return STAGES.index(stage) <= STAGES.index(self.until)

    def modules(self, pair: Pair) -> tuple[Module, ...]:
        """The modules that the topologies of ``pair`` need, each once."""
        topologies = self.recipe.topologies_of(pair)
        return tuple(dict.fromkeys(module for topology in topologies for module in MODULES[topology]))
