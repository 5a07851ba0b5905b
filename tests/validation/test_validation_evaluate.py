import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.act import Policy
from engines.solving import Answers
from hrm.errors import DatasetError, StorageError
from validation.evaluate import evaluate, load_evaluation, save_evaluation
from validation.observers import OutputRecorder

DATA = Path(__file__).parents[1] / "data" / "official-sudoku4"
OFFICIAL = json.loads((DATA / "official_results.json").read_text())


def test_the_fixed_policy_scores_what_the_official_code_scored(baseline):
    assert baseline.metrics.exact_accuracy == OFFICIAL["exact_accuracy_fixed"]
    assert baseline.metrics.accuracy == pytest.approx(OFFICIAL["cell_accuracy_last"])
    assert baseline.exact_by_segment == pytest.approx(OFFICIAL["exact_by_segment"])
    assert baseline.depth_histogram == (0,) * 8 + (500,)
    assert baseline.solved.mean() == baseline.metrics.exact_accuracy
    assert baseline.seconds > 0


def test_the_adaptive_policy_stops_where_the_official_code_stopped(model, puzzles):
    evaluation = evaluate(model, puzzles, Policy("adaptive", 8), batch=250)
    assert evaluation.metrics.exact_accuracy == OFFICIAL["adaptive_q_gt"]["exact"]
    assert evaluation.metrics.steps == pytest.approx(OFFICIAL["adaptive_q_gt"]["mean_depth"])
    assert list(evaluation.depth_histogram) == OFFICIAL["adaptive_q_gt"]["depth_hist"]
    assert evaluation.solved_by_segment is None
    assert evaluation.exact_by_segment is None


def test_progress_and_observers_see_every_puzzle(model, puzzles):
    seen, steps = [], []
    evaluate(
        model,
        puzzles.first(20),
        Policy("fixed", 2),
        batch=8,
        observers=[lambda segments, rows, output: seen.extend(zip(segments.tolist(), rows.tolist(), strict=True))],
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(8, 20), (16, 20), (20, 20)]
    assert [row for segment, row in seen if segment == 1] == list(range(20))


def test_an_evaluation_reads_back_as_it_was(tmp_path, trial, baseline):
    for evaluation in (trial.evaluation, baseline):
        save_evaluation(tmp_path / "answers.npz", evaluation)
        back = load_evaluation(tmp_path / "answers.npz")
        for name in Answers.__dataclass_fields__:
            stored, given = getattr(back.answers, name), getattr(evaluation.answers, name)
            assert stored.dtype == given.dtype
            np.testing.assert_array_equal(stored, given)
        np.testing.assert_array_equal(back.solved, evaluation.solved)
        assert back.metrics == evaluation.metrics
        assert back.exact_by_segment == evaluation.exact_by_segment


def test_equal_answers_make_equal_files(tmp_path, model, puzzles):
    for name in ("a.npz", "b.npz"):
        save_evaluation(tmp_path / name, evaluate(model, puzzles.first(10), Policy("fixed", 2), batch=10))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", None])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "answers.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=r"answers\.npz"):
        load_evaluation(path)


def cut_short(content):
    return content[:-200]


def overwritten(content):
    return content[:200] + bytes(400) + content[600:]


@pytest.mark.parametrize("damage", [cut_short, overwritten])
def test_a_file_that_was_damaged_later_is_named(tmp_path, baseline, damage):
    path = tmp_path / "answers.npz"
    save_evaluation(path, baseline)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=r"answers\.npz"):
        load_evaluation(path)


def test_puzzles_without_any_label_cannot_be_evaluated(model, puzzles):
    blank = replace(puzzles.first(4), labels=np.full((4, 16), -100, dtype=np.int32))
    with pytest.raises(DatasetError):
        evaluate(model, blank, Policy("fixed", 1), batch=4)


def test_recorded_outputs_are_the_official_codes(tmp_path, model, puzzles):
    golden = np.load(DATA / "golden_first16.npz")
    first = puzzles.first(16)
    recorder = OutputRecorder(first.inputs, puzzles.info.vocab_size, 8)
    evaluate(model, first, Policy("fixed", 8), batch=5, observers=[recorder])
    recorder.save(tmp_path / "outputs.npz")
    saved = np.load(tmp_path / "outputs.npz")
    np.testing.assert_array_equal(saved["inputs"], first.inputs)
    for name in ("logits", "q_halt", "q_continue"):
        assert saved[name].shape == golden[name].shape
        np.testing.assert_allclose(saved[name], golden[name], atol=2e-2, rtol=1e-3)


def test_segments_that_a_puzzle_did_not_use_are_recorded_as_nan(model, puzzles):
    first = puzzles.first(16)
    recorder = OutputRecorder(first.inputs, puzzles.info.vocab_size, 8)
    evaluation = evaluate(model, first, Policy("adaptive", 8), batch=16, observers=[recorder])
    used = np.isfinite(recorder.q_halt).sum(axis=0)
    np.testing.assert_array_equal(used, evaluation.answers.depth)
