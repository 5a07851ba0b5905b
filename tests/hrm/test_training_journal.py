from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hrm.errors import CheckpointError
from hrm.training.journal import METRICS, JsonLines, TensorBoard, read_metrics

if TYPE_CHECKING:
    from pathlib import Path


LINES = [{"step": step, "kind": "train", "lm_loss": 1 / step} for step in (4, 8, 12)]


def write(path: Path, lines: list[dict], step: int = 0) -> None:
    with closing(JsonLines(path, step)) as journal:
        for line in lines:
            journal.write(line["step"], line["kind"], {"lm_loss": line["lm_loss"]})


def test_every_line_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with closing(JsonLines(tmp_path / METRICS, 0)) as journal:
        journal.write(4, "train", {"lm_loss": 0.25})
        assert read_metrics(tmp_path / METRICS) == LINES[:1]


def test_a_run_that_goes_on_keeps_what_its_state_knows_of(tmp_path: Path) -> None:
    write(tmp_path / METRICS, LINES)
    write(tmp_path / METRICS, LINES[2:], step=8)
    assert read_metrics(tmp_path / METRICS) == LINES
    write(tmp_path / METRICS, [], step=0)
    assert read_metrics(tmp_path / METRICS) == []


@settings(max_examples=30)
@given(st.integers(0, 200))
def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / METRICS
    write(path, LINES)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    left = whole[:cut].count(b"\n")
    assert read_metrics(path) == LINES[:left]
    write(path, LINES[left:], step=LINES[left - 1]["step"] if left else 0)
    assert path.read_bytes() == whole


def test_no_file_is_no_lines(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / METRICS) == []


def scalars(directory: Path) -> list[tuple[int, float]]:
    events = EventAccumulator(str(directory)).Reload()
    assert events.Tags()["scalars"] == ["train/lm_loss"]
    return [(event.step, event.value) for event in events.Scalars("train/lm_loss")]


def test_what_is_no_log_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text("a letter\n")
    with pytest.raises(CheckpointError, match=METRICS):
        read_metrics(tmp_path / METRICS)


def test_tensorboard_has_a_number_as_soon_as_it_is_written(tmp_path: Path) -> None:
    """Or a kill would leave a gap before the state that the run goes on from."""
    with closing(TensorBoard(tmp_path, 0)) as journal:
        journal.write(4, "train", {"lm_loss": 0.25})
        assert scalars(tmp_path) == [(4, 0.25)]


def test_tensorboard_has_the_same_numbers_and_forgets_what_is_taken_again(tmp_path: Path) -> None:
    for step, values in ((0, {4: 1.0, 8: 2.0, 12: 3.0}), (8, {12: 4.0})):
        with closing(TensorBoard(tmp_path, step)) as journal:
            for number, value in values.items():
                journal.write(number, "train", {"lm_loss": value, "exact_by_segment": (0.5, 0.5)})
    assert scalars(tmp_path) == [(4, 1.0), (8, 2.0), (12, 4.0)]


def test_a_line_is_json_that_anything_reads(tmp_path: Path) -> None:
    write(tmp_path / METRICS, LINES)
    assert [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()] == LINES
