"""A small artefact for the tests of the store, and what is checked of any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hrm.files import sha256_file
from hrm_trt.pipeline.store import MANIFEST, Step

if TYPE_CHECKING:
    from pathlib import Path

STEP = Step("build", "an engine", inputs={"graph": "ab", "threads": 2}, code=("hrm.files",), libraries=("numpy",))


def write(home: Path) -> Any:
    """Two files, one of them in a folder, and a value."""
    (home / "engine.onnx").write_bytes(b"engine" * 1000)
    (home / "folder").mkdir()
    (home / "folder/table.npy").write_bytes(b"table")
    return {"rows": [1, 2.5, None]}


def refuse(home: Path) -> Any:
    """The work of a test in which none must be done."""
    raise AssertionError("this work must not be done again")


def files(root: Path) -> dict[str, bytes]:
    """Every file below ``root``."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_whole(home: Path) -> None:
    """The artefact at ``home`` holds what its manifest says, and nothing else."""
    stored = json.loads((home / MANIFEST).read_bytes())["files"]
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert found == {MANIFEST, *stored}
    for name, record in stored.items():
        assert (home / name).stat().st_size == record["bytes"]
        assert sha256_file(home / name) == record["sha256"]


def assert_nothing_but_locks(root: Path) -> None:
    """The store at ``root`` holds no file of an artefact, whole or not."""
    assert {path.split("/")[0] for path in files(root)} <= {"locks"}
    assert not any((root / "partial").glob("*"))
