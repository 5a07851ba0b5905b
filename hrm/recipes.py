"""Recipes: YAML files that say what a command is to do, checked against a document, with errors that name the key."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hrm.errors import RecipeError

if TYPE_CHECKING:
    from pathlib import Path

_Recipe = TypeVar("_Recipe", bound=BaseModel)


def read(path: Path, schema: str) -> dict[str, Any]:
    """The settings in a YAML file, not checked yet; ``schema`` is the command that prints what it may hold.

    Raises:
        RecipeError: the file cannot be read, or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise RecipeError(f"cannot read the recipe {path}", why=reason, hint=f"{schema} shows its form") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is not a recipe", why="it is not a mapping", hint=f"{schema} shows its form")
    return values


def make(model: type[_Recipe], values: dict[str, Any], schema: str) -> _Recipe:
    """Check settings and fill in what they leave out.

    Raises:
        RecipeError: an unknown key or choice (with the nearest known one), or a value out of range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, schema) from error


def _explain(error: ValidationError, model: type[BaseModel], schema: str) -> RecipeError:
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")  # a misspelt key is missing too
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(model, first["loc"][:-1])
        return RecipeError(f"unknown key {where}", why="no such setting", hint=_nearest(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return RecipeError(f"the recipe lacks {where}", why="it has no default", hint=f"add `{where}:`")
    if not where:
        return RecipeError("the recipe contradicts itself", why=first["msg"], hint=f"{schema} shows its form")
    given = first["input"]
    if first["type"] == "literal_error" and isinstance(given, str):
        known = re.findall(r"'([^']+)'", first["ctx"]["expected"])
        return RecipeError(f"{where} cannot be {given!r}", why="no such choice", hint=_nearest(given, known))
    return RecipeError(f"{where} cannot be {given!r}", why=first["msg"], hint=f"{schema} shows what it can be")


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The settings that may stand at ``place``."""
    part = model
    for key in place:
        kinds = (part.model_fields[str(key)].annotation, *get_args(part.model_fields[str(key)].annotation))
        part = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return sorted(part.model_fields)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    guess = f"did you mean `{close[0]}`? " if close else ""
    return f"{guess}known: {', '.join(known)}"
