"""The same bits twice, from engines opened twice, for each runtime that is here."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch._inductor import config as inductor
from trt_graphs import CONFIG

from engines import determinism
from engines.act import Policy
from engines.determinism import WORKSPACE, repeat
from engines.loading import load_engines
from engines.runtimes import open_network
from engines.solving import solve
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import UsageError
from hrm.network import random_network

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
THREADS = 2
BATCH = 7


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """PyTorch's settings are the process's, and other tests want their own."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    before = (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), inductor.deterministic)
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.set_num_threads(before[1])
    inductor.deterministic = before[2]
    os.environ.pop(WORKSPACE, None)


def bits(stepper, inputs, identifiers):
    """All that the heads say of puzzles, in bytes."""
    said = []

    def keep(segments, rows, output):
        values = segments, rows, output.logits, output.q_halt, output.q_continue
        said.append(b"".join(value.tobytes() for value in values))

    found = solve(stepper, inputs, identifiers, Policy("adaptive", 8), batch=BATCH, observe=keep)
    return said, found.tokens.tolist(), found.depth.tolist()


@pytest.fixture(scope="module")
def puzzles():
    """Drawn and put in order by a seed."""
    found = read_split(SAMPLE / "dataset", "test", 40)
    order = np.random.default_rng(3).permutation(len(found.inputs))[:24]
    return found.inputs[order], found.puzzle_identifiers[order]


def test_pytorch_repeats_itself(puzzles):
    repeat("torch", THREADS)
    model = network(load(locate(SAMPLE)))
    one, other = (bits(open_network("torch", model), *puzzles) for _ in range(2))
    assert one == other
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == THREADS


@pytest.mark.slow
def test_inductor_repeats_itself():
    """Compiled anew the second time, not taken from a cache."""
    repeat("torch-compile", THREADS)
    model, generator = random_network(CONFIG, 0), np.random.default_rng(3)
    inputs = generator.integers(0, CONFIG.vocab_size, (18, CONFIG.seq_len), dtype=np.int32)
    identifiers = generator.integers(0, CONFIG.num_puzzle_identifiers, 18, dtype=np.int32)
    found = []
    for _ in range(2):
        with inductor.patch(fx_graph_cache=False):
            found.append(bits(open_network("torch-compile", model, batch=BATCH), inputs, identifiers))
    assert found[0] == found[1]


def test_onnx_runtime_repeats_itself(demo_bundle, puzzles):
    options = repeat("onnxruntime", THREADS)
    assert (options.threads, options.deterministic) == (THREADS, True)
    one, other = (bits(load_engines(*demo_bundle, options), *puzzles) for _ in range(2))
    assert one == other


def test_graphs_have_no_operator_that_tensorrt_excepts(demo_bundle):
    directory, manifest = demo_bundle
    kinds = {node.op_type for file in manifest.engines for node in onnx.load(directory / file.file).graph.node}
    assert [kind for kind in kinds if "Scatter" in kind or "Random" in kind] == []


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_is_needed(threads):
    with pytest.raises(UsageError, match="fixed number of threads"):
        repeat("torch", threads)


def test_it_is_too_late_once_a_gpu_was_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(UsageError, match="any more") as caught:
        repeat("torch", 1)
    assert f"{WORKSPACE}=:4096:8" in caught.value.hint
    monkeypatch.setenv(WORKSPACE, ":16:8")
    repeat("torch", 1)
    assert os.environ[WORKSPACE] == ":16:8"


def test_a_runtime_that_is_not_pytorchs_leaves_pytorch_alone():
    repeat("tensorrt", 1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert determinism.WORKSPACE not in os.environ
