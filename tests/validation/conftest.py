from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engines.act import Policy
from engines.torch_runtime import torch_stepper
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.data.tasks import task_of
from hrm.training.curve import curve_of
from validation.checks import check_finite, check_varied
from validation.evaluate import evaluate
from validation.gate import judge
from validation.report.content import BundleResult, EngineRow, Report, Training, policy_result
from validation.verdict import GateOptions

SUDOKU = Path(__file__).parents[2] / "checkpoints" / "sudoku-4x4"
FIXED = Policy("fixed", 8)
ADAPTIVE = Policy("adaptive", 8)


def blurred(scale, seed=3):
    """The sample checkpoint's network with noise on the weights of both levels, as a quantised engine would have."""
    import torch

    model = network(load(locate(SUDOKU)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("H_level", "L_level")):
                parameter.mul_(1 + scale * torch.randn(parameter.shape, generator=generator))
    return torch_stepper(model, threads=1)


@pytest.fixture(scope="session")
def puzzles():
    """All 500 test puzzles of the bundled 4×4 Sudoku."""
    return read_split(SUDOKU / "dataset", "test")


@pytest.fixture(scope="session")
def model():
    """The bundled checkpoint in PyTorch."""
    return torch_stepper(network(load(locate(SUDOKU))), threads=1)


@pytest.fixture(scope="session")
def rough_model():
    """The same, with enough noise to lose some puzzles and win others."""
    return blurred(0.16)


@pytest.fixture(scope="session")
def baseline(model, puzzles):
    return evaluate(model, puzzles, FIXED, batch=250)


LOG = [
    {"step": 10, "kind": "train", "lm_loss": 2.0, "count": 0.0},
    {"step": 20, "kind": "train", "lm_loss": 1.0, "count": 8.0, "exact_accuracy": 0.25},
    {"step": 20, "kind": "evaluation", "exact_accuracy": 0.5, "adaptive_depth": 3.5},
    {"step": 30, "kind": "train", "lm_loss": 0.5, "count": 8.0, "exact_accuracy": 0.75},
    {"step": 30, "kind": "evaluation", "exact_accuracy": 0.875, "adaptive_depth": 3.0},
]
TRAINING = Training(curve_of(LOG), (("Took", "12 min & <i>more</i>"),))


@dataclass(frozen=True)
class Trial:
    """A rough engine's evaluation, its verdict and its checks."""

    evaluation: object
    verdict: object
    checks: tuple


@pytest.fixture(scope="session")
def trial(rough_model, puzzles, baseline):
    evaluation = evaluate(rough_model, puzzles, ADAPTIVE, batch=250)
    verdict = judge(baseline.solved, evaluation.solved, puzzles.groups, GateOptions())
    checks = (check_finite(evaluation.answers), check_varied(puzzles.inputs, evaluation.answers))
    return Trial(evaluation, verdict, checks)


@pytest.fixture(scope="session")
def report(puzzles, baseline, trial):
    """A report on one bundle whose name and place are as awkward as a user's may be."""
    result = policy_result(
        ADAPTIVE, trial.verdict, trial.checks, puzzles, baseline, trial.evaluation, trial.evaluation.seconds
    )
    engines = (EngineRow("segment", "fp16", "onnxruntime", "segment.onnx", 1_804_221, "ab" * 32, 12.3),)
    bundle = BundleResult("rough & <b>ready</b>", "cpu", "fp16", "onnxruntime", "on-target", engines, (result,))
    return Report(
        name="sudoku-4x4",
        created="2026-11-22 15:31 UTC",
        checkpoint="<script>alert(1)</script>/step_3750",
        dataset="sudoku-4x4, test split, 500 puzzles",
        machine='a "machine"',
        task=task_of(puzzles.info.vocab_size, puzzles.info.seq_len),
        baseline_by_segment=baseline.exact_by_segment,
        bundles=(bundle,),
        training=TRAINING,
        calibration=None,
        search=None,
        versions=(("numpy", np.__version__),),
        digests=(("checkpoint", "cd" * 32),),
    )
