"""What makes a data set of Sudokus."""

from __future__ import annotations

from dataclasses import dataclass

from hrm.errors import UsageError
from hrm.generation.numbers import check_from_zero
from hrm.generation.splits import check_sizes
from hrm.generation.sudoku.board import BOXES, BoxName

MOST_PUZZLES = {"2x2": 85_632}
"""All minimal puzzles of a board that has few."""


@dataclass(frozen=True)
class SudokuOptions:
    """A data set of new puzzles; a split of size 0 is left out.

    Raises:
        UsageError: an option is out of its range.
    """

    box: BoxName
    train: int
    calibration: int
    search: int
    test: int
    augmentations: int = 0
    """Augmented copies of each training puzzle."""
    seed: int = 0
    """Puzzles come from ``default_rng([seed, 0])``, those of the test split first; copies from ``[seed, 1]``."""

    def __post_init__(self) -> None:
        check_sizes(self.sizes)
        _check(self.box, self.augmentations, self.seed)
        wanted, most = sum(self.sizes.values()), MOST_PUZZLES.get(self.box)
        if most is not None and wanted > most:
            raise UsageError(
                f"there are no {wanted:,} different puzzles with boxes of {self.box}",
                why=f"there are {most:,} minimal ones",
                hint="ask for fewer, or for larger boxes",
            )

    @property
    def sizes(self) -> dict[str, int]:
        """Puzzles in each split, before augmentation."""
        return {"train": self.train, "calibration": self.calibration, "search": self.search, "test": self.test}


@dataclass(frozen=True)
class SudokuImport:
    """A data set of puzzles from a published collection; a split of size 0 is left out.

    Raises:
        UsageError: an option is out of its range.
    """

    source: str
    """A directory with train.csv and test.csv, one CSV file, or hf://<data set>."""
    box: BoxName = "3x3"
    min_rating: float | None = None
    """Leave out easier puzzles."""
    subsample: int | None = None
    """Training puzzles; None for all that the other splits leave."""
    calibration: int = 0
    """Taken from the collection's training puzzles, as those of ``search`` are."""
    search: int = 0
    test: int | None = None
    """Taken from test.csv, or, without one, from the training puzzles; None for all of test.csv."""
    augmentations: int = 0
    """Augmented copies of each training puzzle."""
    seed: int = 0
    """Puzzles are chosen by ``default_rng([seed, 0])``; copies come from ``[seed, 1]``."""

    def __post_init__(self) -> None:
        sizes = {"train": self.subsample, "calibration": self.calibration, "search": self.search, "test": self.test}
        check_sizes({split: 1 if size is None else size for split, size in sizes.items()})
        _check(self.box, self.augmentations, self.seed)


def _check(box: BoxName, augmentations: int, seed: int) -> None:
    if box not in BOXES:
        raise UsageError(
            f"there are no Sudokus with boxes of {box!r}",
            why=f"boxes are {', '.join(BOXES)}: rows × columns",
            hint="choose one of them",
        )
    check_from_zero(augmentations=augmentations, seed=seed)
