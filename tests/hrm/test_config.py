from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.config import PAPER, HRMConfig
from hrm.errors import CheckpointError

sizes = st.integers(1, 100_000)


@st.composite
def configs(draw: st.DrawFn) -> HRMConfig:
    heads = draw(st.integers(1, 64))
    return HRMConfig(
        vocab_size=draw(sizes),
        seq_len=draw(sizes),
        num_puzzle_identifiers=draw(sizes),
        hidden_size=heads * 2 * draw(st.integers(1, 64)),
        num_heads=heads,
        H_layers=draw(sizes),
        L_layers=draw(sizes),
        H_cycles=draw(sizes),
        L_cycles=draw(sizes),
        halt_max_steps=draw(sizes),
        puzzle_emb_ndim=draw(st.integers(0, 10_000)),
        expansion=draw(st.floats(0.1, 100)),
        pos_encodings=draw(st.sampled_from(["rope", "learned"])),
        rope_theta=draw(st.floats(1, 1e8)),
        rms_norm_eps=draw(st.floats(1e-12, 1e-3)),
        forward_dtype=draw(st.sampled_from(["float32", "bfloat16", "float16"])),
    )


@given(configs())
def test_a_config_survives_json(config: HRMConfig) -> None:
    assert HRMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@given(configs())
def test_derived_sizes_follow_the_official_code(config: HRMConfig) -> None:
    assert config.head_dim * config.num_heads == config.hidden_size
    assert config.mlp_width % 256 == 0
    assert 0 <= config.mlp_width - round(config.expansion * config.hidden_size * 2 / 3) < 256
    assert 0 <= config.puzzle_emb_len * config.hidden_size - config.puzzle_emb_ndim < config.hidden_size
    assert config.tokens == config.seq_len + config.puzzle_emb_len


def test_the_paper_s_mlp_is_1536_wide() -> None:
    assert PAPER.mlp_width == 1536


def test_unknown_keys_are_left_out() -> None:
    assert HRMConfig.from_dict({**PAPER.to_dict(), "loss": {}, "lr": 1e-4}) == PAPER


def test_a_missing_setting_is_named() -> None:
    values = PAPER.to_dict()
    del values["num_heads"]
    with pytest.raises(CheckpointError, match="num_heads"):
        HRMConfig.from_dict(values)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("vocab_size", 0, "vocab_size is 0"),
        ("H_cycles", -1, "H_cycles is -1"),
        ("halt_max_steps", 2.5, "halt_max_steps is 2.5"),
        ("puzzle_emb_ndim", -1, "puzzle_emb_ndim is -1"),
        ("num_heads", 7, "512 / 7 heads"),
        ("num_heads", 512, "RoPE turns pairs"),
        ("pos_encodings", "alibi", "alibi"),
        ("forward_dtype", "int8", "int8"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: Any, complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        replace(PAPER, **{name: value})
