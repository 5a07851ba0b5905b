"""hrm.network computes what the official code computes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.config import PAPER, HRMConfig
from hrm.network import HRM, Heads, random_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sample(sample_dir: Path) -> HRM:
    return network(load(locate(sample_dir)))


def puzzles(sample_dir: Path, name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(sample_dir / f"dataset/test/all__{name}.npy").astype(np.int32))


def run(model: HRM, inputs: torch.Tensor, identifiers: torch.Tensor) -> Iterator[dict[str, np.ndarray]]:
    """Every segment's carry and heads, up to ``halt_max_steps``."""
    with torch.inference_mode():
        embeddings = model.encode(inputs, identifiers)
        carry = model.initial_carry(len(inputs))
        for _ in range(model.config.halt_max_steps):
            carry, heads = model.segment(carry, embeddings)
            yield {name: tensor.numpy() for name, tensor in (carry._asdict() | heads._asdict()).items()}


def test_every_segment_equals_the_official_code(sample: HRM, sample_dir: Path, golden_dir: Path) -> None:
    golden = np.load(golden_dir / "golden_first16.npz")
    inputs = puzzles(sample_dir, "inputs")[:16]
    segments = list(run(sample, inputs, torch.zeros(16, dtype=torch.int32)))
    assert len(segments) == len(golden["logits"])
    for number, outputs in enumerate(segments):
        for name, ours in outputs.items():
            error = np.abs(ours - golden[name][number]).max() / np.abs(golden[name][number]).max()
            assert error < 1e-5, f"{name} of segment {number}"


def test_solves_the_puzzles_that_the_official_code_solves(sample: HRM, sample_dir: Path, golden_dir: Path) -> None:
    official = json.loads((golden_dir / "official_results.json").read_text())
    inputs, labels = puzzles(sample_dir, "inputs"), puzzles(sample_dir, "labels").numpy()
    segments = list(run(sample, inputs, torch.zeros(len(inputs), dtype=torch.int32)))
    solved = [int((outputs["logits"].argmax(-1) == labels).all(-1).sum()) for outputs in segments]
    assert solved == [round(share * len(inputs)) for share in official["exact_by_segment"]]
    assert solved[-1] == 497


def test_paper_model_has_the_official_number_of_parameters() -> None:
    with torch.device("meta"):
        state = HRM(PAPER).state_dict()
    not_counted = ("puzzle_emb.weights", "H_init", "L_init")
    assert sum(tensor.numel() for name, tensor in state.items() if name not in not_counted) == 27_275_266


def test_random_network_is_the_same_for_the_same_seed(small_config: HRMConfig) -> None:
    first, again, other = (random_network(small_config, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_random_network_in_another_dtype_holds_the_rounded_values(small_config: HRMConfig) -> None:
    wide, narrow = random_network(small_config, 3), random_network(small_config, 3, torch.bfloat16)
    weight = narrow.lm_head.weight
    assert weight.dtype == torch.bfloat16
    assert torch.equal(weight, wide.lm_head.weight.to(torch.bfloat16))


@pytest.mark.parametrize("ndim", [0, 5, 8, 19])
def test_a_puzzle_embedding_of_any_width_takes_whole_tokens(small_config: HRMConfig, ndim: int) -> None:
    config = replace(small_config, puzzle_emb_ndim=ndim, pos_encodings="rope")
    heads, tokens = one_segment(random_network(config, 0))
    assert tokens == config.seq_len + -(-ndim // config.hidden_size)
    assert heads.logits.shape == (2, config.seq_len, config.vocab_size)


def test_the_puzzle_embedding_changes_the_answer(small_network: HRM) -> None:
    inputs = torch.ones(2, small_network.config.seq_len, dtype=torch.int32)
    *_, last = run(small_network, inputs, torch.tensor([0, 1]))
    assert not np.allclose(last["logits"][0], last["logits"][1], atol=1e-3)


def test_halting_values_are_float32_in_every_dtype(small_config: HRMConfig) -> None:
    heads, _ = one_segment(random_network(small_config, 0, torch.bfloat16))
    assert heads.logits.dtype == torch.bfloat16
    assert heads.q_halt.dtype == heads.q_continue.dtype == torch.float32


def one_segment(model: HRM) -> tuple[Heads, int]:
    inputs = torch.arange(2 * model.config.seq_len).view(2, -1) % model.config.vocab_size
    with torch.inference_mode():
        embeddings = model.encode(inputs, torch.zeros(2, dtype=torch.int32))
        _, heads = model.segment(model.initial_carry(2), embeddings)
    return heads, embeddings.shape[1]
