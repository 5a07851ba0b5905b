"""Sudokus as examples of a data set: token ids, and groups of a puzzle and its augmented copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrm.data.layout import DatasetInfo
from hrm.generation.groups import Puzzle
from hrm.generation.sudoku.symmetry import draw_symmetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hrm.generation.groups import Group
    from hrm.generation.sudoku.board import Board, Cells
    from hrm.generation.writing import Progress

IDENTIFIERS = ("<blank>",)
Pair = tuple["Cells", "Cells"]
"""A puzzle [S] and its solution [S]."""


def dataset_info(board: Board) -> DatasetInfo:
    """The sizes of a data set of ``board``: id 0 is padding, 1 a blank, and a digit its value + 1."""
    return DatasetInfo(
        vocab_size=board.side + 2,
        seq_len=board.cells,
        num_puzzle_identifiers=len(IDENTIFIERS),
        pad_id=0,
        ignore_label_id=0,
        blank_identifier_id=0,
    )


def split_groups(
    board: Board,
    pairs: Mapping[str, Sequence[Pair]],
    augmentations: int,
    random: np.random.Generator,
    progress: Progress,
) -> dict[str, Iterable[Group]]:
    """A group for every pair of every split: the pair itself, then, for training, random images of it."""
    return {
        split: _groups(board, members, augmentations if split == "train" else 0, random, split, progress)
        for split, members in pairs.items()
    }


def _groups(
    board: Board,
    pairs: Sequence[Pair],
    augmentations: int,
    random: np.random.Generator,
    split: str,
    progress: Progress,
) -> Iterator[Group]:
    for done, pair in enumerate(pairs, 1):
        cells = np.stack(pair)
        images = [cells, *(draw_symmetry(board, random).apply(cells) for _ in range(augmentations))]
        yield [Puzzle(0, image[:1] + 1, image[1:] + 1) for image in images]
        progress(f"writing {split} puzzles", done, len(pairs))
