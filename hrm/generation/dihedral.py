"""The eight symmetries of a square, numbered as the official data set builders number them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_STEPS = (
    (False, 1, 1),
    (True, -1, 1),
    (False, -1, -1),
    (True, 1, -1),
    (False, 1, -1),
    (False, -1, 1),
    (True, 1, 1),
    (True, -1, -1),
)
"""Whether rows and columns change places, and then in which direction rows and columns are read."""
SYMMETRIES = len(_STEPS)
"""0 to 3: that many quarter turns to the left; 4: left and right swapped; 5: top and bottom swapped; 6: transposed;
7: transposed about the other diagonal."""


def transform(grid: npt.NDArray[np.uint8], symmetry: int) -> npt.NDArray[np.uint8]:
    """A view of ``grid`` [rows, columns] after one of the symmetries 0 to 7."""
    transposed, down, right = _STEPS[symmetry]
    return (grid.T if transposed else grid)[::down, ::right]
