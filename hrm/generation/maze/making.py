"""New data sets of mazes with one shortest way each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.record import Origin
from hrm.errors import UsageError
from hrm.generation.dihedral import SYMMETRIES
from hrm.generation.maze.checking import check_side
from hrm.generation.maze.field import draw_field
from hrm.generation.maze.tokens import IDENTIFIERS, maze_info, maze_of, split_groups
from hrm.generation.maze.ways import trace, wall_off_others
from hrm.generation.numbers import check_from_zero
from hrm.generation.splits import check_sizes, deal
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrm.generation.maze.tokens import Maze
    from hrm.generation.writing import Progress

GENERATOR = 1
"""Raised whenever the same options would draw other mazes."""
_OFFICIAL_SIDE, _OFFICIAL_PATH = 30, 110
_MISSES = 500
"""Fields in a row whose way is too short before the length is taken for out of reach."""


@dataclass(frozen=True)
class MazeOptions:
    """What makes a data set of new mazes; a split of size 0 is left out.

    Raises:
        UsageError: an option is out of its range.
    """

    train: int
    calibration: int
    search: int
    test: int
    side: int = _OFFICIAL_SIDE
    """Rows, and columns."""
    least_path: int | None = None
    """Steps of the shortest way, at least; None for as many of the cells as 110 steps are of 30×30."""
    augment: bool = False
    """Whether each training maze is followed by its seven turned and mirrored copies."""
    seed: int = 0
    """Mazes come from ``default_rng(seed)``, for the test split first."""

    def __post_init__(self) -> None:
        check_side(self.side)
        check_from_zero(seed=self.seed)
        if not 1 <= self.steps <= self.most_steps:
            raise UsageError(
                f"the shortest way of a {self.side}×{self.side} maze cannot have {self.steps} steps",
                why=f"it has 1 to {self.most_steps}: of every 2×2 cells it takes three at most",
                hint=f"choose a least path of about {_usual_path(self.side)}, or another side",
            )
        check_sizes(self.sizes)

    @property
    def sizes(self) -> dict[str, int]:
        """Mazes in each split, before augmentation."""
        return {"train": self.train, "calibration": self.calibration, "search": self.search, "test": self.test}

    @property
    def steps(self) -> int:
        """Steps of the shortest way, at least."""
        return _usual_path(self.side) if self.least_path is None else self.least_path

    @property
    def most_steps(self) -> int:
        """A bound on the steps of a shortest way."""
        return 3 * ((self.side + 1) // 2) ** 2 - 1


def make(options: MazeOptions, progress: Progress) -> NewDataset:
    """New mazes, no two of which are the same after turning or mirroring.

    Raises:
        UsageError: the least path is out of reach, or there are not as many mazes.
    """
    candidates = draw_mazes(options.side, options.steps, np.random.default_rng(options.seed))
    dealt = deal(candidates, options.sizes, progress)
    origin = Origin(
        source=f"{options.side}x{options.side} mazes with one shortest way each, made by hrm-trt",
        version=f"generator {GENERATOR}",
        seed=options.seed,
        augmentations=SYMMETRIES - 1 if options.augment else 0,
        licence="CC0-1.0",
        options={"task": "maze", **asdict(options), "least_path": options.steps},
    )
    splits = split_groups(dealt, progress, augment=options.augment)
    return NewDataset(maze_info(options.side), splits, IDENTIFIERS, origin)


def draw_mazes(side: int, least_path: int, random: np.random.Generator) -> Iterator[Maze]:
    """Mazes whose only shortest way has ``least_path`` steps or more, without end.

    Raises:
        UsageError: no such maze came for long.
    """
    misses = 0
    while misses < _MISSES:
        field = draw_field(side, least_path, random)
        if field is None:
            misses += 1
            continue
        misses = 0
        way = trace(side, field.distance, field.goal, random)
        wall_off_others(side, field.is_open, field.distance, way)
        yield maze_of(field.is_open, way)
    raise UsageError(
        f"a shortest way of {least_path} steps is out of reach in a {side}×{side} maze",
        why=f"{_MISSES} mazes in a row came out shorter",
        hint=f"choose a least path of about {_usual_path(side)}, or a larger side",
    )


def _usual_path(side: int) -> int:
    return side * side * _OFFICIAL_PATH // _OFFICIAL_SIDE**2
