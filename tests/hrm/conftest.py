from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from hrm.config import HRMConfig
from hrm.network import HRM, random_network

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
torch.set_num_threads(1)  # small matrices on busy cores: threads would wait for each other
SIZES_OF_THE_DATASET = ("vocab_size", "seq_len", "num_puzzle_identifiers")


@pytest.fixture
def sample_dir() -> Path:
    """The bundled official checkpoint, with its data set in ``dataset``."""
    return ROOT / "checkpoints/sudoku-4x4"


@pytest.fixture
def golden_dir() -> Path:
    """What the official code computed with the bundled checkpoint."""
    return ROOT / "tests/data/official-sudoku4"


@pytest.fixture
def small_config() -> HRMConfig:
    """An HRM small enough to write a hundred times; learned positions, so that no data set is needed."""
    return HRMConfig(
        vocab_size=5,
        seq_len=6,
        num_puzzle_identifiers=3,
        hidden_size=8,
        num_heads=2,
        H_layers=1,
        L_layers=2,
        H_cycles=1,
        L_cycles=2,
        halt_max_steps=2,
        puzzle_emb_ndim=8,
        pos_encodings="learned",
    )


@pytest.fixture
def small_network(small_config: HRMConfig) -> HRM:
    model = random_network(small_config, seed=0)
    assert model.puzzle_emb is not None
    torch.nn.init.normal_(model.puzzle_emb.weights, generator=torch.Generator().manual_seed(1))
    return model


@pytest.fixture
def write_official(tmp_path: Path) -> Callable[..., Path]:
    """Writes a network, or any state, as the official training code would; returns the directory."""

    def write(config: HRMConfig, state: Any, name: str = "step_10", prefix: str = "model.inner.", **arch: Any) -> Path:
        if isinstance(state, HRM):
            state = {prefix + key: tensor for key, tensor in state.state_dict().items()}
        torch.save(state, tmp_path / name)
        given = {key: value for key, value in config.to_dict().items() if key not in SIZES_OF_THE_DATASET}
        document = {"arch": {"name": "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1", **given, **arch}, "lr": 0.001}
        (tmp_path / "all_config.yaml").write_text(yaml.safe_dump(document))
        return tmp_path

    return write
