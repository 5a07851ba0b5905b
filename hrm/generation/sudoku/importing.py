"""Data sets of published Sudokus."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.record import Origin
from hrm.files import sha256_file
from hrm.generation.choosing import Wanted, choose
from hrm.generation.official_files import locate_files
from hrm.generation.sudoku.board import Board
from hrm.generation.sudoku.checking import check_puzzles
from hrm.generation.sudoku.collection import read_collection
from hrm.generation.sudoku.tokens import IDENTIFIERS, dataset_info, split_groups
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from hrm.generation.sudoku.options import SudokuImport
    from hrm.generation.writing import Progress


def make_import(options: SudokuImport, progress: Progress) -> NewDataset:
    """Published puzzles, each of those that are used checked; which of them are alike is not asked.

    Raises:
        DatasetError: the files cannot be read, or a puzzle is ragged, has an unknown symbol, has no solution or
            several, or another one than its answer.
        MissingError: a package is not installed.
        UsageError: there are not as many puzzles.
    """
    board, files = Board.named(options.box), locate_files(options.source)
    pools = {file: read_collection(path, board, options.min_rating) for file, path in files.paths.items()}
    wanted = Wanted(options.subsample, options.calibration, options.search, options.test)
    choice = choose({file: len(pool) for file, pool in pools.items()}, wanted, np.random.default_rng([options.seed, 0]))
    chosen = {split: pools[file].take(rows) for split, (file, rows) in choice.items()}
    for split, collection in chosen.items():
        check_puzzles(split, collection, board, progress)
    pairs = {split: collection.pairs() for split, collection in chosen.items()}
    random = np.random.default_rng([options.seed, 1])
    origin = Origin(
        source=files.source,
        version=files.revision,
        seed=options.seed,
        augmentations=options.augmentations,
        licence=None,
        options={
            "task": "sudoku",
            **asdict(options),
            "sha256": {file: sha256_file(path) for file, path in files.paths.items()},
        },
    )
    splits = split_groups(board, pairs, options.augmentations, random, progress)
    return NewDataset(dataset_info(board), splits, IDENTIFIERS, origin)
