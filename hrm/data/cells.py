"""What a picture of a puzzle shows in each of its cells; both the figure and the terminal draw these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hrm.data.layout import IGNORE
from hrm.data.palette import ARC_FIRST

if TYPE_CHECKING:
    from hrm.data.tasks import Task

Tokens = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


class Mark(Enum):
    """Where the token of a cell comes from, and whether it is right."""

    GIVEN = "given"
    FILLED = "filled"
    WRONG = "wrong"
    EMPTY = "empty"
    """Still to be filled in, not judged, or outside the grid."""


@dataclass(frozen=True)
class Cell:
    """One cell of a puzzle or an answer."""

    row: int
    column: int
    token: int
    symbol: str
    mark: Mark
    changed: bool
    """The token differs from the one of the segment before."""


def puzzle_cells(task: Task, inputs: Tokens) -> tuple[Cell, ...]:
    """The cells of a puzzle [S] as it was given."""
    empty = _is_empty(task, inputs) | (inputs == task.blank)
    return _cells(task, inputs, empty=empty, wrong=_nowhere(task), given=~empty, changed=_nowhere(task))


def answer_cells(
    task: Task, inputs: Tokens, tokens: Tokens, labels: Tokens | None = None, previous: Tokens | None = None
) -> tuple[Cell, ...]:
    """The cells of an answer ``tokens`` [S] to the puzzle ``inputs`` [S].

    A cell is wrong if it differs from its label or from what was given there.

    Args:
        task: what the tokens stand for.
        inputs: the puzzle.
        tokens: the answer.
        labels: the right answer, ``IGNORE`` where a cell is not judged; None where it is not known.
        previous: the answer of the segment before, to tell what changed.
    """
    given = _nowhere(task) if task.blank is None else inputs != task.blank
    wrong = given & (tokens != inputs)
    ignored = _nowhere(task)
    if labels is not None:
        ignored = labels == IGNORE
        wrong = (wrong | (tokens != labels)) & ~ignored
    empty = ignored | (_is_empty(task, tokens) & ~wrong)
    changed = _nowhere(task) if previous is None else tokens != previous
    return _cells(task, tokens, empty=empty, wrong=wrong, given=given, changed=changed)


def extent(task: Task, cells: tuple[Cell, ...]) -> tuple[int, int]:
    """Rows and columns to show: all of them, or, for ARC and for what is padded, those up to the last not empty."""
    shown = [cell for cell in cells if cell.mark is not Mark.EMPTY]
    if not shown or (task.kind != "arc" and task.pad is None):
        return task.rows, task.columns
    return 1 + max(cell.row for cell in shown), 1 + max(cell.column for cell in shown)


def _nowhere(task: Task) -> Flags:
    return np.zeros(task.length, dtype=np.bool_)


def _is_empty(task: Task, tokens: Tokens) -> Flags:
    """Outside an ARC grid, where padding and end marks are, and after the end of a padded sequence."""
    if task.pad is not None:
        return np.asarray(tokens == task.pad)
    return tokens < ARC_FIRST if task.kind == "arc" else _nowhere(task)


def _cells(task: Task, tokens: Tokens, *, empty: Flags, wrong: Flags, given: Flags, changed: Flags) -> tuple[Cell, ...]:
    marks = np.full(task.length, Mark.FILLED)
    for mark, where in ((Mark.GIVEN, given), (Mark.WRONG, wrong), (Mark.EMPTY, empty)):
        marks[where] = mark
    blank = next((task.symbols[token] for token in (task.blank, task.pad) if token is not None), ".")
    return tuple(
        Cell(
            row=index // task.columns,
            column=index % task.columns,
            token=int(token),
            symbol=blank if mark is Mark.EMPTY else task.symbols[token],
            mark=mark,
            changed=bool(moved),
        )
        for index, (token, mark, moved) in enumerate(zip(tokens, marks, changed, strict=True))
    )
