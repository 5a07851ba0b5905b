"""What a split is made of: puzzles with their examples, in groups of augmented copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Puzzle(NamedTuple):
    """One puzzle of the official layout: examples that share an identifier."""

    identifier: int
    inputs: npt.NDArray[np.uint8]
    """[examples, S] token ids"""
    labels: npt.NDArray[np.uint8]
    """[examples, S] token ids; the ignored id where a cell is not judged"""


Group = Sequence[Puzzle]
"""A puzzle and its augmented copies."""
