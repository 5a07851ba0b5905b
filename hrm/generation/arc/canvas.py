"""Grids as token ids in the official layout: a canvas of 30×30 cells.

0 is padding, 1 marks the grid's end to the right and below (where the canvas goes on), and a colour is its number + 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hrm.data.layout import DatasetInfo
from hrm.data.palette import ARC, ARC_FIRST

if TYPE_CHECKING:
    from hrm.generation.arc.tasks import Grid, Pair

SIDE = 30
END = 1
Tokens = npt.NDArray[np.uint8]


def arc_info(identifiers: int) -> DatasetInfo:
    """The sizes of a data set of ARC tasks with so many puzzle identifiers."""
    return DatasetInfo(
        vocab_size=ARC_FIRST + len(ARC),
        seq_len=SIDE * SIDE,
        num_puzzle_identifiers=identifiers,
        pad_id=0,
        ignore_label_id=0,
        blank_identifier_id=0,
    )


def place(pair: Pair, random: np.random.Generator | None) -> tuple[Tokens, Tokens]:
    """Both grids [900], their top left cells at the same place: a random one, or, with None, the canvas's own."""
    room = [SIDE + 1 - max(lengths) for lengths in zip(pair.input.shape, pair.output.shape, strict=True)]
    top, left = (0, 0) if random is None else (int(random.integers(each)) for each in room)
    return _canvas(pair.input, top, left), _canvas(pair.output, top, left)


def _canvas(grid: Grid, top: int, left: int) -> Tokens:
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    bottom, right = top + grid.shape[0], left + grid.shape[1]
    canvas[top:bottom, left:right] = grid + ARC_FIRST
    canvas[bottom : bottom + 1, left:right] = END
    canvas[top:bottom, right : right + 1] = END
    return canvas.ravel()
