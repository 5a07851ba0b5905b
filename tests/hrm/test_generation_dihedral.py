import numpy as np
import pytest

from hrm.generation.dihedral import SYMMETRIES, transform

GRID = np.arange(6, dtype=np.uint8).reshape(2, 3)
OFFICIAL = [
    lambda grid: grid,
    lambda grid: np.rot90(grid, 1),
    lambda grid: np.rot90(grid, 2),
    lambda grid: np.rot90(grid, 3),
    np.fliplr,
    np.flipud,
    lambda grid: grid.T,
    lambda grid: np.fliplr(np.rot90(grid, 1)),
]


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_symmetries_have_their_official_numbers(symmetry):
    assert (transform(GRID, symmetry) == OFFICIAL[symmetry](GRID)).all()


def test_there_are_eight_of_them():
    assert len({transform(GRID, symmetry).tobytes() for symmetry in range(SYMMETRIES)}) == 8
