from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import PuzzleSet, read_split
from hrm.training import evaluation
from hrm.training.evaluation import evaluate

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.network import HRM

CPU = torch.device("cpu")


@pytest.fixture
def sample(sample_dir: Path) -> HRM:
    return network(load(locate(sample_dir)))


@pytest.fixture
def puzzles(sample_dir: Path) -> PuzzleSet:
    return read_split(sample_dir / "dataset", "test")


def test_it_finds_what_the_official_evaluation_finds(sample: HRM, puzzles: PuzzleSet, golden_dir: Path) -> None:
    official = json.loads((golden_dir / "official_results.json").read_text())
    found = evaluate(sample, puzzles, CPU)
    assert found.exact_by_segment == pytest.approx(official["exact_by_segment"])
    assert found.exact_accuracy == found.exact_by_segment[-1]
    assert (found.count, len(found.exact_by_segment)) == (500, 8)
    assert found.adaptive_depths == tuple(official["adaptive_q_gt"]["depth_hist"][1:])
    assert found.adaptive_depth == pytest.approx(official["adaptive_q_gt"]["mean_depth"])
    assert found.adaptive_exact_accuracy == pytest.approx(official["adaptive_q_gt"]["exact"])


@pytest.mark.parametrize(("bias", "depth"), [((1.0, -1.0), 1), ((-1.0, 1.0), 8)])
def test_halting_is_judged_at_the_segment_where_it_happens(
    sample: HRM, puzzles: PuzzleSet, bias: tuple[float, float], depth: int
) -> None:
    with torch.no_grad():
        sample.q_head.weight.zero_()
        sample.q_head.bias.copy_(torch.tensor(bias))
    found = evaluate(sample, puzzles.first(40), CPU)
    assert found.adaptive_depth == depth
    assert found.adaptive_exact_accuracy == found.exact_by_segment[depth - 1]


def test_the_size_of_its_batches_changes_nothing(
    sample: HRM, puzzles: PuzzleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(sample, puzzles.first(40), CPU)
    monkeypatch.setattr(evaluation, "_BATCH", 16)
    assert evaluate(sample, puzzles.first(40), CPU) == whole


def test_it_leaves_the_network_as_it_was(sample: HRM, puzzles: PuzzleSet) -> None:
    sample.train()
    before = {name: tensor.clone() for name, tensor in sample.state_dict().items()}
    evaluate(sample, puzzles.first(8), CPU)
    assert sample.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in sample.state_dict().items())
