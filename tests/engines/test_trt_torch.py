"""Torch-TensorRT as far as it goes without a GPU: the program that it compiles, and the refusal."""

import operator

import numpy as np
import pytest
import torch
from trt_graphs import CONFIG, PROFILE, span

from engines.torch_tensorrt import TorchTensorRTEngine, export_program, fallbacks, refusal
from export.reference import compute
from hrm.errors import MissingError
from hrm.network import random_network

WIDE = PROFILE.model_copy(update={"sequence": span(2, 5, 10)})


@pytest.fixture(scope="module")
def network():
    return random_network(CONFIG, 0)


@torch.inference_mode()
@pytest.mark.parametrize(("profile", "tokens"), [(PROFILE, 11), (WIDE, 4)])
@pytest.mark.parametrize("module", ["executor", "planner"])
def test_the_program_computes_what_the_network_does_for_every_batch(network, module, profile, tokens):
    names = ("z_L", "z_H", "input_embeddings") if module == "executor" else ("z_H", "z_L")
    generator = torch.Generator().manual_seed(0)
    feeds = {name: torch.randn(3, tokens, CONFIG.hidden_size, generator=generator) for name in names}
    program = export_program(network, module, profile)
    found = program.module()(*(feeds[name].half() for name in names))
    wanted = compute(network, module, feeds)
    for value, expected in zip(found if isinstance(found, tuple) else (found,), wanted.values(), strict=True):
        np.testing.assert_allclose(value.float(), expected, atol=2e-2)


class Part(torch.nn.Module):
    def forward(self, x):
        return x + 1


def test_what_pytorch_runs_is_listed():
    """As the compiler leaves it: subgraphs that became engines beside nodes and subgraphs that did not."""
    parts = {"_run_on_acc_0": torch.fx.symbolic_trace(Part()), "_run_on_gpu_1": torch.fx.symbolic_trace(Part())}
    graph = torch.fx.Graph()
    value = graph.placeholder("x")
    for name in parts:
        value = graph.call_module(name, (value,))
    kept = graph.call_function(torch.cumsum, (value, 0))
    graph.output(graph.call_function(operator.getitem, (kept, 0)))
    found = fallbacks(torch.fx.GraphModule(parts, graph))
    assert [entry.partition(":")[0] for entry in found] == ["cumsum", "add"]
    assert "cumsum" in found[0].partition(":")[2]


def test_it_is_refused_here_with_the_reason(network):
    assert refusal() == "torch-tensorrt is not installed (`pip install 'hrm-trt[torch-tensorrt]'`)"
    with pytest.raises(MissingError, match="cannot be compiled by torch-tensorrt here") as caught:
        TorchTensorRTEngine(network, "executor", PROFILE)
    assert caught.value.why == refusal()
