"""Tensors that are not the HRM's: the error names the tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from hrm.network import HRM

Write = Callable[..., Path]
QKV = "L_level.layers.1.self_attn.qkv_proj.weight"


@pytest.fixture
def refusal_of(small_network: HRM, write_official: Write) -> Callable[..., str]:
    """Why a checkpoint is refused whose state dict ``change`` has changed."""

    def why(change: Callable[[dict[str, Any]], object], **arch: Any) -> str:
        state = {f"model.inner.{name}": tensor.clone() for name, tensor in small_network.state_dict().items()}
        change(state)
        with pytest.raises(CheckpointError) as caught:
            load(locate(write_official(small_network.config, state, **arch)))
        assert "step_10" in caught.value.what
        return caught.value.why

    return why


@pytest.mark.parametrize("name", [QKV, "H_init", "q_head.bias", "embed_tokens.embedding_weight", "lm_head.weight"])
def test_a_missing_tensor_is_named(refusal_of: Callable[..., str], name: str) -> None:
    assert refusal_of(lambda state: state.pop(f"model.inner.{name}")) == f"the tensor {name} is missing"


@pytest.mark.parametrize("name", ["puzzle_emb.weights", "embed_pos.embedding_weight"])
def test_a_missing_table_contradicts_the_configuration(refusal_of: Callable[..., str], name: str) -> None:
    assert f"by the absence of {name}" in refusal_of(lambda state: state.pop(f"model.inner.{name}"))


def test_an_unexpected_tensor_is_named(refusal_of: Callable[..., str]) -> None:
    why = refusal_of(lambda state: state.update({"optimiser.step": torch.zeros(1), "z": torch.zeros(1)}))
    assert why == "the tensor optimiser.step is unexpected, and 1 more"


@pytest.mark.parametrize(
    ("name", "shape", "why"),
    [
        (QKV, (24, 9), f"the tensor {QKV} has the shape [24, 9], and should have [24, 8]"),
        ("q_head.bias", (3,), "the tensor q_head.bias has the shape [3], and should have [2]"),
        ("lm_head.weight", (6, 8), "the tensor lm_head.weight has the shape [6, 8], and should have [5, 8]"),
        ("embed_tokens.embedding_weight", (5,), "embed_tokens.embedding_weight has the shape [5]"),
        ("embed_tokens.embedding_weight", (5, 0), "embed_tokens.embedding_weight has the shape [5, 0]"),
    ],
)
def test_a_wrong_shape_is_named(refusal_of: Callable[..., str], name: str, shape: tuple[int, ...], why: str) -> None:
    assert why in refusal_of(lambda state: state.update({f"model.inner.{name}": torch.zeros(shape)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_value_that_is_not_finite_is_named(refusal_of: Callable[..., str], value: float, dtype: torch.dtype) -> None:
    def change(state: dict[str, Any]) -> None:
        state[f"model.inner.{QKV}"] = state[f"model.inner.{QKV}"].to(dtype)
        state[f"model.inner.{QKV}"][-1, -1] = value

    assert refusal_of(change) == f"the tensor {QKV} holds NaN or infinity"


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float8_e4m3fn])
def test_another_type_is_named(refusal_of: Callable[..., str], dtype: torch.dtype) -> None:
    why = refusal_of(lambda state: state.update({"model.inner.H_init": torch.zeros(8, dtype=dtype)}))
    assert f"H_init is of type {dtype}" in why


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(24, 8).to_sparse(), torch.zeros(1, 1).expand(24, 8), torch.zeros(24, 8, device="meta")],
    ids=["sparse", "expanded", "meta"],
)
def test_a_tensor_without_plain_values_is_named(refusal_of: Callable[..., str], tensor: torch.Tensor) -> None:
    assert f"{QKV} is not stored densely" in refusal_of(lambda state: state.update({f"model.inner.{QKV}": tensor}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", 6), ("seq_len", 7), ("num_puzzle_identifiers", 4), ("hidden_size", 16), ("H_layers", 2),
        ("L_layers", 10**12), ("puzzle_emb_ndim", 0), ("pos_encodings", "rope"),
    ],
)  # fmt: skip
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    refusal_of: Callable[..., str], name: str, value: Any
) -> None:
    assert refusal_of(lambda state: None, **{name: value}).startswith(f"{name} is {value!r} by the configuration, ")
