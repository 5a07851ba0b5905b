"""What comes with hrm-trt: checkpoints and training recipes, in a clone beside the packages, in a wheel inside them."""

from __future__ import annotations

from pathlib import Path

from hrm.errors import RecipeError
from hrm.files import is_file

_HERE = Path(__file__).resolve()


def directory(kind: str) -> Path:
    """Where the ``checkpoints`` or ``recipes`` are."""
    inside = _HERE.parents[1] / f"_{kind}"
    return inside if inside.is_dir() else _HERE.parents[2] / kind


def recipe(given: str) -> Path:
    """The training recipe that ``given`` names: a file, or the name of one that comes with hrm-trt.

    Raises:
        RecipeError: there is no such file or recipe.
    """
    if is_file(Path(given)):
        return Path(given)
    known = {path.stem: path for path in sorted(directory("recipes").glob("*.yaml"))}
    if given not in known:
        raise RecipeError(
            f"no training recipe {given}",
            why="it is neither a file nor one of the recipes that come with hrm-trt",
            hint=f"known: {', '.join(known)}",
        )
    return known[given]
