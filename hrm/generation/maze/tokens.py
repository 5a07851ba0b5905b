"""Mazes as token ids in the official layout: 0 is padding, then ``# SGo``."""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hrm.data.layout import DatasetInfo
from hrm.generation.dihedral import SYMMETRIES, transform
from hrm.generation.groups import Puzzle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hrm.generation.groups import Group
    from hrm.generation.writing import Progress

WALL, OPEN, START, GOAL, WAY = range(1, 6)
IDENTIFIERS = ("<blank>",)
Cells = npt.NDArray[np.uint8]


class Maze(NamedTuple):
    """A maze and its way, with what tells it from others."""

    key: bytes
    inputs: Cells
    """[S] token ids"""
    labels: Cells
    """[S] token ids; the same, with the way"""


def maze_info(side: int) -> DatasetInfo:
    """The sizes of a data set of mazes with ``side`` × ``side`` cells."""
    return DatasetInfo(
        vocab_size=WAY + 1,
        seq_len=side * side,
        num_puzzle_identifiers=1,
        pad_id=0,
        ignore_label_id=0,
        blank_identifier_id=0,
    )


def maze_of(is_open: bytearray, way: Sequence[int]) -> Maze:
    """The maze of these open cells in which ``way`` leads from start to goal."""
    inputs = np.where(np.frombuffer(is_open, dtype=np.uint8), np.uint8(OPEN), np.uint8(WALL))
    inputs[way[0]], inputs[way[-1]] = START, GOAL
    labels = inputs.copy()
    labels[way[1:-1]] = WAY
    return Maze(symmetry_key(inputs), inputs, labels)


def symmetry_key(inputs: Cells) -> bytes:
    """The same for all mazes [S] that turning and mirroring make out of each other; different for others."""
    images = (image.tobytes() for image in _images(inputs))
    return blake2b(min(images), digest_size=16).digest()


def split_groups(
    mazes: Mapping[str, Sequence[Maze]], progress: Progress, *, augment: bool
) -> dict[str, Iterable[Group]]:
    """A group for every maze of every split: the maze, then, for training and if asked for, its seven other images."""
    return {
        split: _groups(split, members, SYMMETRIES if augment and split == "train" else 1, progress)
        for split, members in mazes.items()
    }


def _groups(split: str, mazes: Sequence[Maze], images: int, progress: Progress) -> Iterator[Group]:
    for done, maze in enumerate(mazes, 1):
        pairs = zip(_images(maze.inputs), _images(maze.labels), strict=True)
        yield [Puzzle(0, inputs[None], labels[None]) for inputs, labels in islice(pairs, images)]
        progress(f"writing {split} mazes", done, len(mazes))


def _images(cells: Cells) -> Iterator[Cells]:
    """``cells`` [S] after each symmetry, the unchanged one first."""
    side = int(len(cells) ** 0.5)
    grid = cells.reshape(side, side)
    return (transform(grid, symmetry).ravel() for symmetry in range(SYMMETRIES))
