"""A data set out of the rows of a user's own files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.layout import DatasetInfo
from hrm.data.record import Origin
from hrm.data.vocabulary import load_vocabulary
from hrm.errors import DatasetError, UsageError
from hrm.files import sha256_file
from hrm.generation.groups import Puzzle
from hrm.generation.sequences.alphabet import Alphabet
from hrm.generation.sequences.collecting import Collection
from hrm.generation.sequences.dealing import deal, hold_out
from hrm.generation.sequences.records import faulty
from hrm.generation.sequences.rows import Columns, Unit, read_rows
from hrm.generation.splits import check_sizes
from hrm.generation.writing import NewDataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    from pydantic import JsonValue

    from hrm.generation.groups import Group
    from hrm.generation.sequences.dealing import Examples
    from hrm.generation.writing import Progress

_SHARE = 10
"""One group in so many goes to each split whose size is not given."""


@dataclass(frozen=True)
class SequenceOptions:
    """What makes a data set of a user's own rows.

    The sizes of splits count groups: None for a tenth, 0 for no such split. Train gets what they leave.

    Raises:
        UsageError: an option is out of its range, or two contradict each other.
    """

    files: tuple[Path, ...]
    test_files: tuple[Path, ...] = ()
    """Files that are the test split as they stand."""
    columns: Columns = field(default_factory=Columns)
    unit: Unit | None = None
    """What of a text is a symbol; None: every character, and white space is refused."""
    length: int | None = None
    """Cells of every sequence; None for as many as the longest needs."""
    vocabulary: Path | None = None
    """The vocabulary that all symbols have to be in; None to take them as they come."""
    test: int | None = None
    search: int | None = None
    calibration: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given = {"test": self.test, "search": self.search, "calibration": self.calibration}
        check_sizes({"train": 1, **{split: size or 0 for split, size in given.items()}})
        if self.test is not None and self.test_files:
            raise UsageError(
                "the test split is given twice",
                why="the test files are the test split, and its size was given as well",
                hint="leave --test or --test-file out",
            )

    def sizes(self, groups: int) -> dict[str, int]:
        """How many of ``groups`` go to each split but train, in the order in which they are filled."""
        given = {"test": 0 if self.test_files else self.test, "search": self.search, "calibration": self.calibration}
        return {split: -(-groups // _SHARE) if size is None else size for split, size in given.items()}


def make(options: SequenceOptions, progress: Progress) -> NewDataset:
    """The rows as sequences of one length, with their vocabulary, dealt to splits.

    What is shorter than the longest is padded, and padding is judged like any other cell: a network has to learn where
    an answer ends, or nobody could tell what it wrote from what it left behind.

    Raises:
        DatasetError: a file cannot be read, a row cannot be used, or two rows contradict each other.
        UsageError: there are too few groups for the splits.
    """
    collection = _collect(options)
    vocabulary, token_ids = collection.alphabet.vocabulary(), collection.alphabet.token_ids()
    length = _length(collection, options.length)
    splits = _splits(collection, options)
    return NewDataset(
        info=DatasetInfo(
            vocab_size=len(vocabulary),
            seq_len=length,
            num_puzzle_identifiers=1,
            pad_id=0,
            ignore_label_id=None,
            blank_identifier_id=0,
        ),
        splits={name: _puzzles(name, groups, token_ids, length, progress) for name, groups in splits.items()},
        identifiers=("<blank>",),
        origin=_origin(options, collection),
        vocabulary=vocabulary,
    )


def _collect(options: SequenceOptions) -> Collection:
    """The rows of all files; those of the test files come first, so that a repeat of theirs is left out of the rest."""
    fixed = None if options.vocabulary is None else load_vocabulary(options.vocabulary)
    collection = Collection(Alphabet(fixed))
    for path in (*options.test_files, *options.files):
        before = collection.rows
        for row in read_rows(path, options.columns, options.unit):
            collection.add(row)
        if collection.rows == before:
            raise DatasetError(f"{path} is empty", why="it has no row", hint="give a file with an input and an answer")
    return collection


def _length(collection: Collection, wanted: int | None) -> int:
    longest = max(collection.examples.values(), key=lambda example: example.length)
    if wanted is None or wanted >= longest.length:
        return wanted or longest.length
    raise faulty(
        longest.place,
        f"it needs {longest.length} cells, and --length gives every sequence {wanted}",
        f"leave the row out, or give --length {longest.length} or more",
    )


def _splits(collection: Collection, options: SequenceOptions) -> dict[str, list[Examples]]:
    held, others = hold_out(collection.groups(), options.test_files)
    splits = deal(others, options.sizes(len(others)), options.seed)
    return {**splits, "test": held} if held else splits


def _puzzles(
    split: str, groups: list[Examples], token_ids: npt.NDArray[np.uint8], length: int, progress: Progress
) -> Iterator[Group]:
    def padded(numbers: bytes) -> npt.NDArray[np.uint8]:
        return token_ids[np.frombuffer(numbers.ljust(length, b"\0"), dtype=np.uint8)][None]

    for index, group in enumerate(groups, 1):
        yield [Puzzle(0, padded(example.input), padded(example.answer)) for example in group]
        progress(f"{split} sequences", index, len(groups))


def _origin(options: SequenceOptions, collection: Collection) -> Origin:
    repeats = f", {collection.repeated:,} of them repeats that were left out" if collection.repeated else ""
    names = ", ".join(path.name for path in (*options.files, *options.test_files))
    chosen = asdict(options)
    return Origin(
        source=f"{collection.rows:,} rows of {names}{repeats}",
        version=None,
        seed=options.seed,
        augmentations=None,
        licence=None,
        options={
            "task": "sequence",
            "files": _named(options.files),
            "test_files": _named(options.test_files),
            "vocabulary": _named(() if options.vocabulary is None else (options.vocabulary,)),
            **{name: chosen[name] for name in ("columns", "unit", "length", "test", "search", "calibration")},
        },
    )


def _named(files: tuple[Path, ...]) -> JsonValue:
    return [{"name": path.name, "sha256": sha256_file(path)} for path in files]
