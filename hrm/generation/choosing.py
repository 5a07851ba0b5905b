"""Choose the puzzles of each split from a published collection of a train.csv, a test.csv, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hrm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Wanted(NamedTuple):
    """Puzzles wanted in each split."""

    train: int | None
    """None for all that the other splits leave."""
    calibration: int
    search: int
    test: int | None
    """Of test.csv, or, without one, of train.csv; None for all of test.csv."""


class Chosen(NamedTuple):
    """Which puzzles a split takes."""

    file: str
    """``train`` or ``test``"""
    rows: npt.NDArray[np.int64]
    """[puzzles], counted from 0"""


def choose(counts: Mapping[str, int], wanted: Wanted, random: np.random.Generator) -> dict[str, Chosen]:
    """The rows of each split, from files with ``counts`` puzzles; at random, but for test.csv as a whole.

    Raises:
        UsageError: there are not as many puzzles, or none for ``train``, ``calibration`` and ``search``.
    """
    sizes = {"search": wanted.search, "calibration": wanted.calibration, "train": wanted.train}
    chosen: dict[str, Chosen] = {}
    if "test" not in counts:
        sizes = {"test": wanted.test or 0, **sizes}
    elif wanted.test is None:
        chosen["test"] = Chosen("test", np.arange(counts["test"]))
    else:
        chosen |= _draw("test", counts["test"], {"test": wanted.test}, random)
    if "train" in counts:
        chosen |= _draw("train", counts["train"], sizes, random)
    elif any(sizes.values()):
        raise UsageError(
            "there are no training puzzles to choose from",
            why="only a test.csv was given",
            hint="give the directory that holds train.csv as well, or ask for the test split alone",
        )
    return {split: choice for split, choice in chosen.items() if len(choice.rows)}


def _draw(file: str, count: int, sizes: Mapping[str, int | None], random: np.random.Generator) -> dict[str, Chosen]:
    """As many rows for each split as ``sizes`` says, in random order; None for all that are left."""
    wanted = sum(size or 0 for size in sizes.values())
    if wanted > count:
        raise UsageError(
            f"{file}.csv has no {wanted:,} puzzles",
            why=f"{count:,} of its puzzles can be used",
            hint="ask for fewer",
        )
    left = random.permutation(count)
    chosen: dict[str, Chosen] = {}
    for split, size in sizes.items():
        rows, left = np.split(left, [len(left) if size is None else size])
        chosen[split] = Chosen(file, rows)
    return chosen
