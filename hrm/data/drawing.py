"""Puzzles and answers as a figure, side by side, for reports: PNG bytes or SVG text.

Given cells are dark, the model's blue, wrong ones red on light red. Mazes and ARC grids are coloured tiles: a wrong
cell of a maze is red where the answer goes and should not, light red otherwise; one of an ARC grid carries a cross.
ARC grids differ in size, so each has a frame of its own, on boards of one scale.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hrm.data.cells import Cell, Mark, answer_cells, extent, puzzle_cells
from hrm.data.palette import ARC, ARC_FIRST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from hrm.data.cells import Tokens
    from hrm.data.tasks import Task

_DARK, _BLUE, _RED, _LIGHT_RED, _WHITE = "#1b1f24", "#1f6feb", "#cf222e", "#ffdcd7", "#ffffff"
_INK = {Mark.GIVEN: _DARK, Mark.FILLED: _BLUE, Mark.WRONG: _RED}
_MAZE = {"#": "#30363d", "S": "#2da44e", "G": "#d4a72c", "o": "#79b8ff"}
_MAZE_ENDS = "SG"
_MISSED = "#ffaba3"
_HAIRLINE = {"sudoku": "#c3cad2", "sequence": "#e2e6ea", "arc": "#8b949e"}
_BOARD_INCHES, _CELL_INCHES, _NUMBER_INCHES = 2.7, 0.45, 0.28
_TITLE_INCHES, _GAP_INCHES = 0.3, 0.15


class Panel(NamedTuple):
    """An answer [S] and the title over it."""

    title: str
    tokens: Tokens


class _Board(NamedTuple):
    title: str
    cells: tuple[Cell, ...]


class _Frame(NamedTuple):
    """The rows and columns, from … up to but without …, that lines are drawn around and between."""

    top: int
    left: int
    bottom: int
    right: int


class _Layout(NamedTuple):
    """The rows and columns to show and the side of a cell, in inches."""

    rows: int
    columns: int
    cell: float


def puzzle_figure(task: Task, inputs: Tokens, answers: Sequence[Panel], labels: Tokens | None = None) -> Figure:
    """The puzzle and its answers side by side, each on a board of two to three inches.

    Args:
        task: what the tokens stand for.
        inputs: the puzzle [S].
        answers: what was answered, in the order of the boards.
        labels: the right answer [S], to mark wrong cells; None where it is not known.
    """
    boards = [_Board("puzzle", puzzle_cells(task, inputs))]
    boards += [_Board(title, answer_cells(task, inputs, tokens, labels)) for title, tokens in answers]
    layout = _layout(task, boards)
    width, height = layout.columns * layout.cell, layout.rows * layout.cell
    step = width + _GAP_INCHES
    total = (step * len(boards) + _GAP_INCHES, height + _TITLE_INCHES + _GAP_INCHES)
    figure = Figure(figsize=total)
    for index, board in enumerate(boards):
        left = _GAP_INCHES + index * step
        axes = figure.add_axes((left / total[0], _GAP_INCHES / total[1], width / total[0], height / total[1]))
        axes.set(xlim=(0, layout.columns), ylim=(layout.rows, 0))
        axes.set_axis_off()
        axes.set_title(board.title, loc="left" if task.kind == "arc" else "center", fontsize=9, color=_DARK, pad=6)
        _draw(axes, task, board, layout)
    return figure


def to_png(figure: Figure, dpi: int = 144) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def to_svg(figure: Figure) -> str:
    """The figure as one ``<svg>`` element to set into an HTML page; the same figure always gives the same text."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "hrm-trt"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _layout(task: Task, boards: Sequence[_Board]) -> _Layout:
    extents = [extent(task, board.cells) for board in boards]
    columns = max(columns for _, columns in extents)
    cell = _NUMBER_INCHES if task.kind == "sequence" else min(_CELL_INCHES, _BOARD_INCHES / columns)
    return _Layout(rows=max(rows for rows, _ in extents), columns=columns, cell=cell)


