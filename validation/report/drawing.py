"""Puzzles as a few SVG shapes: a cell is one unit wide, cells of a kind share a path, CSS colours them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from hrm.data.cells import Cell, Mark, extent
from hrm.data.palette import ARC_FIRST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hrm.data.tasks import Task

_MAZE = {"#": "wall", "S": "start", "G": "goal", "o": "way"}


@dataclass(frozen=True)
class Shape:
    """Cells that look alike: a class of the style sheet and an SVG path."""

    style: str
    path: str


@dataclass(frozen=True)
class Symbol:
    """A character in the middle of a cell."""

    x: float
    y: float
    text: str
    style: str


@dataclass(frozen=True)
class Drawing:
    """A puzzle or an answer, ``columns`` by ``rows`` units large."""

    columns: int
    rows: int
    tiled: bool
    """Colours say what a cell holds, not symbols."""
    dense: bool
    """Symbols of more than one character."""
    tiles: tuple[Shape, ...]
    symbols: tuple[Symbol, ...]
    thin: str
    """Path of the lines between cells; ``thick``: between boxes."""
    thick: str


def draw(task: Task, cells: tuple[Cell, ...]) -> Drawing:
    """The cells of a puzzle or an answer (``hrm.data.cells``) as shapes."""
    rows, columns = extent(task, cells)
    shown = [cell for cell in cells if cell.row < rows and cell.column < columns]
    height, width = task.box
    return Drawing(
        columns=columns,
        rows=rows,
        tiled=task.kind in ("maze", "arc"),
        dense=any(len(symbol) > 1 for symbol in task.symbols),
        tiles=tuple(_tiles(task, shown)),
        symbols=tuple(_symbols(task, shown)),
        thin=_lines(range(1, rows), range(1, columns), rows, columns),
        thick=_lines(range(height, rows, height), range(width, columns, width), rows, columns),
    )


def _tiles(task: Task, cells: list[Cell]) -> Iterable[Shape]:
    """Coloured tiles, and above them the cells that are wrong."""
    kinds: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        style = _tile(task, cell)
        if style:
            kinds[style].append(cell)
    wrong = [cell for cell in cells if cell.mark is Mark.WRONG]
    if wrong:
        kinds["wrong"] = wrong
    return [Shape(style, "".join(_runs(members))) for style, members in kinds.items()]


def _tile(task: Task, cell: Cell) -> str:
    """The style of a coloured tile; empty where the cell is plain."""
    if task.kind == "maze":
        return _MAZE.get(cell.symbol, "")
    if task.kind == "arc" and cell.token >= ARC_FIRST:
        return f"arc-{cell.token - ARC_FIRST}"
    return ""


def _runs(cells: list[Cell]) -> Iterable[str]:
    """One rectangle for every run of neighbours in a row."""
    for _, run in groupby(enumerate(cells), key=lambda item: (item[1].row, item[1].column - item[0])):
        members = [cell for _, cell in run]
        yield f"M{members[0].column} {members[0].row}h{len(members)}v1h-{len(members)}z"


def _symbols(task: Task, cells: list[Cell]) -> Iterable[Symbol]:
    """What is written: nothing in empty cells, only start and goal in a maze, nothing on ARC's colours."""
    for cell in cells:
        written = cell.symbol in "SG" if task.kind == "maze" else task.kind != "arc"
        if written and cell.mark is not Mark.EMPTY:
            yield Symbol(cell.column + 0.5, cell.row + 0.5, cell.symbol, cell.mark.value)


def _lines(horizontal: range, vertical: range, rows: int, columns: int) -> str:
    return "".join([f"M0 {y}h{columns}" for y in horizontal] + [f"M{x} 0v{rows}" for x in vertical])
