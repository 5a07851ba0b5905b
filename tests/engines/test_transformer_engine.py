"""Transformer Engine as far as it goes without a GPU: with a stand-in that multiplies exactly, and its refusals."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from trt_graphs import CONFIG, SITES

from engines import transformer_engine
from engines.torch_runtime import tensor_stepper
from engines.transformer_engine import SCHEMES, choose, fp8_stepper, load, with_fp8_executor
from hrm.errors import EngineError, MissingError
from hrm.network import random_network

ROWS = 32


class Linear(nn.Linear):
    """The arguments of ``transformer_engine.pytorch.Linear`` that are used, and what it demands of its operands."""

    def __init__(self, in_features, out_features, bias=True, params_dtype=None, device="cuda"):
        super().__init__(in_features, out_features, bias, device, params_dtype)
        self.calls = []

    def forward(self, inp, is_first_microbatch=None):
        assert StandIn.regions == [RECIPE]
        assert inp.ndim == 2
        assert len(inp) % ROWS == 0
        self.calls.append(is_first_microbatch)
        return super().forward(inp)


class StandIn:
    """``transformer_engine.pytorch`` of a GPU that has the schemes in ``has``."""

    regions: ClassVar[list] = []
    Linear = Linear

    def __init__(self, *has):
        for scheme in SCHEMES:
            setattr(self, scheme.available, lambda answer=scheme.recipe in has: answer)

    @staticmethod
    @contextmanager
    def autocast(enabled, recipe):
        assert enabled
        StandIn.regions.append(recipe)
        yield
        StandIn.regions.pop()


RECIPE = object()


@pytest.fixture(scope="module")
def model():
    return random_network(CONFIG, 0, torch.bfloat16)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Everything that asks for a GPU is told that there is one; tensors stay on the CPU."""
    recipes = SimpleNamespace(MXFP8BlockScaling=lambda: RECIPE)
    monkeypatch.setitem(sys.modules, "transformer_engine.pytorch", StandIn("MXFP8BlockScaling"))
    monkeypatch.setitem(sys.modules, "transformer_engine.common.recipe", recipes)
    monkeypatch.setattr(transformer_engine, "obstacle", lambda runtime: None)
    monkeypatch.setattr(transformer_engine, "on_device", lambda network, device: network)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (10, 0))


def step(stepper, batch):
    inputs = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (batch, CONFIG.seq_len), dtype=np.int32)
    embeddings = stepper.encode(inputs, np.zeros(batch, np.int32))
    first = stepper.step(*stepper.initial_carry(batch), embeddings)
    return stepper.step(first.z_H, first.z_L, embeddings)


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_the_segment_is_the_networks_own_but_for_the_products(as_on_a_gpu, model, batch):
    found, wanted = step(fp8_stepper(model), batch), step(tensor_stepper(model), batch)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.float(), other.float(), atol=0.05)  # rows in other numbers, in bfloat16
    assert StandIn.regions == []


def test_weights_are_the_checkpoints_and_the_planner_keeps_its_own(model):
    changed = with_fp8_executor(model, StandIn(), SCHEMES[0])
    linears = {name: module.linear for name, module in changed.named_modules() if hasattr(module, "linear")}
    assert tuple(linears) == SITES
    for site, linear in linears.items():
        torch.testing.assert_close(linear.weight, model.get_submodule(site).weight, rtol=0, atol=0)
        assert linear.bias is None
    assert all(type(model.get_submodule(site)) is nn.Linear for site in SITES)  # the one it was made from


def test_weights_are_rounded_at_the_first_call_alone(as_on_a_gpu, model, monkeypatch):
    changed = []

    def change(*given):
        changed.append(with_fp8_executor(*given))
        return changed[0]

    monkeypatch.setattr(transformer_engine, "with_fp8_executor", change)
    step(fp8_stepper(model), 2)
    for site in SITES:
        assert changed[0].get_submodule(site).linear.calls == [True, False]


@pytest.mark.parametrize(
    ("has", "major", "hidden", "recipe"),
    [
        (("MXFP8BlockScaling", "Float8BlockScaling", "Float8CurrentScaling"), 10, 512, "MXFP8BlockScaling"),
        (("Float8BlockScaling", "Float8CurrentScaling"), 9, 512, "Float8BlockScaling"),
        (("Float8BlockScaling", "Float8CurrentScaling"), 9, 96, "Float8CurrentScaling"),
        (("Float8BlockScaling", "Float8CurrentScaling"), 12, 512, "Float8CurrentScaling"),
        (("Float8CurrentScaling",), 8, 512, "Float8CurrentScaling"),
    ],
)
def test_scales_span_as_little_as_the_gpu_and_the_sizes_allow(has, major, hidden, recipe):
    scheme = choose(StandIn(*has), hidden, major)
    assert scheme.recipe == recipe
    assert scheme.by_row == (recipe != "Float8CurrentScaling")


def test_sizes_that_fp8_has_no_product_for_are_refused():
    with pytest.raises(EngineError, match="cannot compute this network in FP8") as caught:
        choose(StandIn(*(scheme.recipe for scheme in SCHEMES)), 24, 10)
    assert "hidden size 24 is no multiple of 16" in caught.value.why


def test_a_float32_network_is_refused():
    with pytest.raises(EngineError, match="in float32"):
        with_fp8_executor(random_network(CONFIG, 0), StandIn(), SCHEMES[0])


def test_it_is_refused_here_with_the_reason(model):
    with pytest.raises(MissingError, match="cannot run here") as caught:
        fp8_stepper(model)
    assert caught.value.why == "transformer-engine is not installed (`pip install 'hrm-trt[transformer-engine]'`)"


def test_a_package_that_cannot_be_imported_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformer_engine.pytorch", None)
    with pytest.raises(MissingError, match="cannot run here") as caught:
        load()
    assert "transformer_engine.pytorch cannot be imported" in caught.value.why
