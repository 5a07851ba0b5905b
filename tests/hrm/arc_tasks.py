"""Small ARC tasks for tests."""

import numpy as np

from hrm.generation.arc.tasks import ArcTask, Pair


def grid(*rows):
    return np.array(rows, dtype=np.uint8)


def random_grid(random, colours=10):
    rows, columns = random.integers(1, 7, 2)
    return random.integers(0, colours, (rows, columns)).astype(np.uint8)


def random_task(seed, name="0000abcd"):
    random = np.random.default_rng(seed)
    pairs = [Pair(random_grid(random), random_grid(random)) for _ in range(4)]
    return ArcTask(name, tuple(pairs[:3]), tuple(pairs[3:]))


def read_canvas(tokens):
    """The top, the left and the colours of the grid on a canvas [900]."""
    canvas = tokens.reshape(30, 30)
    rows, columns = np.nonzero(canvas >= 2)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return top, left, (canvas[top:bottom, left:right] - 2).astype(np.uint8)


def undo(colours, name):
    """A grid of the copy ``name`` as it is in the task itself."""
    if "_" not in name:
        return colours
    symmetry, written = name.split("_")[1:]
    inverse = np.argsort([int(colour) for colour in written])
    turns = {0: 0, 1: 3, 2: 2, 3: 1}
    number = int(symmetry[1:])
    undone = {
        4: np.fliplr,
        5: np.flipud,
        6: np.transpose,
        7: lambda given: np.rot90(np.fliplr(given), 3),
    }.get(number, lambda given: np.rot90(given, turns[number]))
    return inverse[undone(colours)]
