"""Where mazes come from: open cells with a start and a goal that are far enough from each other.

Two kinds are drawn, so that a model cannot lean on the habits of one. A *grown* field is a tree of corridors into
which some doors were broken, so that it has loops. A *scattered* one has walls here and there, as in the instances of
Searchformer (Lehnert et al., 2024) that the official mazes follow; its way is made longer by walls across it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hrm.generation.maze.ways import distances, neighbours, trace

_ONWARDS = (0.7, 1.0)
"""How often a grown corridor goes on where it ended last instead of branching off elsewhere: from … to …."""
_DOORS = (0.0, 0.1)
"""The share of a grown field's possible doors that are broken."""
_WALLS = (0.2, 0.38)
"""The share of walls in a scattered field; with more than 0.41 it would fall into pieces (site percolation)."""
_VAIN = 80
"""Walls that may bring a scattered field no longer way before it is given up."""


class Field(NamedTuple):
    """Open cells, and the steps to each of them from where the way starts."""

    is_open: bytearray
    distance: list[int]
    goal: int


def draw_field(side: int, least_path: int, random: np.random.Generator) -> Field | None:
    """A field of either kind whose goal is ``least_path`` steps away or more; None if it came out too short."""
    draw = _grown if random.random() < 0.5 else _scattered
    return draw(side, least_path, random)


def _grown(side: int, least_path: int, random: np.random.Generator) -> Field | None:
    is_open = _grow(side, random)
    _break_doors(side, is_open, random)
    distance = distances(side, is_open, _pick(_open_cells(is_open), random))
    if max(distance) < least_path:
        distance = distances(side, is_open, distance.index(max(distance)))
    return _with_goal(is_open, distance, least_path, random)


def _grow(side: int, random: np.random.Generator) -> bytearray:
    """A tree of open cells that fills the board (the growing-tree algorithm, on cells instead of rooms)."""
    around = neighbours(side)
    is_open = bytearray(side * side)
    onwards = random.uniform(*_ONWARDS)
    active = [int(random.integers(side * side))]
    is_open[active[0]] = 1
    while active:
        index = -1 if random.random() < onwards else int(random.random() * len(active))
        free = [
            cell
            for cell in around[active[index]]
            if not is_open[cell] and sum([is_open[other] for other in around[cell]]) == 1
        ]
        if free:
            active.append(_pick(free, random))
            is_open[active[-1]] = 1
        else:
            active[index] = active[-1]
            active.pop()
    return is_open


def _break_doors(side: int, is_open: bytearray, random: np.random.Generator) -> None:
    """Open some of the walls that have open cells on two opposite sides."""
    cells = np.frombuffer(is_open, dtype=np.uint8).reshape(side, side)
    framed = np.pad(cells, 1)
    across = framed[1:-1, :-2] & framed[1:-1, 2:]
    down = framed[:-2, 1:-1] & framed[2:, 1:-1]
    doors = (cells == 0) & (across != down)
    cells[doors & (random.random(cells.shape) < random.uniform(*_DOORS))] = 1


def _scattered(side: int, least_path: int, random: np.random.Generator) -> Field | None:
    is_open = bytearray((random.random(side * side) >= random.uniform(*_WALLS)).tobytes())
    cells = _open_cells(is_open)
    if not cells:
        return None
    distance = _lengthen(side, is_open, _pick(cells, random), least_path, random)
    return _with_goal(is_open, distance, least_path, random)


def _lengthen(side: int, is_open: bytearray, start: int, least_path: int, random: np.random.Generator) -> list[int]:
    """Put walls across the way to the farthest cell until it is long enough or too many were in vain.

    Returns:
        The steps to each cell.
    """
    distance = distances(side, is_open, start)
    vain = 0
    while max(distance) < least_path and vain < _VAIN:
        inner = trace(side, distance, distance.index(max(distance)), random)[1:-1]
        if not inner:
            break
        wall = _pick(inner, random)
        is_open[wall] = 0
        detour = distances(side, is_open, start)
        if max(detour) >= max(distance):
            distance = detour
        else:
            is_open[wall] = 1
            vain += 1
    return distance


def _with_goal(is_open: bytearray, distance: list[int], least_path: int, random: np.random.Generator) -> Field | None:
    far = [cell for cell, steps in enumerate(distance) if steps >= least_path]
    return Field(is_open, distance, _pick(far, random)) if far else None


def _open_cells(is_open: bytearray) -> list[int]:
    return [cell for cell, here in enumerate(is_open) if here]


def _pick(cells: list[int], random: np.random.Generator) -> int:
    return cells[int(random.random() * len(cells))]
