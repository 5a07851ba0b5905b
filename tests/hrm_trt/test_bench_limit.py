"""The arithmetic of a segment, counted on paper and by PyTorch; and which batches cannot fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hrm.config import PAPER, HRMConfig
from hrm.errors import MissingError
from hrm.network import random_network
from hrm_trt.bench.limit import LimitJob, largest_product, segment_flops, share
from hrm_trt.bench.plan import check_memory, least_bytes

SMALL = replace(PAPER, hidden_size=64, num_heads=2, seq_len=10, H_layers=1, L_layers=3, H_cycles=3, L_cycles=1)


def test_a_segment_of_the_paper_is_13_7_gflop() -> None:
    assert segment_flops(PAPER) == pytest.approx(13.7e9, rel=0.01)
    assert 32 * segment_flops(PAPER) == pytest.approx(440e9, rel=0.01)


@pytest.mark.parametrize(
    "config", [SMALL, replace(SMALL, puzzle_emb_ndim=100), replace(SMALL, puzzle_emb_ndim=0, pos_encodings="learned")]
)
def test_pytorch_counts_the_same(config: HRMConfig) -> None:
    network = random_network(config, seed=0)
    inputs, identifiers = torch.zeros(2, config.seq_len, dtype=torch.int32), torch.zeros(2, dtype=torch.int32)
    # The counter sees into this attention alone.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network.segment(network.initial_carry(2), network.encode(inputs, identifiers))
    assert counter.get_total_flops() == 2 * segment_flops(config)


def test_the_largest_product_is_the_mlps() -> None:
    assert largest_product(PAPER, 32) == (32 * 82, 512, 3072)


def test_a_share_of_one_is_the_limit() -> None:
    flops = segment_flops(PAPER)
    assert share(PAPER, segments_per_second=10, matrix_flops=10 * flops) == pytest.approx(1)


def test_every_library_is_measured() -> None:
    measured = LimitJob((64, 32, 64), 1).open().turn(lambda _: None)
    assert set(measured) == {"numpy", "torch", "onnxruntime"}
    assert all(flops > 0 for flops in measured.values())


@given(st.integers(1, 10**6), st.integers(1, 2**40))
def test_a_batch_that_cannot_fit_is_told_one_that_may(batch: int, free: int) -> None:
    parameters = 27_000_000
    if least_bytes(PAPER, batch, parameters) <= free:
        check_memory(PAPER, [1, batch], parameters, free)
        return
    with pytest.raises(MissingError) as refused:
        check_memory(PAPER, [1, batch], parameters, free)
    assert refused.value.exit_code == 3
    if "--batch" in refused.value.hint:
        suggested = int(refused.value.hint.split()[1])
        assert suggested < batch
        assert least_bytes(PAPER, suggested, parameters) <= free < least_bytes(PAPER, 2 * suggested, parameters)
    else:
        assert free < least_bytes(PAPER, 1, parameters)
