"""Sudoku by plain search and by trying every symmetry: slow, and sharing nothing with what is tested."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np

from hrm.generation.sudoku.board import Board

BOARDS = [Board(2, 2), Board(2, 3), Board(3, 3)]


def count_solutions(board, puzzle, limit=2):
    """The solutions of a puzzle [S], counted up to ``limit`` or a little above."""
    digits, peers = frozenset(range(1, board.side + 1)), _peers(board)
    given = [int(digit) for digit in puzzle]
    blank = {c: digits - {given[peer] for peer in peers[c]} for c, digit in enumerate(given) if not digit}

    def count(choices):
        if not choices:
            return 1
        cell = min(choices, key=lambda each: len(choices[each]))
        found = 0
        for digit in choices[cell]:
            rest = {c: left - {digit} if c in peers[cell] else left for c, left in choices.items() if c != cell}
            found += count(rest)
            if found >= limit:
                break
        return found

    return count(blank)


def is_minimal(board, puzzle):
    """Whether a puzzle [S] has one solution, and several without any one of its clues."""
    without = (np.where(np.arange(board.cells) == clue, 0, puzzle) for clue in np.flatnonzero(puzzle))
    return count_solutions(board, puzzle) == 1 and all(count_solutions(board, fewer) > 1 for fewer in without)


def canonical(board, puzzle, solution):
    """The least image of a puzzle [S] with its solution [S] under every symmetry but transposition."""
    sources = _rearrangements(board)
    images, every = solution[sources], np.arange(len(sources))
    names = np.zeros((len(sources), board.side + 1), dtype=np.uint8)
    for cell, digits in enumerate(images.T):
        new = names[every, digits] == 0
        names[every[new], digits[new]] = names[new].max(axis=1) + 1  # digits are named as they first appear
        images[:, cell] = names[every, digits]
    return min(image.tobytes() for image in images + 16 * (puzzle[sources] > 0))


@cache
def _rearrangements(board):
    """[symmetries, S]: where each cell comes from."""
    rows, columns = _orders(board.columns, board.rows), _orders(board.rows, board.columns)
    return np.array([np.add.outer(np.multiply(row, board.side), column).ravel() for row in rows for column in columns])


@cache
def _peers(board):
    """For each cell the others of its row, its column and its box."""
    place = [(c // board.side, c % board.side) for c in range(board.cells)]
    units = [(("row", r), ("column", c), ("box", r // board.rows, c // board.columns)) for r, c in place]
    return [
        {other for other in range(board.cells) if other != cell and set(units[cell]) & set(units[other])}
        for cell in range(board.cells)
    ]


def _orders(bands, lines):
    return [
        [band * lines + line for band, order in zip(bands_order, orders, strict=True) for line in order]
        for bands_order in permutations(range(bands))
        for orders in product(permutations(range(lines)), repeat=bands)
    ]
