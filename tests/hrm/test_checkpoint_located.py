from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hrm.checkpoint import Located, locate
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def make(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text(name)
    return directory


def test_finding_a_checkpoint_needs_no_torch(sample_dir: Path) -> None:
    code = (
        "import sys; from hrm.checkpoint import locate; locate(sys.argv[1]).digest();"
        "print(sys.modules.keys() & {'torch', 'huggingface_hub', 'safetensors', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", code, sample_dir], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_highest_step_is_taken(tmp_path: Path) -> None:
    make(tmp_path, "all_config.yaml", "step_9", "step_100", "step_20", "step_x", "checkpoint", "model.safetensors")
    make(tmp_path / "step_1000")
    found = locate(tmp_path)
    assert found == Located(str(tmp_path), tmp_path / "step_100", tmp_path / "all_config.yaml", None)
    assert found.name == tmp_path.name


def test_a_checkpoint_as_it_lies_on_the_hub_is_found(tmp_path: Path) -> None:
    make(tmp_path, "all_config.yaml", "checkpoint", "model.safetensors")
    assert locate(tmp_path).weights.name == "checkpoint"


def test_a_file_in_a_directory_is_that_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, "all_config.yaml", "step_9", "step_100")
    assert locate(str(tmp_path / "step_9")).weights == tmp_path / "step_9"


def test_safetensors_need_no_configuration(tmp_path: Path) -> None:
    make(tmp_path, "model.safetensors", "sudoku.safetensors")
    in_directory, file = locate(tmp_path), locate(tmp_path / "sudoku.safetensors")
    assert (in_directory.weights, in_directory.config) == (tmp_path / "model.safetensors", None)
    assert (in_directory.name, file.name) == (tmp_path.name, "sudoku")


def test_the_working_directory_has_a_name(sample_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sample_dir)
    assert locate(".").name == "sudoku-4x4"


def test_the_digest_is_of_contents_not_of_places(sample_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(sample_dir / "all_config.yaml", copy)
    shutil.copy(sample_dir / "step_3750", copy / "checkpoint")
    digest = locate(sample_dir).digest()
    assert locate(copy).digest() == digest
    with (copy / "all_config.yaml").open("a") as file:
        file.write("# a comment\n")
    assert locate(copy).digest() != digest


@pytest.mark.parametrize("given", ["nowhere", "empty", "notes", "a" * 300, "without_config/step_1"])
def test_what_is_no_checkpoint_is_refused_with_a_hint(tmp_path: Path, given: str) -> None:
    make(tmp_path / "empty")
    make(tmp_path / "notes", "README.md", "step_")
    make(tmp_path / "without_config", "step_1")
    with pytest.raises(CheckpointError) as caught:
        locate(tmp_path / given)
    assert given in caught.value.what
    assert "all_config.yaml" in caught.value.hint
