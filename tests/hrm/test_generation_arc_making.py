import json
from itertools import islice

import numpy as np
import pytest
from arc_tasks import random_task, read_canvas, undo

from hrm.data.dataset import IGNORE, read_split
from hrm.data.tasks import task_of
from hrm.errors import UsageError
from hrm.generation.arc.asking import deal_questions
from hrm.generation.arc.copies import augmented, draw_copies
from hrm.generation.arc.making import ArcOptions, make
from hrm.generation.arc.tasks import EDITIONS, ArcTask, pair_key, read_tasks
from hrm.generation.writing import write_dataset

HELD_OUT = {"calibration": 3, "search": 4}


def silent(what, done, total):
    pass


def deal(training, evaluation, held_out=HELD_OUT, seed=0):
    return deal_questions(training, evaluation, held_out, np.random.default_rng(seed))


def names(asked):
    return {split: {task.name for task in tasks} for split, tasks in asked.items()}


@pytest.fixture
def training():
    return [random_task(number, f"{number:08x}") for number in range(20)]


@pytest.fixture
def evaluation():
    return [random_task(number, f"{number:08x}") for number in range(100, 105)]


def disguised(task, name):
    """The same task in other colours."""
    copy = draw_copies(task, 1, np.random.default_rng(0))[1]
    demonstrations = tuple(augmented(pair, copy) for pair in task.demonstrations)
    return ArcTask(name, demonstrations, tuple(augmented(pair, copy) for pair in task.questions))


def test_each_task_is_asked_about_in_one_split(training, evaluation):
    asked = deal(training, evaluation)
    assert {split: len(tasks) for split, tasks in asked.items()} == {
        "train": 13,
        "calibration": 3,
        "search": 4,
        "test": 5,
    }
    assert set.union(*names(asked).values()) == {task.name for task in training + evaluation}
    assert names(asked) != names(deal(training, evaluation, seed=1))


def test_splits_of_no_task_are_left_out(training, evaluation):
    asked = deal(training, evaluation, {"calibration": 0, "search": 0})
    assert {split: len(tasks) for split, tasks in asked.items()} == {"train": 20, "test": 5}


def test_an_evaluation_task_in_disguise_is_not_trained_on(training, evaluation):
    asked = names(deal([*training, disguised(evaluation[2], "disguised")], evaluation))
    assert "disguised" not in set.union(*asked.values())


def test_tasks_that_share_a_pair_are_not_held_out(training, evaluation):
    alike = [disguised(task, f"again {task.name}") for task in training[:15]]
    for seed in range(5):
        asked = names(deal(training + alike, evaluation, {"calibration": 2, "search": 2}, seed))
        assert {task.name for task in training[:15] + alike} <= asked["train"]


def test_more_tasks_than_there_are_cannot_be_held_out(training, evaluation):
    with pytest.raises(UsageError, match="20 tasks cannot be held out"):
        deal(training, evaluation, {"calibration": 10, "search": 10})


@pytest.mark.parametrize("edition", EDITIONS)
def test_no_public_question_is_trained_on_nor_asked_twice(edition):
    asked = deal(*read_tasks(edition), {"calibration": 40, "search": 100})
    owners = {}
    for split, tasks in asked.items():
        for task in tasks:
            for pair in task.pairs if split == "train" else task.questions:
                owners.setdefault(pair_key(pair), set()).add((split, task.name))
    held_out = [uses for uses in owners.values() if {split for split, _ in uses} != {"train"}]
    assert all(len({name for _, name in uses}) == 1 for uses in held_out)
    shown = {pair_key(pair): task.name for tasks in asked.values() for task in tasks for pair in task.demonstrations}
    for split in ("calibration", "search", "test"):
        for task in asked[split]:
            assert {shown.get(pair_key(pair), task.name) for pair in task.questions} == {task.name}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("arc") / "arc-1"
    record = write_dataset(
        directory, make(ArcOptions("arc-1", calibration=5, search=7, augmentations=1, seed=3), silent)
    )
    return directory, record, json.loads((directory / "identifiers.json").read_text())


def test_every_task_is_in_train_and_the_questions_elsewhere(made):
    _, record, identifiers = made
    assert {split: counts.groups for split, counts in record.splits.items()} == {
        "train": 798,
        "calibration": 5,
        "search": 7,
        "test": 400,
    }
    assert record.splits["train"].puzzles == len(identifiers) - 1
    assert identifiers[0] == "<blank>"
    assert len(set(identifiers)) == len(identifiers)
    assert "40853293" not in identifiers
    assert record.options["edition"] == "arc-1"


def test_what_is_asked_about_has_a_trained_embedding(made):
    directory = made[0]
    train = set(read_split(directory, "train").puzzle_identifiers.tolist())
    asked = [
        set(read_split(directory, split).puzzle_identifiers.tolist()) for split in ("calibration", "search", "test")
    ]
    assert all(identifiers <= train for identifiers in asked)
    assert sum(map(len, asked)) == len(set.union(*asked))


def test_examples_are_the_tasks_pairs_under_their_copies_names(made):
    directory, _, identifiers = made
    tasks = {task.name: task for tasks in read_tasks("arc-1") for task in tasks}
    for split in ("train", "search", "test"):
        puzzles = read_split(directory, split, limit=600)
        assert task_of(puzzles.info.vocab_size, puzzles.info.seq_len).name == "arc"
        for inputs, labels, identifier in zip(puzzles.inputs, puzzles.labels, puzzles.puzzle_identifiers, strict=True):
            name = identifiers[identifier]
            task = tasks[name.split("_")[0]]
            top, left, one = read_canvas(inputs)
            *place, other = read_canvas(np.where(labels == IGNORE, 0, labels))
            assert place == [top, left]
            assert split == "train" or place == [0, 0]
            found = [
                pair for pair in (task.pairs if split == "train" else task.questions) if pair.input.size == one.size
            ]
            assert any(
                np.array_equal(undo(one, name), pair.input) and np.array_equal(undo(other, name), pair.output)
                for pair in found
            )


def test_one_example_of_each_training_puzzle_stays_in_the_corner(made):
    puzzles = read_split(made[0], "train", limit=2000)
    corner = np.array([read_canvas(inputs)[:2] == (0, 0) for inputs in puzzles.inputs])
    last = puzzles.puzzle_identifiers[-1]
    for identifier in np.unique(puzzles.puzzle_identifiers):
        assert identifier == last or corner[puzzles.puzzle_identifiers == identifier].any()
    assert not corner.all()


def test_the_same_options_make_the_same_data_set(made):
    directory, _, identifiers = made
    again = make(ArcOptions("arc-1", calibration=5, search=7, augmentations=1, seed=3), silent)
    assert again.identifiers == identifiers
    written = read_split(directory, "train", limit=100)
    groups = islice(again.splits["train"], 30)
    assert (np.concatenate([puzzle.inputs for group in groups for puzzle in group])[:100] == written.inputs).all()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"edition": "arc-3"}, "no edition arc-3"),
        ({"augmentations": -1}, "augmentations cannot be -1"),
        ({"seed": -1}, "seed cannot be -1"),
        ({"search": -1}, "search cannot be -1"),
    ],
)
def test_options_out_of_range_are_refused(options, what):
    with pytest.raises(UsageError, match=what):
        ArcOptions(**options)
