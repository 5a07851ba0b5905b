"""What a build is asked to do: a YAML file, or the same settings as options on the command line."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from engines.act import PolicyName
from engines.bundle import Range, Topology
from engines.onnx_runtime import RuntimeOptions
from engines.targets import TARGETS, PrecisionName, RuntimeName, TargetName, refusal
from hrm.documents import Document
from hrm.errors import RecipeError
from validation.verdict import GateOptions


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


class PublishSettings(Document):
    """Where a bundle that passed goes."""

    repository: Path = Field(description="the Triton model repository")
    name: str | None = Field(None, description="the models' name; the recipe's when left out")
    keep: int = Field(3, gt=0, description="versions to keep")


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
    runtime: RuntimeName = "onnxruntime"
    topologies: tuple[Topology, ...] = Field(("segment", "planner-executor"), min_length=1)
    profile: ProfileSettings = ProfileSettings()
    execution: RuntimeOptions = RuntimeOptions()
    gate: GateSettings = GateSettings()
    publish: PublishSettings | None = None

    @property
    def batch(self) -> int:
        """Puzzles per engine call while gating: what the engines are built for first of all."""
        return self.profile.batch.opt

    def pairs(self) -> tuple[tuple[TargetName, PrecisionName], ...]:
        """Every target and precision that is asked for, each once."""
        asked = (
            (target, precision)
            for target in self.targets
            for precision in self.precisions or (TARGETS[target].default,)
        )
        return tuple(dict.fromkeys(asked))

    def buildable(self) -> tuple[tuple[TargetName, PrecisionName], ...]:
        """The pairs of which this version builds engines."""
        return tuple(pair for pair in self.pairs() if refusal(*pair) is None)


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, its paths made absolute.

    Raises:
        RecipeError: the file cannot be read, or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise RecipeError(
            f"cannot read the recipe {path}", why=reason, hint="`hrm-trt schema` shows its form"
        ) from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is not a recipe", why="it is not a mapping", hint="`hrm-trt schema` shows its form")
    return _absolute(values, path.parent)


def make_recipe(values: dict[str, Any]) -> Recipe:
    """Check settings and fill in what they leave out.

    Raises:
        RecipeError: an unknown key, target or precision (with the nearest known one), or a value out of range.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise _explain(error) from error


def _absolute(values: dict[str, Any], home: Path) -> dict[str, Any]:
    result = dict(values)
    checkpoint = result.get("checkpoint")
    if isinstance(checkpoint, str) and not checkpoint.startswith("hf://"):
        result["checkpoint"] = str((home / checkpoint).resolve())
    if isinstance(result.get("dataset"), str):
        result["dataset"] = str((home / result["dataset"]).resolve())
    publish = result.get("publish")
    if isinstance(publish, dict) and isinstance(publish.get("repository"), str):
        result["publish"] = {**publish, "repository": str((home / publish["repository"]).resolve())}
    return result


def _explain(error: ValidationError) -> RecipeError:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a misspelt key is missing too
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(first["loc"][:-1])
        return RecipeError(f"unknown key {where}", why="no such setting", hint=_nearest(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return RecipeError(f"the recipe lacks {where}", why="it has no default", hint=f"add `{where}:`")
    given = first["input"]
    if first["type"] == "literal_error" and isinstance(given, str):
        known = re.findall(r"'([^']+)'", first["ctx"]["expected"])
        return RecipeError(f"{where} cannot be {given!r}", why="no such choice", hint=_nearest(given, known))
    return RecipeError(f"{where} cannot be {given!r}", why=first["msg"], hint="`hrm-trt schema` shows what it can be")


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """The settings that may stand at ``place``."""
    part: type[BaseModel] = Recipe
    for key in place:
        kinds = (part.model_fields[str(key)].annotation, *get_args(part.model_fields[str(key)].annotation))
        part = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return sorted(part.model_fields)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"did you mean `{close[0]}`? " if close else ""
    return f"{guess}known: {', '.join(known)}"
