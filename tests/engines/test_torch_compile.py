"""Inductor's code against PyTorch's own, for every batch, and how it is asked for CUDA graphs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from trt_graphs import CONFIG

from engines import torch_compile
from engines.act import Policy
from engines.solving import solve
from engines.torch_compile import CompiledCall, compiled_stepper, ladder
from engines.torch_runtime import TensorEngine, tensor_stepper
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import MissingError
from hrm.network import random_network

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
LARGEST = 8
TOLERANCE = 1e-4
"""Of logits and states, as a share of the largest: fused code rounds in another order."""


@pytest.fixture(scope="module")
def tiny():
    return random_network(CONFIG, 0)


def step(stepper, batch, config=CONFIG, seed=0):
    """A segment of random puzzles from the initial carry, and one more from where that ended."""
    generator = np.random.default_rng(seed)
    inputs = generator.integers(0, config.vocab_size, (batch, config.seq_len), dtype=np.int32)
    identifiers = generator.integers(0, config.num_puzzle_identifiers, batch, dtype=np.int32)
    embeddings = stepper.encode(inputs, identifiers)
    first = stepper.step(*stepper.initial_carry(batch), embeddings)
    return [value.numpy() for value in stepper.step(first.z_H, first.z_L, embeddings)]


def assert_near(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE * max(1, np.abs(other).max()))


@pytest.fixture(scope="module")
def sample():
    return network(load(locate(SAMPLE)))


@pytest.fixture(scope="module")
def compiled(sample):
    """Compiled once for all: that takes minutes where Inductor has no cache."""
    return compiled_stepper(sample, batch=LARGEST)


@pytest.mark.slow
def test_nothing_is_compiled_again_for_any_batch_and_all_are_right(sample, compiled):
    eager = tensor_stepper(sample)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs > 0
    with torch._dynamo.config.patch(error_on_recompile=True):
        for batch in (*range(1, LARGEST + 1), 1, 3):
            found, wanted = (step(stepper, batch, sample.config, seed=batch) for stepper in (compiled, eager))
            assert_near(found, wanted)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["fixed", "adaptive", "confidence"])
def test_the_sample_is_answered_as_pytorch_answers_it(sample, compiled, policy):
    puzzles = read_split(SAMPLE / "dataset", "test", 32)
    found, wanted = (
        solve(stepper, puzzles.inputs, puzzles.puzzle_identifiers, Policy(policy, 8), batch=LARGEST)
        for stepper in (compiled, tensor_stepper(sample))
    )
    np.testing.assert_array_equal(found.tokens, wanted.tokens)
    np.testing.assert_array_equal(found.depth, wanted.depth)
    np.testing.assert_allclose(found.q_halt, wanted.q_halt, atol=1e-3)
    np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-3)


@pytest.fixture
def recorded(monkeypatch):
    """Inductor replaced by nothing at all; what it was asked for, and with which batches it was called."""
    asked, batches, steps = [], [], []
    memory: dict = {}

    def compile_(function, **options):
        asked.append(options)

        def run(feeds):
            batches.append(len(next(iter(feeds.values()))))
            mine = memory.setdefault((function, batches[-1]), {})
            for name, value in function(feeds).items():  # as CUDA graphs do, always into the same memory
                mine.setdefault(name, torch.empty_like(value)).copy_(value)
            return dict(mine)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: steps.append(None))
    return asked, batches, steps


def with_cuda_graphs(model, batches):
    engines = {
        module: TensorEngine(model, module, CompiledCall(model, module, batches, cuda_graphs=True))
        for module in torch_compile.MODULES
    }
    return torch_compile.TensorStepper(model, engines)


def test_with_cuda_graphs_batches_are_padded_and_answers_outlive_the_next_call(tiny, recorded):
    asked, batches, steps = recorded
    stepper, eager = with_cuda_graphs(tiny, ladder(5)), tensor_stepper(tiny)
    kept = step(stepper, 3)
    again = step(stepper, 3, seed=1)
    assert_near(kept, step(eager, 3))
    assert_near(again, step(eager, 3, seed=1))
    assert {(options["mode"], options["fullgraph"]) for options in asked} == {("reduce-overhead", True)}
    assert set(batches) == {4}
    assert len(steps) == len(batches)


def test_a_batch_beyond_the_ladder_runs_as_it_is(tiny, recorded):
    _, batches, _ = recorded
    assert_near(step(with_cuda_graphs(tiny, (1, 2)), 3), step(tensor_stepper(tiny), 3))
    assert set(batches) == {3}


@pytest.mark.parametrize(
    ("batch", "sizes"), [(1, (1,)), (2, (1, 2)), (5, (1, 2, 4, 5)), (8, (1, 2, 4, 8)), (9, (1, 2, 4, 8, 9))]
)
def test_a_ladder_has_powers_of_two_and_the_largest(batch, sizes):
    assert ladder(batch) == sizes


def test_without_a_compiler_it_is_refused_with_what_to_install(tiny, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingError, match="cannot be compiled") as caught:
        compiled_stepper(tiny)
    assert "no C++ compiler no-such-compiler here" in caught.value.why
    assert "apt-get install g++" in caught.value.hint
