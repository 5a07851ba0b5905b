"""Shares of the GEMM work, against what a module really multiplies, and the drift of answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.act import StepOutput
from export.quantise.sites import sites
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.config import PAPER
from validation.drift import AnswerRecorder, DriftMeter
from validation.sensitivity import work

SUDOKU = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4"


def counted(model):
    """The multiplications of every linear in one segment, by watching one."""
    counts = {}

    def watch(name):
        def hook(linear, inputs, _):
            rows = inputs[0].numel() // linear.in_features
            counts[name] = counts.get(name, 0) + rows * linear.in_features * linear.out_features

        return hook

    linears = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    hooks = [module.register_forward_hook(watch(name)) for name, module in linears.items()]
    tokens = torch.ones(1, model.config.seq_len, dtype=torch.int32)
    with torch.no_grad():
        model.segment(model.initial_carry(1), model.encode(tokens, torch.zeros(1, dtype=torch.int32)))
    for hook in hooks:
        hook.remove()
    return counts


def test_shares_are_what_a_segment_multiplies():
    model = network(load(locate(SUDOKU)))
    counts = counted(model)
    shares = work(model.config)
    assert set(shares) == set(counts) - {"lm_head", "q_head"}
    for site, share in shares.items():
        assert share == pytest.approx(counts[site] / sum(counts.values()), rel=1e-9)


def test_two_thirds_of_the_papers_model_are_its_executor():
    shares = work(PAPER)
    assert sum(shares[site] for site in sites(PAPER, "executor")) == pytest.approx(2 / 3, abs=0.001)
    assert sum(shares.values()) < 1


def output(logits):
    empty = np.zeros(len(logits), dtype=np.float32)
    return StepOutput(empty, empty, np.asarray(logits, dtype=np.float32), empty, empty)


def drift(reference, logits):
    """Of one puzzle with one cell in one segment."""
    recorder = AnswerRecorder(1, 1, 2, 1)
    recorder(np.zeros(1, int), np.arange(1), output([[reference]]))
    meter = DriftMeter(recorder.probabilities)
    meter(np.zeros(1, int), np.arange(1), output([[logits]]))
    return meter.drift


def test_equal_answers_have_no_drift_and_opposite_ones_all_of_it():
    assert drift([0.3, -1.7], [0.3, -1.7]) == 0
    assert drift([50, -50], [-50, 50]) == pytest.approx(1)
    assert drift([0, 0], [np.log(3), 0]) == pytest.approx(0.25, abs=1e-3)


def test_nan_and_infinity_are_as_far_off_as_can_be():
    assert drift([0, 0], [np.nan, 0]) == 1
    assert drift([0, 0], [np.inf, 0]) == 1


def test_drift_is_the_mean_over_puzzles_segments_and_cells():
    recorder = AnswerRecorder(2, 1, 2, 2)
    meter = DriftMeter(recorder.probabilities)
    for segment in range(2):
        recorder(np.full(2, segment), np.arange(2), output([[[50, -50]], [[50, -50]]]))
        meter(np.full(2, segment), np.arange(2), output([[[50, -50]], [[-50, 50] if segment else [50, -50]]]))
    assert meter.drift == pytest.approx(0.25)
