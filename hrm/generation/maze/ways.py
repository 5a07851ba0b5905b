"""Ways through the open cells of a square board; cells are numbered row by row, from 0.

An open cell is 1 in a ``bytearray`` of side × side cells, a wall is 0.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

UNREACHED = -1


@cache
def neighbours(side: int) -> tuple[tuple[int, ...], ...]:
    """For each cell, the cells that touch it along an edge."""
    cells = [divmod(cell, side) for cell in range(side * side)]
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    return tuple(
        tuple(
            (row + down) * side + column + right
            for down, right in steps
            if 0 <= row + down < side and 0 <= column + right < side
        )
        for row, column in cells
    )


def distances(side: int, is_open: bytearray, start: int) -> list[int]:
    """Steps from ``start`` to each cell by a shortest way, found breadth first; ``UNREACHED`` where there is none."""
    around = neighbours(side)
    unseen = bytearray(is_open)
    unseen[start] = 0
    distance = [UNREACHED] * len(is_open)
    distance[start] = 0
    queue = [start]
    for cell in queue:  # grows while it is read
        for other in around[cell]:
            if unseen[other]:
                unseen[other] = 0
                distance[other] = distance[cell] + 1
                queue.append(other)
    return distance


def trace(side: int, distance: Sequence[int], goal: int, random: np.random.Generator) -> list[int]:
    """The cells of a shortest way from the start of ``distance`` to ``goal``, both included, chosen at random."""
    around = neighbours(side)
    way = [goal]
    while distance[way[-1]]:
        before = [cell for cell in around[way[-1]] if distance[cell] == distance[way[-1]] - 1]
        way.append(before[int(random.random() * len(before))])
    return way[::-1]


def wall_off_others(side: int, is_open: bytearray, distance: Sequence[int], way: Sequence[int]) -> None:
    """Make ``way`` the only shortest one: wall off whatever else leads to one of its cells in as few steps.

    Walls make no way shorter. So afterwards every shortest way to a cell of ``way`` comes by the cell before it.
    """
    around = neighbours(side)
    for before, cell in pairwise(way):
        for other in around[cell]:
            if other != before and distance[other] == distance[before]:
                is_open[other] = 0
