"""What a build is asked to do: a YAML file, or the same settings as options on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, field_validator, model_validator

from engines.act import PolicyName
from engines.bundle import Range, Topology
from engines.onnx_session import RuntimeOptions
from engines.targets import TARGETS, PrecisionName, RuntimeName, TargetName, refusal
from engines.tensorrt.options import BuilderOptions
from export.quantise.calibration import Method
from export.quantise.sites import Quantisable
from hrm import recipes
from hrm.documents import Document
from validation.verdict import GateOptions

_SCHEMA = "`hrm-trt schema`"


class Pair(NamedTuple):
    """One bundle of each topology: for which machine, in what arithmetic, and by which runtime."""

    target: TargetName
    precision: PrecisionName
    runtime: RuntimeName

    @property
    def refusal(self) -> str | None:
        """Why it cannot exist; None where it can."""
        return refusal(*self)

    def __str__(self) -> str:
        return f"{self.target} {self.precision}"


class ProfileSettings(Document):
    """The batches that engines are built for; the sequence length is the data set's."""

    batch: Range = Range(min=1, opt=32, max=256)


class GateSettings(GateOptions):
    """What the gate asks for, of which policies, on which puzzles."""

    policies: tuple[PolicyName, ...] = Field(("fixed", "adaptive"), description="when a puzzle stops; each is gated")
    threshold: float = Field(0.95, gt=0, lt=1, description="mean probability at which the confidence policy stops")
    limit: int | None = Field(None, gt=0, description="test puzzles to use, from the first; all when left out")
    split: str = Field("test", description="the data set's split that the gate uses")

    def options(self) -> GateOptions:
        """What the gate itself needs to know."""
        return GateOptions(**{name: getattr(self, name) for name in GateOptions.model_fields})

    @field_validator("policies")
    @classmethod
    def _fixed_is_gated(cls, policies: tuple[PolicyName, ...]) -> tuple[PolicyName, ...]:
        """Publishing hangs on ``fixed``, so it is always gated, and first."""
        return ("fixed", *dict.fromkeys(policy for policy in policies if policy != "fixed"))


class CalibrationSettings(Document):
    """The puzzles whose trajectories say how large the numbers of a quantised layer get."""

    split: str | None = Field(None, description="the data set's; when left out `calibration`, or `train` without one")
    puzzles: int = Field(256, gt=0, description="how many, drawn by `seed`; each is run through every segment")
    method: Method | None = Field(
        None, description="how magnitudes become scales; when left out max, and for int8 percentile"
    )
    seed: int = Field(0, ge=0, description="what the puzzles are drawn by")


