"""The project's own file keeps everything, byte for byte, and refuses what it did not write."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.checkpoint.native import save
from hrm.errors import CheckpointError, UnwritableError
from hrm.network import HRM, random_network

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.config import HRMConfig

ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load
from hrm.checkpoint.native import save
from hrm.errors import StorageError
checkpoint = load(locate(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    save(checkpoint.config, checkpoint.tensors, Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""


@pytest.fixture
def saved(small_network: HRM, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save(small_network.config, small_network.state_dict(), path)
    return path


def document(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["hrm"])


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(locate(path))
    assert str(path) in caught.value.what
    return caught.value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_everything_comes_back(small_config: HRMConfig, tmp_path: Path, dtype: torch.dtype, positions: str) -> None:
    model = random_network(replace(small_config, pos_encodings=positions, seq_len=9), 2, dtype)
    save(model.config, model.state_dict(), tmp_path / "model.safetensors")
    checkpoint = load(locate(tmp_path))
    assert checkpoint.config == model.config
    state = model.state_dict()
    assert checkpoint.tensors.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network(checkpoint, dtype).state_dict().items())


def test_an_official_checkpoint_can_be_converted(sample_dir: Path, tmp_path: Path) -> None:
    official = load(locate(sample_dir))
    save(official.config, official.tensors, tmp_path / "sudoku.safetensors")
    converted = load(locate(tmp_path / "sudoku.safetensors"))
    assert converted.config == official.config
    assert all(torch.equal(tensor, official.tensors[name]) for name, tensor in converted.tensors.items())


def test_the_same_input_gives_the_same_bytes(small_network: HRM, saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save(small_network.config, dict(reversed(small_network.state_dict().items())), other)
    assert other.read_bytes() == saved.read_bytes()


def test_the_configuration_lies_in_the_metadata(saved: Path, small_config: HRMConfig) -> None:
    assert document(saved) == {"format_version": 1, "config": small_config.to_dict()}


def test_tensors_of_another_model_are_not_saved(small_network: HRM, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match="H_level"):
        save(replace(small_network.config, H_layers=2), small_network.state_dict(), saved)
    assert saved.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(small_network: HRM, saved: Path) -> None:
    with pytest.raises(UnwritableError, match="below"):
        save(small_network.config, small_network.state_dict(), saved / "below.safetensors")


def test_a_full_disk_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    done = subprocess.run([sys.executable, "-c", ON_A_FULL_DISK, saved], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {saved}")
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_refused(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "cut short" in refused(saved).hint


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        (None, "which HRM"),
        ({"format": "pt"}, "which HRM"),
        ({"hrm": "no JSON"}, "which HRM"),
        ({"hrm": "[]"}, "which HRM"),
        ({"hrm": "{}"}, "which HRM"),
        ({"hrm": '{"format_version": 2, "config": {}}'}, "another version"),
        ({"hrm": '{"format_version": 1, "config": []}'}, "another version"),
        ({"hrm": '{"format_version": 1, "config": {}}'}, "architecture"),
        ({"hrm": '{"format_version": 1, "config": {"H_cycles": "two"}}'}, "configuration"),
    ],
)
def test_a_file_that_we_did_not_write_is_refused(
    small_network: HRM, tmp_path: Path, metadata: dict[str, str] | None, what: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_file(small_network.state_dict(), path, metadata=metadata)
    with pytest.raises(CheckpointError, match=what):
        load(locate(path))


def test_a_configuration_of_other_tensors_is_refused(small_network: HRM, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    config = {**small_network.config.to_dict(), "L_layers": 10**12}
    metadata = {"hrm": json.dumps({"format_version": 1, "config": config})}
    save_file(small_network.state_dict(), path, metadata=metadata)
    assert "L_layers is 1000000000000 by the configuration, 2 by the tensors" in refused(path).why