def _draw(axes: Axes, task: Task, board: _Board, layout: _Layout) -> None:
    cells = [cell for cell in board.cells if cell.row < layout.rows and cell.column < layout.columns]
    axes.imshow(_paper(task, cells, layout), extent=(0, layout.columns, layout.rows, 0), interpolation="none")
    if task.kind == "arc":
        _cross_out(axes, cells, layout)
    else:
        _write_symbols(axes, task, cells, layout)
    _rule(axes, task, _frame(task, cells, layout))


def _paper(task: Task, cells: Sequence[Cell], layout: _Layout) -> npt.NDArray[Any]:
    """The background as an RGB image with one pixel for each cell."""
    image = np.ones((layout.rows, layout.columns, 3))
    for cell in cells:
        image[cell.row, cell.column] = to_rgb(_tile(task, cell))
    return image


def _tile(task: Task, cell: Cell) -> str:
    if task.kind == "arc":
        return ARC[cell.token - ARC_FIRST] if cell.mark is not Mark.EMPTY and cell.token >= ARC_FIRST else _WHITE
    if cell.mark is not Mark.WRONG:
        return _MAZE.get(cell.symbol, _WHITE) if task.kind == "maze" else _WHITE
    if task.kind == "maze":
        return _RED if cell.symbol == "o" else _MISSED
    return _LIGHT_RED


def _write_symbols(axes: Axes, task: Task, cells: Sequence[Cell], layout: _Layout) -> None:
    """What is in the cells; in a maze, whose tiles speak for themselves, only where it starts and ends."""
    size = layout.cell * 72 * (0.55 if max(len(cell.symbol) for cell in cells) == 1 else 0.35)
    for cell in cells:
        if cell.mark is Mark.EMPTY or (task.kind == "maze" and cell.symbol not in _MAZE_ENDS):
            continue
        axes.text(
            cell.column + 0.5,
            cell.row + 0.52,
            cell.symbol,
            color=_WHITE if task.kind == "maze" and cell.mark is not Mark.WRONG else _INK[cell.mark],
            fontsize=size,
            fontweight="bold" if cell.mark is Mark.GIVEN else "normal",
            ha="center",
            va="center_baseline",
        )


def _cross_out(axes: Axes, cells: Sequence[Cell], layout: _Layout) -> None:
    wrong = [cell for cell in cells if cell.mark is Mark.WRONG]
    columns, rows = [cell.column + 0.5 for cell in wrong], [cell.row + 0.5 for cell in wrong]
    area = (layout.cell * 72 * 0.6) ** 2
    axes.scatter(columns, rows, s=area, marker="X", c=_WHITE, edgecolors=_RED, linewidths=1)


def _frame(task: Task, cells: Sequence[Cell], layout: _Layout) -> _Frame:
    """The whole board, or, for ARC, the grid on it."""
    shown = [cell for cell in cells if cell.mark is not Mark.EMPTY]
    if task.kind != "arc" or not shown:
        return _Frame(0, 0, layout.rows, layout.columns)
    rows, columns = [cell.row for cell in shown], [cell.column for cell in shown]
    return _Frame(min(rows), min(columns), max(rows) + 1, max(columns) + 1)


def _rule(axes: Axes, task: Task, frame: _Frame) -> None:
    """Lines between cells, and thicker ones around boxes and the frame."""
    (top, left, bottom, right), (height, width) = frame, task.box
    if task.kind in _HAIRLINE:
        colour = _HAIRLINE[task.kind]
        axes.hlines(range(top + 1, bottom), left, right, color=colour, linewidth=0.5)
        axes.vlines(range(left + 1, right), top, bottom, color=colour, linewidth=0.5)
    across, down = [*range(top, bottom, height), bottom], [*range(left, right, width), right]
    axes.hlines(across, left, right, color=_DARK, linewidth=1.4, clip_on=False, capstyle="projecting")
    axes.vlines(down, top, bottom, color=_DARK, linewidth=1.4, clip_on=False, capstyle="projecting")
