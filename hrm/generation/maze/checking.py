"""What a maze must be: large enough to be told from a Sudoku, and with a shortest way in its answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hrm.errors import UsageError
from hrm.generation.maze.tokens import GOAL, OPEN, START, WALL, WAY, Cells
from hrm.generation.maze.ways import UNREACHED, distances

_LEAST_SIDE = 5


def check_side(side: int) -> None:
    """Check that there can be a data set of ``side`` × ``side`` mazes.

    Raises:
        UsageError: there can be none.
    """
    if side < _LEAST_SIDE:
        raise UsageError(
            f"there are no data sets of {side}×{side} mazes",
            why="one of 4×4 mazes would be taken for Sudokus, and smaller boards have no room for a maze",
            hint=f"choose a side of {_LEAST_SIDE} or more",
        )


def why_unsound(inputs: Cells, labels: Cells) -> str | None:
    """Why ``inputs`` [S] is not a maze, or ``labels`` [S] not the same with a shortest way; None if all is well."""
    for token, name in ((START, "S"), (GOAL, "G")):
        count = np.count_nonzero(inputs == token)
        if count != 1:
            return f"its question has {count} cells {name}, not 1"
    if (inputs == WAY).any():
        return "its question has a cell o"
    changed = np.flatnonzero(np.where(labels == WAY, OPEN, labels) != inputs)
    if changed.size:
        return f"cell {changed[0] + 1} of its answer differs from its question by more than the way"
    return _why_not_shortest(inputs, labels)


def _why_not_shortest(inputs: Cells, labels: Cells) -> str | None:
    shortest = _steps(inputs, inputs != WALL)
    if shortest == UNREACHED:
        return "no way leads from S to G"
    marked = np.count_nonzero(labels == WAY) + 1
    if marked != shortest:
        return f"the way of its answer has {marked} steps, and a shortest one has {shortest}"
    if _steps(labels, np.isin(labels, (START, GOAL, WAY))) == UNREACHED:
        return "the cells o of its answer do not lead from S to G"
    return None


def _steps(cells: Cells, is_open: npt.NDArray[np.bool_]) -> int:
    """Steps from start to goal through the open cells."""
    start, goal = (int(np.flatnonzero(cells == token)[0]) for token in (START, GOAL))
    return distances(int(len(cells) ** 0.5), bytearray(is_open.tobytes()), start)[goal]
