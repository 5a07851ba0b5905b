"""What a run directory says of itself: whose numbers it holds, and what came of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import RecipeError, UsageError, from_os_error
from hrm.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

FILE = "run.json"
_BOUND = ("recipe", "data", "device")
"""What must be the same for a run to go on to the same numbers."""


class Outcome(Document):
    """What came of a run that has ended."""

    reason: str
    """Why it ended."""
    steps: int
    seconds: float
    """Of all the processes that worked on it, evaluations included."""
    rows_per_second: float
    """Rows of a batch times steps, by ``seconds``: each is one segment of one puzzle."""
    best_step: int
    evaluation: dict[str, Any]
    """The best evaluation; its weights are the ones that were kept."""
    parameters: int


class RunRecord(Document):
    """``run.json``."""

    format_version: Literal[1] = 1
    recipe: dict[str, Any]
    """The recipe with everything it leaves out filled in, but for the data set's path."""
    data: dict[str, str]
    """The digest of each split that is read."""
    device: str
    """What it is trained on, and in which dtype."""
    machine: dict[str, Any]
    versions: dict[str, str]
    outcome: Outcome | None = None


def read(directory: Path) -> RunRecord | None:
    """The record of the run in ``directory``; None where there is none.

    Raises:
        UsageError: the record cannot be read.
    """
    path = directory / FILE
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{path} cannot be read",
            why=" ".join(str(error).split())[:200],
            hint="restore it, or train into another directory",
        ) from error


def claim(directory: Path, record: RunRecord) -> RunRecord:
    """Make ``directory`` the home of ``record``'s run, or find that it is: then its own record is returned.

    Raises:
        UsageError: something else lies there, or a run of another recipe, data set or device.
    """
    found = read(directory)
    if found is None:
        _refuse_occupied(directory)
        write_json(directory / FILE, record.model_dump(mode="json"))
        return record
    ours, theirs = (one.model_dump(mode="json", include=set(_BOUND)) for one in (record, found))
    differences = _differences(theirs, ours)
    if differences:
        raise RecipeError(
            f"{directory} holds a run of another recipe",
            why="; ".join(differences),
            hint="train into another directory, or with the recipe that the run was started with",
        )
    return found


def finish(directory: Path, record: RunRecord, outcome: Outcome) -> None:
    """Write down what came of the run."""
    write_json(directory / FILE, record.model_copy(update={"outcome": outcome}).model_dump(mode="json"))


def _refuse_occupied(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        why = "it is a file"
    else:
        try:
            # What a kill left while a record was being written is no reason to refuse.
            names = [path.name for path in directory.iterdir() if not path.name.startswith(f".{FILE}.")]
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_os_error(error, directory) from error
        if not names:
            return
        why = f"it holds {min(names)}, and no {FILE} to say that it is a training run"
    raise UsageError(f"{directory} is no place for a training run", why=why, hint="give a new directory as --output")


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    """What has changed, with its place; what is null is as good as absent."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{place} was {old!r} and is now {new!r}"]
    keys = [*old, *(key for key in new if key not in old)]
    return [
        text
        for key in keys
        for text in _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    ]
