"""Weights rounded with an eye on what they are multiplied with, and found again by whatever quantises them after."""

import numpy as np
import pytest
import torch

from engines.calibration.blocks import round_blocks
from engines.calibration.gptq import compensated
from export.quantise.values import from_nvfp4, nvfp4_scale, to_nvfp4

ROWS, WIDTH = 64, 128


@pytest.fixture(scope="module")
def operands():
    """A weight, and inputs whose channels have much in common, as hidden states have."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(ROWS, WIDTH, generator=generator) / 10
    mixed = torch.randn(2000, WIDTH, generator=generator) @ torch.randn(WIDTH, WIDTH, generator=generator) / 10
    return weight, round_blocks(mixed, mixed.abs().max())


def off(weight, rounded, x):
    wanted = x @ weight.t()
    return float((x @ rounded.t() - wanted).norm() / wanted.norm())


def test_products_are_nearer_than_with_weights_rounded_one_by_one(operands):
    weight, x = operands
    amax = weight.abs().max()
    assert off(weight, compensated(weight, float(amax), x.t() @ x), x) < 0.8 * off(
        weight, round_blocks(weight, amax), x
    )


def test_channels_that_have_nothing_in_common_are_rounded_one_by_one(operands):
    weight, amax = operands[0], operands[0].abs().max()
    rounded = compensated(weight, float(amax), torch.eye(WIDTH))
    torch.testing.assert_close(rounded, round_blocks(weight, amax))


def test_the_largest_magnitude_stays(operands):
    weight, x = operands
    rounded = compensated(weight, float(weight.abs().max()), x.t() @ x)
    torch.testing.assert_close(rounded.abs().max(), weight.abs().max())


def test_a_graph_stores_the_same_numbers(operands):
    weight, x = operands
    amax = float(weight.abs().max())
    rounded = compensated(weight, amax, x.t() @ x)
    stored = to_nvfp4(rounded.half().numpy(), nvfp4_scale(amax))
    assert np.allclose(from_nvfp4(stored), rounded.numpy(), rtol=1e-6, atol=0)


def test_a_block_of_zeros_and_a_channel_that_is_never_used_do_no_harm(operands):
    weight, x = operands[0].clone(), operands[1].clone()
    weight[:, :16], x[:, 20] = 0, 0
    rounded = compensated(weight, float(weight.abs().max()), x.t() @ x)
    assert rounded.isfinite().all()
    assert off(weight, rounded, x) < 0.2
