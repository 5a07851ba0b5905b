"""Which groups of rows go to which split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrm.errors import UsageError
from hrm.generation.sequences.records import faulty

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from hrm.generation.sequences.collecting import Example

Examples = list["Example"]


def hold_out(groups: list[Examples], files: Collection[Path]) -> tuple[list[Examples], list[Examples]]:
    """The groups that stand in ``files``, and the others.

    Raises:
        DatasetError: a group stands on both sides.
    """
    held: list[Examples] = []
    others: list[Examples] = []
    for group in groups:
        inside = [example for example in group if example.place.path in files]
        if 0 < len(inside) < len(group):
            stray = next(example for example in group if example.place.path not in files)
            why = f"its group {stray.group!r} stands in a test file as well: {inside[0].place}"
            raise faulty(stray.place, why, "keep all rows of a group on one side")
        (held if inside else others).append(group)
    return held, others


def deal(groups: list[Examples], sizes: Mapping[str, int], seed: int) -> dict[str, list[Examples]]:
    """As many ``groups`` for each split as ``sizes`` says, and the rest for train.

    Their order is drawn by ``default_rng(seed)``, and the splits are filled in the order of ``sizes``; one of size 0 is
    left out.

    Raises:
        UsageError: nothing is left to train on.
    """
    if sum(sizes.values()) >= len(groups):
        taken = ", ".join(f"{name} takes {size:,}" for name, size in sizes.items())
        raise UsageError(
            f"{len(groups):,} groups of rows are too few for these splits",
            why=f"{taken}, and nothing is left to train on",
            hint="give smaller splits or more rows",
        )
    drawn = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    splits = {}
    for name, size in sizes.items():
        splits[name], drawn = drawn[:size], drawn[size:]
    return {name: members for name, members in {"train": drawn, **splits}.items() if members}
