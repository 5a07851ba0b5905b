"""Equalising leaves what a network computes alone, and changes how its values lie."""

import copy
from pathlib import Path

import pytest
import torch

from engines.calibration.blocks import round_blocks
from engines.calibration.equalise import MEETS, equalise, factors
from export.quantise.sites import sites
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.network import random_network
from tests.export.tiny import LEARNED, ODD, PLAIN

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
OUT, DOWN = "L_level.layers.0.self_attn.o_proj", "L_level.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def sample():
    return network(load(locate(SAMPLE)))


@pytest.fixture(scope="module")
def puzzles():
    found = read_split(SAMPLE / "dataset", "test", 4)
    return torch.from_numpy(found.inputs), torch.from_numpy(found.puzzle_identifiers)


def made_up(config):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(config.vocab_size, (3, config.seq_len), generator=generator)
    return inputs, torch.zeros(3, dtype=torch.int64)


@torch.no_grad()
def answers(model, puzzles, segments=1):
    """Logits and halting values, and what each linear was given."""
    seen = {}
    handles = [
        model.get_submodule(site).register_forward_pre_hook(lambda _, given, site=site: seen.update({site: given[0]}))
        for module in ("executor", "planner")
        for site in sites(model.config, module)
    ]
    embeddings, carry = model.encode(*puzzles), model.initial_carry(len(puzzles[0]))
    for _ in range(segments):
        carry, heads = model.segment(carry, embeddings)
    for handle in handles:
        handle.remove()
    return heads, seen


def channels_of(seen):
    return {site: x.abs().flatten(0, -2).amax(dim=0) for site, x in seen.items()}


def movable(config):
    every = (*sites(config, "executor"), *sites(config, "planner"))
    return [site for site in every if site.endswith(tuple(MEETS))]


def same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("config", [PLAIN, LEARNED, ODD])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_an_equalised_network_computes_the_same(config, alpha):
    model, inputs = random_network(config, 3), made_up(config)
    heads, seen = answers(model, inputs)
    changed = equalise(model, channels_of(seen), dict.fromkeys(movable(config), alpha))
    same(answers(changed, inputs)[0], heads)
    assert not torch.equal(changed.get_submodule(OUT).weight, model.get_submodule(OUT).weight)


def test_a_trained_network_computes_the_same(sample, puzzles):
    heads, seen = answers(sample, puzzles)
    changed = equalise(sample, channels_of(seen), dict.fromkeys(movable(sample.config), 0.5))
    same(answers(changed, puzzles)[0], heads)


def test_what_was_given_stays_as_it_was(sample, puzzles):
    before = copy.deepcopy(sample.state_dict())
    equalise(sample, channels_of(answers(sample, puzzles)[1]), {OUT: 0.5, DOWN: 0.5})
    assert all(torch.equal(tensor, before[name]) for name, tensor in sample.state_dict().items())


@pytest.mark.parametrize("site", [OUT, DOWN])
def test_alpha_1_makes_all_inputs_as_large_and_alpha_0_all_columns(site):
    model, inputs = random_network(PLAIN, 3), made_up(PLAIN)
    channels = channels_of(answers(model, inputs)[1])
    largest = channels_of(answers(equalise(model, channels, {site: 1.0}), inputs)[1])[site]
    # later calls drift by rounding, and the last call alone is seen
    assert float(largest.max() / largest.min()) < 1.001
    columns = equalise(model, channels, {site: 0.0}).get_submodule(site).weight.detach().abs().amax(dim=0)
    assert float(columns.max() / columns.min()) < 1.001


def test_factors_leave_silent_channels_alone_and_the_whole_as_large_as_it_was():
    inputs, weights = torch.tensor([4.0, 0.0, 1.0, 0.25]), torch.tensor([1.0, 1.0, 0.0, 1.0])
    found = factors(inputs, weights, 0.5)
    assert found.tolist() == pytest.approx([2.0, 1.0, 1.0, 0.5])


def test_an_outlier_in_every_block_costs_less_after_equalising():
    model, inputs = random_network(PLAIN, 3), made_up(PLAIN)
    with torch.no_grad():
        model.get_submodule("L_level.layers.0.mlp.gate_up_proj").weight[-PLAIN.mlp_width :: 16] *= 50
        model.get_submodule(DOWN).weight[:, ::16] /= 50
    seen = answers(model, inputs)[1]
    changed = equalise(model, channels_of(seen), {DOWN: 0.5})
    errors = [product_error(each, answers(each, inputs)[1][DOWN]) for each in (model, changed)]
    assert errors[1] < errors[0] / 2


def product_error(model, x):
    weight = model.get_submodule(DOWN).weight.detach()
    wanted = x @ weight.t()
    found = round_blocks(x, x.abs().max()) @ round_blocks(weight, weight.abs().max()).t()
    return float((found - wanted).norm() / wanted.norm())
