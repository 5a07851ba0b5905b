import csv
from itertools import islice

import numpy as np
import pytest

from hrm.data.dataset import read_split
from hrm.data.tasks import task_of
from hrm.errors import DatasetError, UsageError
from hrm.generation.maze.importing import MazeImport, make_import
from hrm.generation.maze.making import draw_mazes
from hrm.generation.writing import write_dataset

SIDE = 5
TASK = task_of(6, SIDE * SIDE)
QUESTION = "S    " + "#### " + "     " + " ####" + "    G"
OPEN = "S" + " " * 23 + "G"
SHORT_CUT = "S    " + "###  " + "     " + " ####" + "    G"
ANSWER = "Soooo" + "####o" + "ooooo" + "o####" + "ooooG"


def silent(what, done, total):
    pass


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("source", "question", "answer", "rating"), *rows])


def rows(count, seed):
    """New mazes as the official files have them."""
    mazes = islice(draw_mazes(SIDE, 4, np.random.default_rng(seed)), count)
    return [
        ("new", *(TASK.format(cells.astype(np.int32)) for cells in (maze.inputs, maze.labels)), 4) for maze in mazes
    ]


@pytest.fixture
def collection(tmp_path):
    directory = tmp_path / "collection"
    directory.mkdir()
    write_csv(directory / "train.csv", rows(9, seed=0))
    write_csv(directory / "test.csv", rows(4, seed=1))
    return directory


def test_a_collection_becomes_a_data_set(collection, tmp_path):
    options = MazeImport(str(collection), calibration=2, search=1, augment=True)
    record = write_dataset(tmp_path / "out", make_import(options, silent))
    assert {split: (counts.groups, counts.examples) for split, counts in record.splits.items()} == {
        "test": (4, 4),
        "search": (1, 1),
        "calibration": (2, 2),
        "train": (6, 48),
    }
    assert record.source == "collection"
    test = read_split(tmp_path / "out", "test")
    written = [
        (TASK.format(inputs), TASK.format(labels)) for inputs, labels in zip(test.inputs, test.labels, strict=True)
    ]
    assert written == [(question, answer) for _, question, answer, _ in rows(4, seed=1)]


def test_every_training_maze_is_used_once(collection, tmp_path):
    write_dataset(tmp_path / "out", make_import(MazeImport(str(collection), calibration=2, search=1), silent))
    used = [
        TASK.format(inputs)
        for split in ("train", "calibration", "search")
        for inputs in read_split(tmp_path / "out", split).inputs
    ]
    assert sorted(used) == sorted(question for _, question, _, _ in rows(9, seed=0))


def test_a_maze_may_have_several_shortest_ways(tmp_path):
    write_csv(tmp_path / "mazes.csv", [("x", OPEN, "Soooo" + "    o" * 3 + "    G", 8)])
    assert make_import(MazeImport(str(tmp_path / "mazes.csv")), silent).info.seq_len == SIDE * SIDE


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        (QUESTION[:-1], ANSWER, "its question has 24 cells, not 5×5"),
        (QUESTION, ANSWER + "#", "its answer has 26 cells, not 5×5"),
        (QUESTION.replace("G", "g"), ANSWER, "cell 25 of its question is 'g'"),
        (QUESTION, ANSWER.replace("o", "."), "cell 2 of its answer is '.'"),
        (QUESTION.replace("S", " "), ANSWER, "its question has 0 cells S, not 1"),
        (QUESTION.replace("  G", "GGG"), ANSWER, "its question has 3 cells G, not 1"),
        (ANSWER, ANSWER, "its question has a cell o"),
        (QUESTION, ANSWER.replace("####", "# ##", 1), "cell 7 of its answer differs"),
        (QUESTION, ANSWER.replace("####", "###o", 1), "cell 9 of its answer differs"),
        (QUESTION, ANSWER.replace("G", "o"), "cell 25 of its answer differs"),
        (QUESTION.replace(" ####", "#####"), ANSWER.replace("o####", "#####"), "no way leads from S to G"),
        (SHORT_CUT, ANSWER.replace("####", "### ", 1), "the way of its answer has 16 steps, and a shortest one has 14"),
        (QUESTION, ANSWER.replace("o", " ", 1), "the way of its answer has 15 steps, and a shortest one has 16"),
        (QUESTION, QUESTION, "the way of its answer has 1 steps, and a shortest one has 16"),
        (OPEN, "S oo " + "ooooo" + " " * 14 + "G", "the cells o of its answer do not lead from S to G"),
    ],
)
def test_a_bad_maze_is_refused_with_its_line(tmp_path, question, answer, why):
    write_csv(tmp_path / "train.csv", [("x", QUESTION, ANSWER, 16), ("x", question, answer, 16)])
    with pytest.raises(DatasetError, match=r"line 3 of .*train\.csv") as caught:
        make_import(MazeImport(str(tmp_path)), silent)
    assert caught.value.why.startswith(why)


def test_four_by_four_mazes_are_refused(tmp_path):
    write_csv(tmp_path / "train.csv", [("x", "S" + " " * 14 + "G", "S" + " " * 14 + "G", 6)])
    with pytest.raises(UsageError, match="4×4 mazes"):
        make_import(MazeImport(str(tmp_path)), silent)


def test_files_of_different_sizes_are_refused(collection):
    write_csv(collection / "test.csv", [("x", "SG" + "#" * 34, "SG" + "#" * 34, 0)])
    with pytest.raises(DatasetError, match="not all of one size") as caught:
        make_import(MazeImport(str(collection)), silent)
    assert "5 and 6" in caught.value.why


def test_options_out_of_range_are_refused():
    for options in ({"seed": -1}, {"search": -1}, {"subsample": 0, "test": 0}):
        with pytest.raises(UsageError):
            MazeImport("mazes", **options)
