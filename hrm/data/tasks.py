"""The tasks that HRMs are trained for: what a token id stands for, and how a puzzle is written as text.

A data set does not name its task, so ``task_of`` tells it by the vocabulary and the length, in this order:

===========  ==========  ===============  =============================================================
task         vocabulary  length           ids
===========  ==========  ===============  =============================================================
sudoku-4x4   6           16               0 pad, 1 blank, digit + 1
sudoku-6x6   8           36               the same; a box has 2 rows and 3 columns
sudoku-9x9   11          81               the same
maze-RxR     6           another square   0 pad, then ``# SGo``: wall, open, start, goal, way
arc          12          900              0 pad, 1 end of the grid's rows and columns, colour + 2
sequence     any         any              the ids themselves
===========  ==========  ===============  =============================================================

So a maze of 4×4 cells would be taken for a Sudoku: both have six ids and sixteen cells. A data set with a vocabulary
(``hrm.data.vocabulary``) is a sequence of its symbols, whatever its sizes; the shorter ones end with padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hrm.data.vocabulary import separator
from hrm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hrm.data.vocabulary import Vocabulary

Kind = Literal["sudoku", "maze", "arc", "sequence"]
_BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
_SEQUENCE_COLUMNS = 16


@dataclass(frozen=True)
class Task:
    """What the token ids of a data set stand for, and how its puzzles are laid out."""

    name: str
    kind: Kind
    length: int
    """Cells of a puzzle (S)."""
    rows: int
    columns: int
    box: tuple[int, int]
    """Rows and columns of a box; the whole grid where there are none."""
    symbols: tuple[str, ...]
    """What each token id is written as: one character, or, for a sequence, a number or a symbol of the user's own."""
    blank: int | None
    """The id of a cell that is to be filled in; None where the answer is a grid of its own."""
    separator: str = ""
    """What stands between symbols in a line of text."""
    pad: int | None = None
    """The id that fills what is shorter than ``length``; None where nothing may be shorter."""

    def parse(self, text: str) -> npt.NDArray[np.int32]:
        """The token ids [S] of a puzzle written as one string of cells.

        White space is left out, but not spaces where they are symbols, as a maze's open cells are. A Sudoku's blank is
        ``.`` or ``0``. Symbols of more than one character, as a plain sequence's numbers, have white space between
        them.

        Raises:
            UsageError: too many or too few cells, or one that this task does not know.
        """
        cells = self._split(text)
        if self.pad is not None and cells:
            cells = [*cells, *[self.symbols[self.pad]] * (self.length - len(cells))]
        if len(cells) != self.length:
            raise self._unreadable(f"it has {len(cells)} cells, and {self.name} has {self.length}")
        ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        if self.kind == "sudoku":
            ids["0"] = ids["."]
        for index, cell in enumerate(cells):
            if cell not in ids:
                row, column = divmod(index, self.columns)
                raise self._unreadable(f"cell {index + 1} (row {row + 1}, column {column + 1}) is {cell!r}")
        return np.array([ids[cell] for cell in cells], dtype=np.int32)

    def format(self, tokens: npt.NDArray[np.int32]) -> str:
        """Token ids [S] as one line that ``parse`` reads back; padding at its end is left out."""
        return self.separator.join(self.symbols[token] for token in tokens[: self._end(tokens)])

    def grid(self, tokens: npt.NDArray[np.int32]) -> tuple[tuple[str, ...], ...]:
        """Token ids [S] as rows of symbols; the last row of a plain sequence may be shorter."""
        symbols = [self.symbols[token] for token in tokens]
        return tuple(tuple(symbols[start : start + self.columns]) for start in range(0, self.length, self.columns))

    def _end(self, tokens: npt.NDArray[np.int32]) -> int:
        """Where the padding at the end begins."""
        if self.pad is None:
            return self.length
        return 1 + max(np.flatnonzero(tokens != self.pad).tolist(), default=-1)

    def _split(self, text: str) -> Sequence[str]:
        if self.separator:
            return text.split()
        if " " in self.symbols:
            return text.replace("\r", "").replace("\n", "")
        return "".join(text.split())

    def _unreadable(self, why: str) -> UsageError:
        between = ", with spaces between them" if self.separator else ""
        if self.pad is not None:
            known = f"up to {self.length} symbols{between}, each one of {self.separator.join(self.symbols[1:])!r}"
        elif self.kind == "sequence":
            known = f"{self.length} numbers from 0 to {len(self.symbols) - 1}{between}"
        else:
            known = f"{self.length} cells, row by row, each one of {''.join(self.symbols)!r}"
        return UsageError(f"this is not a puzzle of {self.name}", why=why, hint=f"write {known}")


def task_of(vocab_size: int, seq_len: int, vocabulary: Vocabulary | None = None) -> Task:
    """The task of a data set with ``vocab_size`` ids and ``seq_len`` cells, by the table above; or of a user's own."""
    if vocabulary is not None:
        return _sequence(vocabulary, seq_len, separator(vocabulary), pad=0)
    side = math.isqrt(seq_len)
    if side * side == seq_len:
        if side in _BOXES and vocab_size == side + 2:
            return _sudoku(side)
        if vocab_size == len("# SGo") + 1:
            return _square(f"maze-{side}x{side}", "maze", side, "_# SGo", blank=2)
        if (vocab_size, side) == (12, 30):
            return _square("arc", "arc", side, ".|0123456789", blank=None)
    return _sequence(tuple(map(str, range(vocab_size))), seq_len, " ", pad=None)


def _sudoku(side: int) -> Task:
    symbols = "_." + "123456789"[:side]
    return _square(f"sudoku-{side}x{side}", "sudoku", side, symbols, blank=1, box=_BOXES[side])


def _square(
    name: str, kind: Kind, side: int, symbols: str, *, blank: int | None, box: tuple[int, int] | None = None
) -> Task:
    return Task(
        name=name,
        kind=kind,
        length=side * side,
        rows=side,
        columns=side,
        box=box or (side, side),
        symbols=tuple(symbols),
        blank=blank,
    )


def _sequence(symbols: Vocabulary, seq_len: int, between: str, *, pad: int | None) -> Task:
    columns = min(seq_len, _SEQUENCE_COLUMNS)
    rows = math.ceil(seq_len / columns)
    return Task(
        name="sequence",
        kind="sequence",
        length=seq_len,
        rows=rows,
        columns=columns,
        box=(rows, columns),
        symbols=symbols,
        blank=None,
        separator=between,
        pad=pad,
    )
