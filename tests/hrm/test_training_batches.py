from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.data.layout import IGNORE, DatasetInfo
from hrm.data.record import Origin
from hrm.errors import DatasetError
from hrm.generation.groups import Puzzle
from hrm.generation.writing import NewDataset, write_dataset
from hrm.training.batches import BatchStream

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.training.slots import Batch

CPU = torch.device("cpu")
ORIGIN = Origin(source="a test", version=None, seed=None, augmentations=None, licence=None, options={})
GROUPS = [[1], [1, 1], [3], [2, 5, 1], [1], [4]]
"""How many examples each puzzle of each group has."""
PUZZLES = [examples for group in GROUPS for examples in group]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Puzzles of several examples; a row's first cell is its puzzle's number from 1, its second the example's."""
    info = DatasetInfo(32, 2, 1 + len(PUZZLES), 0, 0, 0)
    groups, number = [], 0
    for group in GROUPS:
        groups.append([])
        for examples in group:
            number += 1
            inputs = np.array([[number, example + 1] for example in range(examples)], dtype=np.uint8)
            groups[-1].append(Puzzle(number, inputs, inputs * np.array([1, 0], dtype=np.uint8)))
    place = tmp_path_factory.mktemp("batches") / "dataset"
    names = ["<blank>", *map(str, range(len(PUZZLES)))]
    write_dataset(place, NewDataset(info, {"train": groups}, names, ORIGIN))
    return place


@pytest.fixture(scope="module")
def stream(dataset: Path) -> BatchStream:
    return BatchStream(dataset, 4, seed=0)


def group_of(puzzle: int) -> int:
    ends = np.cumsum([len(group) for group in GROUPS])
    return int(np.searchsorted(ends, puzzle, side="right"))


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_batch_is_always_full_and_holds_labels_and_identifiers(stream: BatchStream) -> None:
    stream.seek(0, 0)
    for _ in range(20):
        batch = stream.next(CPU)
        assert batch.inputs.shape == batch.labels.shape == (4, 2)
        assert {tensor.dtype for tensor in batch} == {torch.int64}
        assert (batch.labels[:, 0] == batch.inputs[:, 0]).all()
        assert (batch.labels[:, 1] == IGNORE).all()
        assert (batch.identifiers == batch.inputs[:, 0]).all()


def test_each_epoch_visits_every_group_once_in_a_new_order(dataset: Path) -> None:
    stream = BatchStream(dataset, 1, seed=3)
    orders = []
    for epoch in range(30):
        stream.seek(epoch, 0)
        visited = []
        while stream.epoch == epoch and len(visited) < len(GROUPS):
            visited.append(int(stream.next(CPU).identifiers[0]) - 1)
        orders.append(tuple(map(group_of, visited)))
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(len(GROUPS)))}
    assert len(set(orders)) > 20


def test_in_time_every_puzzle_and_every_example_comes(stream: BatchStream) -> None:
    stream.seek(0, 0)
    seen = Counter(tuple(row) for _ in range(300) for row in stream.next(CPU).inputs.tolist())
    assert len(seen) == sum(PUZZLES)


def test_a_puzzle_gives_as_many_of_its_examples_as_fit_and_none_twice(dataset: Path) -> None:
    for size in (2, 6, 12):
        stream = BatchStream(dataset, size, seed=1)
        for _ in range(20):
            before = (stream.epoch, stream.position)
            rows = stream.next(CPU).inputs.tolist()
            if stream.epoch == before[0]:
                assert len({tuple(row) for row in rows}) == size
                counts = Counter(row[0] for row in rows)
                full = [counts[number] == PUZZLES[number - 1] for number, _ in counts.most_common()]
                assert sum(not whole for whole in full) <= 1, "only the last puzzle of a batch is cut"


@settings(max_examples=20)
@given(st.integers(0, 60))
def test_a_place_can_be_found_again(stream: BatchStream, batches: int) -> None:
    stream.seek(0, 0)
    for _ in range(batches):
        stream.next(CPU)
    place = (stream.epoch, stream.position)
    after = [stream.next(CPU) for _ in range(5)]
    stream.seek(9, 2)
    stream.next(CPU)
    stream.seek(*place)
    assert all(equal(stream.next(CPU), batch) for batch in after)


def test_chance_is_the_seeds(dataset: Path) -> None:
    first, again, other = (BatchStream(dataset, 12, seed=seed) for seed in (5, 5, 6))
    batches = [[stream.next(CPU) for _ in range(5)] for stream in (first, again, other)]
    assert all(map(equal, batches[0], batches[1]))
    assert not all(map(equal, batches[0], batches[2]))


def test_an_epoch_is_as_long_as_officially(stream: BatchStream) -> None:
    assert stream.examples_per_epoch == pytest.approx(len(GROUPS) * sum(PUZZLES) / len(PUZZLES))


def test_a_batch_may_be_larger_than_the_data_set(dataset: Path) -> None:
    assert len(BatchStream(dataset, 100, seed=0).next(CPU).inputs) == 100


def test_a_data_set_without_training_puzzles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no train split"):
        BatchStream(tmp_path, 4, seed=0)
