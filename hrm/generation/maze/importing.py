"""Data sets of published mazes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.record import Origin
from hrm.errors import DatasetError
from hrm.files import sha256_file
from hrm.generation.choosing import Wanted, choose
from hrm.generation.dihedral import SYMMETRIES
from hrm.generation.maze.checking import check_side, why_unsound
from hrm.generation.maze.tokens import IDENTIFIERS, Maze, maze_info, split_groups, symmetry_key
from hrm.generation.numbers import check_from_zero
from hrm.generation.official_csv import bad_line, read_rows
from hrm.generation.official_files import locate_files
from hrm.generation.splits import check_sizes
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrm.generation.maze.tokens import Cells
    from hrm.generation.official_csv import Row
    from hrm.generation.official_files import OfficialFiles
    from hrm.generation.writing import Progress

_SYMBOLS = "# SGo"


@dataclass(frozen=True)
class MazeImport:
    """A data set of mazes from a published collection; a split of size 0 is left out.

    Raises:
        UsageError: an option is out of its range.
    """

    source: str
    """A directory with train.csv and test.csv, one CSV file, or hf://<data set>."""
    subsample: int | None = None
    """Training mazes; None for all that the other splits leave."""
    calibration: int = 0
    """Taken from the collection's training mazes, as those of ``search`` are."""
    search: int = 0
    test: int | None = None
    """Taken from test.csv, or, without one, from the training mazes; None for all of test.csv."""
    augment: bool = False
    """Whether each training maze is followed by its seven turned and mirrored copies."""
    seed: int = 0
    """Mazes are chosen by ``default_rng(seed)``."""

    def __post_init__(self) -> None:
        check_from_zero(seed=self.seed)
        wanted = {"train": self.subsample, "calibration": self.calibration, "search": self.search, "test": self.test}
        check_sizes({split: 1 if size is None else size for split, size in wanted.items()})


def make_import(options: MazeImport, progress: Progress) -> NewDataset:
    """Published mazes, all of them checked; whether one shortest way is the only one is not asked.

    Raises:
        DatasetError: the files cannot be read, or a maze is ragged, has an unknown symbol, or its answer is not its
            shortest way.
        MissingError: a package is not installed.
        UsageError: there are not as many mazes.
    """
    files = locate_files(options.source)
    pools = {file: _read_mazes(path, progress) for file, path in files.paths.items()}
    side = _common_side(files, pools)
    wanted = Wanted(options.subsample, options.calibration, options.search, options.test)
    chosen = choose({file: len(mazes) for file, mazes in pools.items()}, wanted, np.random.default_rng(options.seed))
    mazes = {split: [pools[file][row] for row in rows] for split, (file, rows) in chosen.items()}
    origin = Origin(
        source=files.source,
        version=files.revision,
        seed=options.seed,
        augmentations=SYMMETRIES - 1 if options.augment else 0,
        licence=None,
        options={
            "task": "maze",
            **asdict(options),
            "sha256": {file: sha256_file(path) for file, path in files.paths.items()},
        },
    )
    return NewDataset(maze_info(side), split_groups(mazes, progress, augment=options.augment), IDENTIFIERS, origin)


def _common_side(files: OfficialFiles, pools: Mapping[str, Sequence[Maze]]) -> int:
    sides = {isqrt(len(mazes[0].inputs)) for mazes in pools.values()}
    if len(sides) > 1:
        raise DatasetError(
            f"the mazes of {files.source} are not all of one size",
            why=f"those of its files have sides of {' and '.join(map(str, sorted(sides)))} cells",
            hint="give one file at a time",
        )
    return sides.pop()


def _read_mazes(path: Path, progress: Progress) -> list[Maze]:
    """The mazes of a file, all of the size of the first.

    Raises:
        DatasetError: the file cannot be read, or one of its lines holds no maze with its shortest way.
        UsageError: the mazes are too small.
    """
    rows = list(read_rows(path))
    side = isqrt(len(rows[0].question))
    check_side(side)
    mazes = []
    for row in rows:
        try:
            mazes.append(_parse(row, side))
        except ValueError as error:
            raise bad_line(path, row.line, str(error)) from error
        progress(f"checking {path.name}", len(mazes), len(rows))
    return mazes


def _parse(row: Row, side: int) -> Maze:
    """The maze of a row; a ValueError says why there is none."""
    inputs, labels = _tokens("question", row.question, side), _tokens("answer", row.answer, side)
    fault = why_unsound(inputs, labels)
    if fault is not None:
        raise ValueError(fault)
    return Maze(symmetry_key(inputs), inputs, labels)


def _tokens(column: str, text: str, side: int) -> Cells:
    if len(text) != side * side:
        raise ValueError(f"its {column} has {len(text)} cells, not {side}×{side}")
    for cell, symbol in enumerate(text, 1):
        if symbol not in _SYMBOLS:
            raise ValueError(f"cell {cell} of its {column} is {symbol!r}, not one of {_SYMBOLS!r}")
    return np.array([1 + _SYMBOLS.index(symbol) for symbol in text], dtype=np.uint8)