Rounding = Literal["nearest", "gptq"]
Stage = Literal["load", "export", "calibrate", "quantise", "build", "validate", "publish"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""How far a build may go, in order."""


class SearchSettings(Document):
    """How the precision `auto` looks for the layers that bear low precision."""

    split: str = Field("search", description="the data set's split to search on; never the gate's")
    limit: int | None = Field(None, gt=0, description="puzzles to use, from the first; all when left out")
    evaluations: int = Field(24, gt=0, description="assignments to try at most, those of single layers aside")


class QuantiseSettings(Document):
    """What gets the low precision."""

    modules: tuple[Quantisable, ...] | None = Field(
        None, min_length=1, description="executor, planner or both; when left out the executor, and for int8 both"
    )
    rounding: Rounding = Field("nearest", description="how NVFP4 weights are rounded; gptq makes errors good")
    search: SearchSettings = SearchSettings()


class PublishSettings(Document):
    """Where a bundle that passed goes."""

    repository: str = Field(description="the Triton model repository: a directory, or a URL like s3://bucket/models")
    name: str | None = Field(None, description="the models' name; the recipe's when left out")
    keep: int = Field(3, gt=0, description="versions to keep")
    slots: int | None = Field(None, gt=0, description="puzzles that run at once; profile.batch.opt when left out")
    queue: int = Field(1024, gt=0, description="puzzles that may wait for a slot")
    allow_emulated: bool = Field(False, description="also what passed on a CPU in place of its own GPU")


class Recipe(Document):
    """Everything that `hrm-trt build` needs to know."""

    format_version: Literal[1] = 1
    name: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="the checkpoint's when left out"
    )
    checkpoint: str = Field(description="a directory, a file, or hf://repo@revision")
    dataset: Path | None = Field(None, description="a data set in the official layout; the gate needs it")
    targets: tuple[TargetName, ...] = Field(("cpu",), min_length=1)
    precisions: tuple[PrecisionName, ...] = Field((), description="each target's own when left out")
    runtime: RuntimeName | None = Field(None, description="what runs the engines; each target's own when left out")
    topologies: tuple[Topology, ...] = Field(("segment", "planner-executor"), min_length=1)
    profile: ProfileSettings = ProfileSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    quantise: QuantiseSettings = QuantiseSettings()
    builder: BuilderOptions = BuilderOptions()
    execution: RuntimeOptions = RuntimeOptions()
    gate: GateSettings = GateSettings()
    publish: PublishSettings | None = None

    @model_validator(mode="after")
    def _int8_has_its_own_steps(self) -> Self:
        if self.calibration.method == "mse" and "int8" in self.precisions:
            raise ValueError("calibration.method mse looks for FP8's steps; for int8 leave it out, or take percentile")
        return self

    @property
    def batch(self) -> int:
        """Puzzles per engine call while gating: what the engines are built for first of all."""
        return self.profile.batch.opt

    def quantised_modules(self, precision: PrecisionName) -> tuple[Quantisable, ...]:
        """The modules whose linears get ``precision``."""
        return self.quantise.modules or (("executor", "planner") if precision == "int8" else ("executor",))

    def calibration_method(self, precision: PrecisionName) -> Method:
        """How magnitudes become the scales of ``precision``.

        Integers have steps of one size, so one outlier would cost every other value its digits; floating point's do
        not. On the bundled checkpoint a linear's largest input is 3.5 times its 99.99th percentile, and INT8 lost 6
        of 1,000 search puzzles with the one (0 won), 1 with the other (1 won).
        """
        return self.calibration.method or ("percentile" if precision == "int8" else "max")

    def topologies_of(self, pair: Pair) -> tuple[Topology, ...]:
        """Those of the topologies asked for that the runtime of ``pair`` has."""
        compiled = pair.runtime == "torch-tensorrt"  # it compiles single calls, not graphs composed of them
        return tuple(each for each in self.topologies if each == "planner-executor" or not compiled)

    def pairs(self) -> tuple[Pair, ...]:
        """Every target and precision that is asked for, each once."""
        asked = (
            Pair(target, precision, self.runtime or TARGETS[target].runtimes[0])
            for target in self.targets
            for precision in self.precisions or (TARGETS[target].default,)
        )
        return tuple(dict.fromkeys(asked))


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, its paths made absolute.

    Raises:
        RecipeError: the file cannot be read, or is not a mapping.
    """
    return _absolute(recipes.read(path, _SCHEMA), path.parent)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """Check settings and fill in what they leave out.

    Raises:
        RecipeError: an unknown key, target or precision (with the nearest known one), or a value out of range.
    """
    return recipes.make(Recipe, values, _SCHEMA)


def _absolute(values: dict[str, Any], home: Path) -> dict[str, Any]:
    result = dict(values)
    checkpoint = result.get("checkpoint")
    if isinstance(checkpoint, str) and not checkpoint.startswith("hf://"):
        result["checkpoint"] = str((home / checkpoint).resolve())
    if isinstance(result.get("dataset"), str):
        result["dataset"] = str((home / result["dataset"]).resolve())
    publish = result.get("publish")
    if isinstance(publish, dict) and isinstance(publish.get("repository"), str):
        place = publish["repository"]
        result["publish"] = {**publish, "repository": place if "://" in place else str((home / place).resolve())}
    return result
