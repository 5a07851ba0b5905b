"""Which puzzles a network is calibrated on: never one that it will be judged by."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.layout import open_set, read_metadata, split_names
from hrm.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def calibration_split(dataset: Path) -> str:
    """The split to calibrate on: ``calibration`` where the data set has one with puzzles in it, else ``train``.

    Raises:
        DatasetError: its ``calibration`` split is damaged.
    """
    if "calibration" not in split_names(dataset):
        return "train"
    metadata = read_metadata(dataset, "calibration")
    puzzles = sum(len(open_set(dataset / "calibration", name, metadata).inputs) for name in metadata.sets)
    return "calibration" if puzzles else "train"


def choose(n: int, of: int, seed: int) -> npt.NDArray[np.int64]:
    """The indices of ``n`` puzzles, or of all where there are fewer, in their order; the same for the same seed.

    Args:
        n: how many to draw.
        of: how many there are.
        seed: what they are drawn by.
    """
    return np.sort(np.random.default_rng(seed).choice(of, size=min(n, of), replace=False))


def refuse_overlap(
    inputs: npt.NDArray[np.int32], judged: npt.NDArray[np.int32], split: str = "calibration", judged_on: str = "test"
) -> None:
    """Refuse to calibrate on puzzles that the engines will be judged by.

    Args:
        inputs: the puzzles to calibrate on [N, S].
        judged: the puzzles to judge by [M, S].
        split: where ``inputs`` are from.
        judged_on: where ``judged`` are from.

    Raises:
        DatasetError: a puzzle is among both.
    """
    places: dict[bytes, int] = {}
    for index, digest in enumerate(_digests(judged)):
        places.setdefault(digest, index)
    shared = [(index, places[digest]) for index, digest in enumerate(_digests(inputs)) if digest in places]
    if shared:
        first, place = shared[0]
        raise DatasetError(
            f"{len(shared)} of the {len(inputs)} puzzles to calibrate on are also in the {judged_on} split",
            why=f"the first is number {first} of those from {split}, number {place} of {judged_on}; engines must be "
            "judged by puzzles that nothing was fitted to",
            hint=f"calibrate on a split that shares no puzzle with {judged_on}",
        )


def _digests(inputs: npt.NDArray[np.int32]) -> list[bytes]:
    """A digest of every row [N, S]: a data set of long puzzles would take gigabytes as it is."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in inputs.astype(np.int32, copy=False)]
