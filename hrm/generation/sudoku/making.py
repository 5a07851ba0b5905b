"""New data sets of minimal Sudokus."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrm.data.record import Origin
from hrm.generation.splits import deal
from hrm.generation.sudoku.board import Board, Cells
from hrm.generation.sudoku.keys import symmetry_keys
from hrm.generation.sudoku.minimal import draw_minimal
from hrm.generation.sudoku.solver import SudokuSolver
from hrm.generation.sudoku.tokens import IDENTIFIERS, dataset_info, split_groups
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrm.generation.sudoku.options import SudokuOptions
    from hrm.generation.writing import Progress

GENERATOR = 1
"""Raised whenever the same options would draw other puzzles."""
_BATCH = 64
"""Puzzles that share a solver: one that has learnt too much is slow."""


class Candidate(NamedTuple):
    """A puzzle that may go to a split."""

    key: bytes
    puzzle: Cells
    """[S]"""
    solution: Cells
    """[S]"""


def make(options: SudokuOptions, progress: Progress) -> NewDataset:
    """New minimal puzzles, none of them twice up to symmetry (4×4: none of them twice as stored).

    Raises:
        MissingError: python-sat is not installed.
        UsageError: there are not as many puzzles.
    """
    board = Board.named(options.box)
    dealt = deal(draw_candidates(board, np.random.default_rng([options.seed, 0])), options.sizes, progress)
    pairs = {split: [(each.puzzle, each.solution) for each in candidates] for split, candidates in dealt.items()}
    origin = Origin(
        source=f"minimal {board.side}x{board.side} Sudoku with one solution each, made by hrm-trt",
        version=f"generator {GENERATOR}",
        seed=options.seed,
        augmentations=options.augmentations,
        licence="CC0-1.0",
        options={"task": "sudoku", **asdict(options)},
    )
    random = np.random.default_rng([options.seed, 1])
    splits = split_groups(board, pairs, options.augmentations, random, progress)
    return NewDataset(dataset_info(board), splits, IDENTIFIERS, origin)


def draw_candidates(board: Board, random: np.random.Generator) -> Iterator[Candidate]:
    """Minimal puzzles with their keys, without end."""
    while True:
        drawn = islice(draw_minimal(board, SudokuSolver(board), random), _BATCH)
        puzzles, solutions = map(np.stack, zip(*drawn, strict=True))
        yield from map(Candidate, _keys(board, puzzles, solutions), puzzles, solutions)


def _keys(board: Board, puzzles: Cells, solutions: Cells) -> list[bytes]:
    if board.side == 4:  # up to symmetry there are 36
        return [puzzle.tobytes() for puzzle in puzzles]
    return symmetry_keys(board, puzzles, solutions)
