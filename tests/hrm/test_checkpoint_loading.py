"""Every form in which official checkpoints are found loads to the network that wrote it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.errors import CheckpointError, DatasetError
from hrm.network import HRM, random_network

if TYPE_CHECKING:
    from hrm.config import HRMConfig

Write = Callable[..., Path]


def answers(model: HRM) -> list[torch.Tensor]:
    """Everything two segments compute for three fixed puzzles."""
    inputs = torch.arange(3 * model.config.seq_len).view(3, -1) % model.config.vocab_size
    with torch.inference_mode():
        embeddings = model.encode(inputs, torch.arange(3) % model.config.num_puzzle_identifiers)
        carry, _ = model.segment(model.initial_carry(3), embeddings)
        carry, heads = model.segment(carry, embeddings)
    return [*carry, *heads]


def assert_same(model: HRM, other: HRM) -> None:
    assert other.config == model.config
    assert not other.training
    assert all(torch.equal(a, b) for a, b in zip(answers(model), answers(other), strict=True))


def write_dataset(directory: Path, config: HRMConfig, split: str = "test") -> Path:
    (directory / split).mkdir(parents=True)
    sizes = {"vocab_size": config.vocab_size, "seq_len": config.seq_len}
    document = {
        **sizes, "num_puzzle_identifiers": config.num_puzzle_identifiers, "pad_id": 0, "ignore_label_id": 0,
        "blank_identifier_id": 0, "total_groups": 1, "mean_puzzle_examples": 1, "sets": ["all"],
    }  # fmt: skip
    (directory / split / "dataset.json").write_text(json.dumps(document))
    return directory


@pytest.mark.parametrize("prefix", ["model.inner.", "_orig_mod.model.inner.", "model.inner._orig_mod.", ""])
def test_prefixes_of_training_are_taken_off(small_network: HRM, write_official: Write, prefix: str) -> None:
    directory = write_official(small_network.config, small_network, prefix=prefix)
    assert_same(small_network, network(load(locate(directory))))


@pytest.mark.parametrize(
    "changes",
    [
        {"puzzle_emb_ndim": 0, "num_puzzle_identifiers": 1},
        {"puzzle_emb_ndim": 5},
        {"puzzle_emb_ndim": 19},
        {"H_layers": 3, "L_layers": 1, "H_cycles": 3, "L_cycles": 1},
        {"expansion": 100.0},
        {"rms_norm_eps": 1e-3, "halt_max_steps": 1, "forward_dtype": "float32"},
    ],
    ids=str,
)
@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_any_architecture_loads(
    small_config: HRMConfig, write_official: Write, changes: dict[str, Any], positions: str
) -> None:
    model = random_network(replace(small_config, pos_encodings=positions, **changes), seed=5)
    directory = write_official(model.config, model)
    if positions == "rope":
        write_dataset(directory / "dataset", model.config)
    assert_same(model, network(load(locate(directory))))


def test_bfloat16_tensors_load_as_they_are(small_config: HRMConfig, write_official: Write) -> None:
    model = random_network(small_config, 5, torch.bfloat16)
    checkpoint = load(locate(write_official(model.config, model)))
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.bfloat16}
    assert_same(model, network(checkpoint, torch.bfloat16))
    wide = network(checkpoint)
    assert wide.lm_head.weight.dtype == torch.float32
    assert torch.equal(wide.lm_head.weight, model.lm_head.weight.to(torch.float32))


def test_the_official_mix_of_types_loads(small_network: HRM, write_official: Write) -> None:
    """With forward_dtype bfloat16, official checkpoints hold float32 parameters and a bfloat16 initial carry."""
    state = {f"model.inner.{name}": tensor for name, tensor in small_network.state_dict().items()}
    state["model.inner.H_init"] = state["model.inner.H_init"].to(torch.bfloat16)
    model = network(load(locate(write_official(small_network.config, state))))
    assert model.H_init.dtype == torch.float32
    assert torch.equal(model.H_init, state["model.inner.H_init"].to(torch.float32))


def test_parameters_as_values_load(small_network: HRM, write_official: Write) -> None:
    state = {f"model.inner.{name}": torch.nn.Parameter(value) for name, value in small_network.state_dict().items()}
    assert_same(small_network, network(load(locate(write_official(small_network.config, state)))))


def test_the_bundled_checkpoint_loads_with_the_sizes_of_its_dataset(sample_dir: Path) -> None:
    config = load(locate(sample_dir)).config
    assert (config.vocab_size, config.seq_len, config.num_puzzle_identifiers) == (6, 16, 1)
    assert (config.H_layers, config.L_layers, config.halt_max_steps, config.forward_dtype) == (2, 2, 8, "float32")


@pytest.mark.parametrize("split", ["test", "train"])
def test_the_dataset_that_is_passed_gives_the_length(
    small_config: HRMConfig, write_official: Write, tmp_path: Path, split: str
) -> None:
    model = random_network(replace(small_config, pos_encodings="rope"), 0)
    directory = write_official(model.config, model)
    write_dataset(directory / "dataset", replace(model.config, seq_len=99))
    dataset = write_dataset(tmp_path / "data", model.config, split)
    assert load(locate(directory), dataset).config.seq_len == model.config.seq_len


def test_a_length_in_the_configuration_needs_no_dataset(small_config: HRMConfig, write_official: Write) -> None:
    model = random_network(replace(small_config, pos_encodings="rope"), 0)
    directory = write_official(model.config, model, seq_len=model.config.seq_len)
    assert_same(model, network(load(locate(directory))))


def test_without_a_dataset_the_error_asks_for_it(sample_dir: Path, tmp_path: Path) -> None:
    for name in ("all_config.yaml", "step_3750"):
        shutil.copy(sample_dir / name, tmp_path)
    with pytest.raises(CheckpointError, match="sequence length") as caught:
        load(locate(tmp_path))
    assert "--dataset" in caught.value.hint


def test_a_dataset_of_another_vocabulary_is_refused(
    small_config: HRMConfig, write_official: Write, tmp_path: Path
) -> None:
    model = random_network(replace(small_config, pos_encodings="rope"), 0)
    directory = write_official(model.config, model)
    dataset = write_dataset(tmp_path / "data", replace(model.config, vocab_size=12))
    with pytest.raises(DatasetError, match="12"):
        load(locate(directory), dataset)


def test_loading_maps_the_file_instead_of_reading_it(small_config: HRMConfig, write_official: Write) -> None:
    """The puzzle table of ARC takes 2.1 GiB: nothing may copy it."""
    config = replace(small_config, num_puzzle_identifiers=1 << 18, puzzle_emb_ndim=64)
    model = random_network(config, 0)
    directory = write_official(config, model)
    before = anonymous_bytes()
    checkpoint = load(locate(directory))
    shared = network(checkpoint)
    table = checkpoint.tensors["puzzle_emb.weights"]
    assert shared.puzzle_emb is not None
    assert shared.puzzle_emb.weights.data_ptr() == table.data_ptr()
    assert anonymous_bytes() - before < math.prod(table.shape) * 4 / 4


def anonymous_bytes() -> int:
    """This process's memory that no file backs."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024
