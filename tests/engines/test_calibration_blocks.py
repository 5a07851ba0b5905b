"""Fake quantisation against ModelOpt's own NVFP4 tensor and against rounding written by hand."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from engines.act import Policy
from engines.calibration.blocks import fake_quantised, round_blocks
from engines.solving import solve
from engines.torch_runtime import torch_stepper
from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.sites import sites, uniform
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.config import HRMConfig
from hrm.data.dataset import read_split
from hrm.errors import CalibrationError
from hrm.network import random_network

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
QKV, OUT = "L_level.layers.0.self_attn.qkv_proj", "L_level.layers.0.self_attn.o_proj"
UP, DOWN = "L_level.layers.0.mlp.gate_up_proj", "L_level.layers.0.mlp.down_proj"


@pytest.fixture(scope="module")
def sample():
    return network(load(locate(SAMPLE)))


@pytest.fixture(scope="module")
def calibration(sample):
    return made_up(sample)


def made_up(model, amax_input=4.0):
    """Maxima in the middle of what comes in, so that some values are clipped."""
    names = [*sites(model.config, "executor"), *sites(model.config, "planner")]
    weights = {name: float(model.get_submodule(name).weight.detach().abs().max()) for name in names}
    return Calibration(
        method="max", sites={name: SiteAmax(input=amax_input, weight=weights[name]) for name in names}, segments={},
        checkpoint="", dataset="", split="train", puzzles=1, seed=0, versions={},
    )  # fmt: skip


def modelopts(values, amax):
    """``values`` packed to NVFP4 and unpacked again by ModelOpt."""
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    scale = amax.float() / (6 * 448)
    packed, scales, double_scale = NVFP4QTensor.quantize(values.clone(), 16, weights_scaling_factor_2=scale)
    return packed.dequantize(scale=scales, double_scale=double_scale, block_sizes={-1: 16})


def spread(generator):
    """Values over many orders of magnitude, block by block."""
    return torch.randn(1024, 256, generator=generator) * torch.logspace(-9, 6, 1024)[:, None]


def nasty(_):
    grid = torch.tensor([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 5.5, 6])
    ties = torch.cat([grid, -grid, grid.nextafter(torch.tensor(9.0)), grid.nextafter(torch.tensor(-9.0))])
    rows = [ties * scale for scale in (1.0, 2.0**-9, 448.0, 1e-3, 1 / 3, 1e-30, 1e-42, 1e30)]
    one = torch.zeros(64)
    one[5] = -3.0
    return torch.stack([*rows, torch.zeros(64), -torch.zeros(64), one, torch.full((64,), -6.0), 1e6 * one, 1e-6 * one])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("make", [lambda g: torch.randn(1024, 256, generator=g), spread, nasty])
def test_blocks_are_rounded_as_modelopt_packs_them(make, dtype):
    values = make(torch.Generator().manual_seed(7)).to(dtype)
    values = values[values.isfinite().all(dim=-1)]
    for share in (1.0, 0.3):  # the second clips
        amax = share * values.abs().max().float()
        expected = modelopts(values, amax)
        rounded = round_blocks(values, amax)
        assert rounded.dtype is dtype
        assert int((rounded != expected).sum()) == 0


def test_the_random_values_are_as_many_as_it_takes():
    assert spread(torch.Generator()).numel() == 262_144


def e4m3(values):
    """The nearest E4M3 value: three bits of mantissa, exponents from -6, at most 448."""
    exponents = (torch.frexp(values).exponent - 1).clamp(min=-6)
    step = torch.ldexp(torch.ones_like(values), exponents - 3)
    return (torch.round(values / step) * step).clamp(-448, 448)


def fp8(values, amax):
    scale = torch.tensor(448.0) / torch.tensor(amax)
    return e4m3((values * scale).clamp(-448, 448)) * (1 / scale)


def nvfp4(values, amax):
    return round_blocks(values, torch.tensor(amax))


@pytest.mark.parametrize(("precision", "rounded"), [("fp8", fp8), ("nvfp4", nvfp4)])
def test_a_linear_rounds_both_operands(sample, calibration, precision, rounded):
    quantised = fake_quantised(sample, {UP: precision}, calibration)
    x = 3 * torch.randn(5, 7, sample.config.hidden_size, generator=torch.Generator().manual_seed(1))
    amax, weight = calibration.sites[UP], sample.get_submodule(UP).weight
    expected = F.linear(rounded(x, amax.input), rounded(weight, amax.weight))
    with torch.inference_mode():
        assert torch.equal(quantised.get_submodule(UP)(x), expected)
        assert not torch.equal(expected, sample.get_submodule(UP)(x))


def test_every_site_gets_what_it_was_assigned_and_the_rest_stays(sample, calibration):
    quantised = fake_quantised(sample, {QKV: "fp8", DOWN: "nvfp4", OUT: "fp16"}, calibration)
    for name, linear in quantised.named_modules():
        if not isinstance(linear, torch.nn.Linear):
            continue
        x = torch.randn(4, linear.in_features, generator=torch.Generator().manual_seed(2))
        with torch.inference_mode():
            same = torch.equal(linear(x), sample.get_submodule(name)(x))
        assert same == (name not in (QKV, DOWN)), name
    assert type(sample.get_submodule(QKV)) is torch.nn.Linear


@pytest.mark.parametrize(("precision", "rounded"), [("fp8", fp8), ("nvfp4", nvfp4)])
def test_gradients_pass_as_if_nothing_had_been_rounded(sample, calibration, precision, rounded):
    linear = fake_quantised(sample, {UP: precision}, calibration).get_submodule(UP)
    x = torch.randn(6, sample.config.hidden_size, generator=torch.Generator().manual_seed(3)).requires_grad_()
    y = linear(x)
    back = torch.randn(y.shape, generator=torch.Generator().manual_seed(4))
    y.backward(back)
    amax = calibration.sites[UP]
    assert torch.allclose(x.grad, back @ rounded(linear.weight.detach(), amax.weight), atol=1e-5)
    assert torch.allclose(linear.weight.grad, back.T @ rounded(x.detach(), amax.input), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp8", "nvfp4"])
def test_a_quantised_network_can_be_solved_with_and_copied(sample, calibration, precision):
    puzzles = read_split(SAMPLE / "dataset", "test", 4)
    quantised = fake_quantised(sample, uniform(sample.config, ("executor",), precision), calibration)
    policy = Policy("fixed", 3)
    answers = [
        solve(torch_stepper(model), puzzles.inputs, puzzles.puzzle_identifiers, policy, batch=4)
        for model in (quantised, copy.deepcopy(quantised), sample)
    ]
    assert np.array_equal(answers[0].q_halt, answers[1].q_halt)
    assert not np.array_equal(answers[0].q_halt, answers[2].q_halt)


def test_a_site_that_was_not_calibrated_is_refused(sample, calibration):
    lacking = calibration.model_copy(update={"sites": {QKV: calibration.sites[QKV]}})
    with pytest.raises(CalibrationError, match="o_proj") as refused:
        fake_quantised(sample, {QKV: "fp8", OUT: "fp8"}, lacking)
    assert QKV in refused.value.why


@pytest.mark.parametrize("amax", [0.0, float("nan"), float("inf")])
def test_maxima_that_no_scale_can_be_made_from_are_refused(sample, amax):
    with pytest.raises(CalibrationError, match="cannot be used"):
        fake_quantised(sample, {QKV: "fp8"}, made_up(sample, amax))


def test_a_linear_of_odd_size_is_refused_for_nvfp4_and_taken_for_fp8():
    sizes = HRMConfig(
        vocab_size=5, seq_len=4, num_puzzle_identifiers=1, hidden_size=24, num_heads=2, H_layers=1, L_layers=1,
        H_cycles=1, L_cycles=1, halt_max_steps=1,
    )  # fmt: skip
    odd = random_network(sizes, 0)
    assert fake_quantised(odd, {QKV: "fp8"}, made_up(odd))
    with pytest.raises(CalibrationError, match="NVFP4") as refused:
        fake_quantised(odd, {QKV: "nvfp4"}, made_up(odd))
    assert "24 values" in refused.value.why
