"""Puzzles and answers for a terminal: a grid with box borders in which colours tell givens from answers.

Without colours it still reads: a wrong cell carries an exclamation mark, and tiles keep their symbols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from hrm.data.cells import Cell, Mark, answer_cells, extent, puzzle_cells
from hrm.data.palette import ARC, ARC_DARK, ARC_FIRST

if TYPE_CHECKING:
    from hrm.data.cells import Tokens
    from hrm.data.tasks import Task

_STYLES = {Mark.GIVEN: "bold", Mark.FILLED: "cyan", Mark.WRONG: "bold red", Mark.EMPTY: "dim"}
_TILED = ("maze", "arc")
_WRONG_TILE = "bold white on red"
_MAZE = {"#": "grey50 on grey50", "S": "black on green", "G": "black on yellow", "o": "black on cyan"}


def puzzle_board(task: Task, inputs: Tokens) -> Table:
    """A puzzle [S] as it was given."""
    return _board(task, puzzle_cells(task, inputs))


def answer_board(
    task: Task, inputs: Tokens, tokens: Tokens, labels: Tokens | None = None, previous: Tokens | None = None
) -> Table:
    """The answer ``tokens`` [S] to the puzzle ``inputs`` [S].

    Given cells are bold, the model's are cyan, wrong ones red with an exclamation mark, or, among coloured tiles, white
    on red with one; what differs from the segment before (``previous``) has a grey background, or, there, a line under
    it.

    Args:
        task: what the tokens stand for.
        inputs: the puzzle.
        tokens: the answer.
        labels: the right answer, where it is known.
        previous: the answer of the segment before, where there was one.
    """
    return _board(task, answer_cells(task, inputs, tokens, labels, previous))


def _board(task: Task, cells: tuple[Cell, ...]) -> Table:
    """A table with one cell for each box of the puzzle."""
    height, width = task.box
    shown_rows, shown_columns = extent(task, cells)
    rows = [cells[start : start + task.columns][:shown_columns] for start in range(0, task.length, task.columns)]
    table = Table(box=box.ROUNDED, show_header=False, show_lines=True, padding=(0, 0, 0, 1), border_style="dim")
    for _ in range(0, shown_columns, width):
        table.add_column(no_wrap=True)
    for top in range(0, shown_rows, height):
        band = rows[top : min(top + height, shown_rows)]
        table.add_row(*(_box(task, band, left, width) for left in range(0, shown_columns, width)))
    return table


def _box(task: Task, band: list[tuple[Cell, ...]], left: int, width: int) -> Text:
    lines = [Text.assemble(*(_draw(task, cell) for cell in row[left : left + width])) for row in band]
    return Text("\n").join(lines)


def _draw(task: Task, cell: Cell) -> tuple[str, str]:
    """A cell's text and style."""
    symbol = cell.symbol.rjust(max(map(len, task.symbols)))
    if cell.mark is Mark.WRONG and task.kind in _TILED:
        return f"{symbol}!", _WRONG_TILE + _changed(cell, "underline")
    if cell.mark is Mark.WRONG:
        return f"{symbol}!", _STYLES[Mark.WRONG] + _changed(cell, "on grey23")
    tile = _tile(task, cell)
    if tile:
        return f"{symbol} ", tile + _changed(cell, "underline")
    return f"{symbol} ", _STYLES[cell.mark] + _changed(cell, "on grey23")


def _changed(cell: Cell, style: str) -> str:
    return f" {style}" if cell.changed else ""


def _tile(task: Task, cell: Cell) -> str:
    """The style of a coloured tile; empty where the cell is plain text."""
    if task.kind == "maze":
        return _MAZE.get(cell.symbol, "")
    if task.kind == "arc" and cell.token >= ARC_FIRST:
        colour = cell.token - ARC_FIRST
        return f"{'white' if colour in ARC_DARK else 'black'} on {ARC[colour]}"
    return ""
