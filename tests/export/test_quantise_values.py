"""Stored numbers against ModelOpt's own."""

import numpy as np
import pytest
import quantised
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from export.quantise.values import E2M1, fp8_scale, from_nvfp4, nvfp4_scale, to_fp8, to_nvfp4

AMAX = st.floats(2.0**-10, 2.0**15, width=32)
# Any finite float16, from a random bit pattern, so that all magnitudes come up.
HALVES = hnp.arrays(np.uint16, (3, 32), elements=st.integers(0, 0xFFFF)).map(
    lambda words: np.nan_to_num(words.view(np.float16), nan=0, posinf=0, neginf=-0.0)
)


@settings(deadline=None)  # ModelOpt is imported in the first
@given(HALVES, AMAX)
def test_fp8_is_modelopts(values, amax):
    scale = fp8_scale(amax)
    effective = np.float32(448) * np.float32(scale)
    back = to_fp8(values, scale).astype(np.float32) * (1 / (1 / effective * np.float32(448)))
    np.testing.assert_array_equal(back, quantised.modelopt_fp8(values.astype(np.float32), effective))


@settings(deadline=None)
@given(HALVES, AMAX)
def test_nvfp4_is_modelopts_to_the_bit(values, amax):
    stored = to_nvfp4(values, nvfp4_scale(amax))
    wide = values.astype(np.float32)
    assert quantised.bits(from_nvfp4(stored)) == quantised.bits(quantised.modelopt_nvfp4(wide, amax))


@given(hnp.arrays(np.float32, (1, 16), elements=st.floats(-6, 6, width=32)))
def test_e2m1_is_the_nearest_of_its_numbers(values):
    stored = to_nvfp4(values, np.float32(1 / 448))
    grid = np.unique(np.arange(16, dtype=np.uint8).view(E2M1).astype(np.float32))
    scales = np.repeat(stored.block_scales.astype(np.float32) * stored.scale, 16, axis=1)
    nearest = np.abs(values[..., None] / scales[..., None] - grid).min(-1)
    found = np.abs(values / scales - stored.codes.astype(np.float32))
    inside = np.abs(values / scales) <= 6
    np.testing.assert_allclose(found[inside], nearest[inside], atol=1e-6)


def test_ties_go_to_the_even_mantissa():
    ties = np.array([[0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5.0, -6.0]])
    even = [0, 1, 1, 2, 2, 4, 4, 6]
    stored = to_nvfp4(ties, np.float32(1))
    assert stored.codes.astype(np.float32).tolist() == [[*even, *(-value for value in even)]]


def test_a_block_of_zeros_is_zeros():
    stored = to_nvfp4(np.zeros((2, 32), np.float16), np.float32(1e-3))
    assert not from_nvfp4(stored).any()
    assert np.isfinite(stored.block_scales.astype(np.float32)).all()


def test_values_above_the_maximum_are_clipped():
    assert from_nvfp4(to_nvfp4(np.full((1, 16), 1000.0), nvfp4_scale(1.0))).max() == pytest.approx(1.0)
    assert to_fp8(np.array([1000.0, -1000.0]), fp8_scale(1.0)).astype(np.float32).tolist() == [448, -448]


def test_what_is_almost_a_tie_is_none():
    """Float32 numbers that float16 has none beside, just below and above the middle of two."""
    below, above = np.nextafter(np.float32(31), np.float32(0)), np.nextafter(np.float32(31), np.float32(99))
    assert to_fp8(np.array([below, 31, above]), np.float16(1)).astype(np.float32).tolist() == [30, 32, 32]
    units = np.full((1, 16), 6, np.float32)
    units[0, :3] = np.nextafter(np.float32(0.75), np.float32(0)), 0.75, np.nextafter(np.float32(2.5), np.float32(9))
    assert to_nvfp4(units, np.float32(1)).codes.astype(np.float32)[0, :3].tolist() == [0.5, 1, 3]
