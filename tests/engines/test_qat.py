"""Fine-tuning with linears that round: what is learnt, and that an ordinary network comes out."""

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from engines.calibration.blocks import round_blocks
from engines.calibration.qat import FineTuning, RoundedLinear
from export.quantise.sites import sites
from hrm.checkpoint import native
from hrm.network import random_network
from hrm.training.batches import BatchStream
from tests.tiny_training import CPU, INFO, recipe, write_tiny

AMAX = 6.0


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data"))


def tune(dataset, *, rounding=True, **changes):
    """A fresh network, the recipe's steps, and what they made of it."""
    settings = recipe(dataset, **changes)
    start = random_network(settings.config(INFO, "float32"), 5)
    amax = dict.fromkeys(sites(start.config, "executor"), AMAX) if rounding else {}
    tuning = FineTuning(start, settings, CPU, amax)
    results = list(tuning.steps(BatchStream(settings.dataset, settings.global_batch_size, seed=1)))
    return start, tuning, results


def test_a_rounded_linear_multiplies_rounded_operands_and_learns_as_if_it_did_not():
    linear = torch.nn.Linear(32, 8, bias=False)
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    rounded = RoundedLinear(linear, 2.0)
    weights = round_blocks(linear.weight.detach(), linear.weight.detach().abs().max())
    values = round_blocks(x.detach(), torch.tensor(2.0))
    y = rounded(x)
    assert torch.equal(y, F.linear(values, weights))
    y.sum().backward()
    assert torch.allclose(x.grad, weights.sum(0).expand(5, 32))
    assert torch.allclose(linear.weight.grad, values.sum(0).expand(8, 32))


def test_it_learns_with_a_rounding_executor(dataset):
    _, _, results = tune(dataset, steps=150, ema=None)
    assert len(results) == 150
    assert results[-1].answer_loss < results[0].answer_loss / 2


def test_what_comes_out_is_an_ordinary_network_and_what_went_in_stays(dataset, tmp_path):
    settings = recipe(dataset, steps=3, ema=0.9)
    start = random_network(settings.config(INFO, "float32"), 5)
    before = copy.deepcopy(start.state_dict())
    tuning = FineTuning(start, settings, CPU, dict.fromkeys(sites(start.config, "executor"), AMAX))
    list(tuning.steps(BatchStream(settings.dataset, settings.global_batch_size, seed=1)))
    learnt = tuning.network
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.state_dict().items())
    assert {type(each) for each in learnt.modules()} == {type(each) for each in start.modules()}
    assert not torch.equal(learnt.lm_head.weight, start.lm_head.weight)
    native.save(learnt.config, learnt.state_dict(), tmp_path / "model.safetensors")


def test_no_step_is_no_change(dataset):
    settings = recipe(dataset, ema=None)
    start = random_network(settings.config(INFO, "float32"), 5)
    learnt = FineTuning(start, settings, CPU, {}).network
    assert all(torch.equal(tensor, start.state_dict()[name]) for name, tensor in learnt.state_dict().items())


def test_rounding_changes_what_is_learnt(dataset):
    one, other = (tune(dataset, rounding=rounding, steps=3)[1].network for rounding in (True, False))
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
