from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hrm.errors import HrmTrtError, RecipeError, UsageError
from hrm.training.record import FILE, Outcome, RunRecord, claim, finish, read

if TYPE_CHECKING:
    from pathlib import Path

OUTCOME = Outcome(
    reason="every step is done", steps=9, seconds=1.5, rows_per_second=96.0, best_step=8,
    evaluation={"exact_accuracy": 0.5}, parameters=1000,
)  # fmt: skip


def record(**changes: Any) -> RunRecord:
    values = {
        "recipe": {"name": "tiny", "arch": {"hidden_size": 32}, "ema": None},
        "data": {"train": "abc"},
        "device": "cpu, float32",
        "machine": {"cores": 2},
        "versions": {"torch": "2"},
    }
    return RunRecord(**{**values, **changes})


def test_a_new_directory_is_claimed_and_found_again(tmp_path: Path) -> None:
    place = tmp_path / "runs/tiny"
    assert claim(place, record()) == record() == read(place)
    assert [path.name for path in place.iterdir()] == [FILE]


def test_what_does_not_decide_the_numbers_may_change(tmp_path: Path) -> None:
    claim(tmp_path, record())
    same = {"name": "tiny", "arch": {"hidden_size": 32}, "ema": None, "of a later version": None}
    later = record(machine={"cores": 64}, versions={"torch": "3"}, recipe=same)
    assert claim(tmp_path, later) == record(), "a run keeps the record that it began with"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {"name": "tiny", "arch": {"hidden_size": 64}}}, ["recipe.arch.hidden_size was 32 and is now 64"]),
        ({"recipe": {"name": "tiny", "arch": {"hidden_size": 32}, "ema": 0.9}}, ["recipe.ema was None and is now 0.9"]),
        ({"data": {"train": "xyz"}}, ["data.train was 'abc'"]),
        ({"device": "NVIDIA H100, bfloat16"}, ["device was 'cpu, float32'"]),
    ],
)  # fmt: skip
def test_a_run_of_another_recipe_is_left_alone(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    claim(tmp_path, record())
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(RecipeError) as refused:
        claim(tmp_path, record(**changes))
    assert all(word in refused.value.why for word in words)
    assert (tmp_path / FILE).read_bytes() == before


def occupied(place: Path) -> Path:
    (place / "photos").mkdir()
    (place / "photos/cat.jpg").write_text("somebody's")
    return place / "photos"


def a_file(place: Path) -> Path:
    (place / "file").write_text("somebody's")
    return place / "file"


def below_a_file(place: Path) -> Path:
    return a_file(place) / "run"


def damaged(place: Path) -> Path:
    claim(place / "run", record())
    whole = (place / "run" / FILE).read_bytes()
    (place / "run" / FILE).write_bytes(whole[: len(whole) // 2])
    return place / "run"


@pytest.mark.parametrize(
    ("make", "word"),
    [(occupied, "cat.jpg"), (a_file, "it is a file"), (below_a_file, "Not a directory"), (damaged, FILE)],
)
def test_a_place_that_is_not_ours_is_refused_and_not_touched(tmp_path: Path, make: Any, word: str) -> None:
    place = make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError) as refused:
        claim(place, record())
    assert isinstance(refused.value, HrmTrtError)
    assert word in str(refused.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_a_kill_left_in_the_first_moment_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.x1y2z3w4").write_text('{"format_')
    assert claim(tmp_path, record()) == record()


def test_the_outcome_is_written_down_beside_the_rest(tmp_path: Path) -> None:
    claim(tmp_path, record())
    finish(tmp_path, record(), OUTCOME)
    assert read(tmp_path) == record(outcome=OUTCOME)
    assert claim(tmp_path, record()) == record(outcome=OUTCOME), "a run that is over is still the same run"
