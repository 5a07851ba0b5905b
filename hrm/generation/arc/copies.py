"""Augmented copies of a task: turned or mirrored, with other colours. Black, the background, stays black."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hrm.generation.arc.tasks import Pair
from hrm.generation.dihedral import SYMMETRIES, transform

if TYPE_CHECKING:
    from hrm.generation.arc.tasks import ArcTask, Grid

Copies = npt.NDArray[np.uint8]
"""[copies, 11]: a symmetry, then the new colour of each of the ten. The first copy is the task itself."""
Copy = npt.NDArray[np.uint8]
"""[11], one of them"""
_COLOURS = 10
_TRIES = 5
"""Draws for each copy that is wanted; a small task may have fewer different copies. (As the official builder does.)"""


def draw_copies(task: ArcTask, count: int, random: np.random.Generator) -> Copies:
    """The task itself and up to ``count`` copies of it, all different from each other."""
    itself = np.array([0, *range(_COLOURS)], dtype=np.uint8)
    copies = {_digest(task, itself): itself}
    for _ in range(_TRIES * count):
        if len(copies) > count:
            break
        colours = 1 + random.permutation(_COLOURS - 1)
        copy = np.array([random.integers(SYMMETRIES), 0, *colours], dtype=np.uint8)
        copies.setdefault(_digest(task, copy), copy)
    return np.stack(list(copies.values()))


def augmented(pair: Pair, copy: Copy) -> Pair:
    """The pair as it is in ``copy``."""
    return Pair(*(_grid(grid, copy) for grid in pair))


def copy_name(task: ArcTask, copy: Copy) -> str:
    """The name of ``copy`` as the official identifiers.json has it, from which the copy can be undone."""
    symmetry, *colours = copy.tolist()
    if symmetry == 0 and colours == sorted(colours):
        return task.name
    return f"{task.name}_t{symmetry}_{''.join(map(str, colours))}"


def _grid(grid: Grid, copy: Copy) -> Grid:
    return transform(copy[1:][grid], int(copy[0]))


def _digest(task: ArcTask, copy: Copy) -> bytes:
    """A digest of the copy's pairs, in whatever order."""
    grids = (tuple(_grid(grid, copy) for grid in pair) for pair in task.pairs)
    pairs = sorted(bytes([*one.shape, *other.shape]) + one.tobytes() + other.tobytes() for one, other in grids)
    return hashlib.sha256(b"".join(pairs)).digest()
