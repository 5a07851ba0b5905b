"""From the options of `hrm-trt data sudoku` and `maze` to what makes the data set: new puzzles or published ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hrm.errors import UsageError
from hrm.generation.maze.importing import MazeImport
from hrm.generation.maze.importing import make_import as import_mazes
from hrm.generation.maze.making import MazeOptions
from hrm.generation.maze.making import make as make_mazes
from hrm.generation.sudoku.board import BOXES
from hrm.generation.sudoku.importing import make_import as import_sudokus
from hrm.generation.sudoku.making import make as make_sudokus
from hrm.generation.sudoku.options import SudokuImport, SudokuOptions
from hrm_trt.cli.choices import choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from hrm.generation.writing import NewDataset, Progress

    Maker = Callable[[Progress], NewDataset]


@dataclass(frozen=True)
class Sizes:
    """Puzzles in each split; None where the command line is silent."""

    train: int | None
    calibration: int | None
    search: int | None
    test: int | None

    def of_new(self) -> dict[str, Any]:
        """The sizes of a data set of new puzzles."""
        usual = {"train": 1000, "calibration": 200, "search": 200, "test": 1000}
        return {**usual, **{split: size for split, size in vars(self).items() if size is not None}}

    def of_published(self) -> dict[str, Any]:
        """The sizes of a data set of published puzzles: all of them, but for splits that have to be asked for."""
        return {
            "subsample": self.train,
            "calibration": self.calibration or 0,
            "search": self.search or 0,
            "test": self.test,
        }


def sudoku_maker(
    source: str | None, *, box: str, min_rating: float | None, sizes: Sizes, augmentations: int, seed: int
) -> Maker:
    """What makes a data set of Sudokus.

    Raises:
        UsageError: an option is out of its range, or means nothing without another.
    """
    common: dict[str, Any] = {
        "box": choice("--box", box, tuple(BOXES)),
        "augmentations": augmentations,
        "seed": seed,
    }
    if source is not None:
        return partial(import_sudokus, SudokuImport(source, min_rating=min_rating, **sizes.of_published(), **common))
    _refuse({"--min-rating": min_rating}, "new puzzles have no rating", "leave it out, or name a collection: --import")
    return partial(make_sudokus, SudokuOptions(**sizes.of_new(), **common))


def maze_maker(
    source: str | None, *, side: int | None, least_path: int | None, sizes: Sizes, augment: bool, seed: int
) -> Maker:
    """What makes a data set of mazes.

    Raises:
        UsageError: an option is out of its range, or contradicts another.
    """
    if source is not None:
        given = {"--side": side, "--least-path": least_path}
        _refuse(given, "published mazes are as they are", "leave it out, or --import")
        return partial(import_mazes, MazeImport(source, **sizes.of_published(), augment=augment, seed=seed))
    drawn = {} if side is None else {"side": side}
    return partial(
        make_mazes, MazeOptions(**sizes.of_new(), **drawn, least_path=least_path, augment=augment, seed=seed)
    )


def _refuse(options: dict[str, Any], why: str, hint: str) -> None:
    """Refuse options that would do nothing."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} means nothing here", why=why, hint=hint)
