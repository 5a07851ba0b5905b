"""A CPU's ONNX engines on this machine's GPU, against the same engines on its CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.act import Policy
from engines.loading import load_engines, load_resident
from engines.onnx_session import RuntimeOptions
from engines.runtimes import without_onnx_cuda
from engines.solving import solve
from hrm.data.dataset import read_split

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
OPTIONS = RuntimeOptions()


@pytest.fixture(scope="module")
def puzzles():
    return read_split(SAMPLE / "dataset", "test", 64)


@pytest.fixture(scope="module")
def resident(target, demo_bundle):
    if without_onnx_cuda() is not None:
        pytest.skip(without_onnx_cuda())  # it says so (tests/engines)
    return load_resident(*demo_bundle, OPTIONS, "cuda")


@pytest.mark.parametrize("policy", ["fixed", "adaptive"])
def test_puzzles_are_answered_as_on_a_cpu(resident, demo_bundle, puzzles, policy):
    found, wanted = (
        solve(stepper, puzzles.inputs, puzzles.puzzle_identifiers, Policy(policy, 8), batch=24)
        for stepper in (resident, load_engines(*demo_bundle, OPTIONS))
    )
    assert found.finite.all()
    np.testing.assert_array_equal(found.tokens, wanted.tokens)
    np.testing.assert_array_equal(found.depth, wanted.depth)
    np.testing.assert_allclose(found.q_halt, wanted.q_halt, atol=1e-3)


def test_what_pytorch_computes_beside_it_is_waited_for(resident, puzzles):
    embeddings = resident.encode(puzzles.inputs, puzzles.puzzle_identifiers)
    z_H, z_L = resident.initial_carry(len(puzzles))
    wanted = resident.step(z_H, z_L, embeddings)
    for _ in range(20):
        late = torch.zeros_like(z_H)
        torch.cuda._sleep(20_000_000)  # cycles, in PyTorch's stream
        late += z_H
        found = resident.step(late, z_L, embeddings)
        assert all(value.device.type == "cuda" for value in found)
        torch.testing.assert_close(found.logits, wanted.logits)
