from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from artefacts import STEP, assert_nothing_but_locks, assert_whole, files, refuse, write

from hrm.errors import StorageError, UnwritableError
from hrm_trt.pipeline import store as module
from hrm_trt.pipeline.events import Event, Finished, Started
from hrm_trt.pipeline.store import MANIFEST, Step, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_an_artefact_is_made_once_and_found_again(tmp_path: Path) -> None:
    events: list[Event] = []
    made = Store(tmp_path, events.append).make(STEP, write)
    found = Store(tmp_path, events.append).make(STEP, refuse)
    assert (made.cached, found.cached) == (False, True)
    assert (found.path, found.manifest, found.digest) == (made.path, made.manifest, made.digest)
    assert events[0] == Started("build", "an engine")
    assert [(type(event), getattr(event, "cached", None)) for event in events[1:]] == [
        (Finished, False),
        (Finished, True),
    ]


def test_its_manifest_says_what_it_is_and_what_it_came_from(tmp_path: Path) -> None:
    made = Store(tmp_path).make(STEP, write)
    assert made.path == tmp_path / "artefacts/build" / STEP.key
    assert_whole(made.path)
    assert made.value == {"rows": [1, 2.5, None]}
    manifest = json.loads((made.path / MANIFEST).read_bytes())
    assert manifest["inputs"] == {"graph": "ab", "threads": 2}
    assert manifest["libraries"] == {"numpy": module.version("numpy")}
    assert set(manifest["files"]) == {"engine.onnx", "folder/table.npy"}
    assert manifest["seconds"] > 0


def test_its_digest_is_that_of_the_content_alone(tmp_path: Path) -> None:
    other = Step("build", "the same content", inputs={"graph": "cd"}, code=())
    first, second = Store(tmp_path).make(STEP, write), Store(tmp_path).make(other, write)
    assert first.path != second.path
    assert first.digest == second.digest


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "export"},
        {"inputs": {"graph": "ab", "threads": 3}},
        {"inputs": {"graph": "ab"}},
        {"code": ("hrm.files", "hrm.errors")},
        {"libraries": ("numpy", "scipy")},
    ],
)
def test_whatever_an_artefact_depends_on_is_in_its_key(change: dict[str, Any]) -> None:
    given = {name: getattr(STEP, name) for name in ("stage", "subject", "inputs", "code", "libraries")}
    assert Step(**given).key == STEP.key
    assert Step(**given | change).key != STEP.key


def test_what_it_is_called_is_not(tmp_path: Path) -> None:
    assert Step("build", "another name", STEP.inputs, STEP.code, STEP.libraries).key == STEP.key


def test_another_version_of_a_library_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "version", lambda package: "0.0.1")
    assert Step("build", "an engine", STEP.inputs, STEP.code, STEP.libraries).key != STEP.key


def test_a_library_that_is_not_installed_has_no_version() -> None:
    assert module.version("no-such-package-anywhere") is None


def test_changed_code_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "hrm_trt/pipeline/store.py"))
    digest = module.code_digest.__wrapped__
    package, other = tmp_path / "export", tmp_path / "hrm"
    for folder in (package / "passes", other):
        folder.mkdir(parents=True)
    for file in (package / "graphs.py", package / "passes/rename.py", other / "files.py"):
        file.write_text("x = 1\n")
    seen = [digest(("export", "hrm.files"))]

    def assert_another() -> None:
        seen.append(digest(("export", "hrm.files")))
        assert len(set(seen)) == len(seen)

    (package / "passes/rename.py").write_text("x = 2\n")
    assert_another()
    (other / "files.py").write_text("x = 2\n")
    assert_another()
    (package / "new.py").write_text("")
    assert_another()
    (package / "new.py").rename(package / "renamed.py")
    assert_another()
    (package / "page.html.j2").write_text("a template")
    assert_another()
    (other / "errors.py").write_text("x = 2\n")
    (package / "__pycache__").mkdir()
    for name in ("graphs.cpython-311.pyc", "graphs.cpython-311.pyc.140234"):  # the second is being written
        (package / "__pycache__" / name).write_text("")
    assert digest(("export", "hrm.files")) == seen[-1]


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), KeyboardInterrupt(), StorageError("full", why="", hint="")])
def test_work_that_fails_leaves_nothing(tmp_path: Path, fault: BaseException) -> None:
    def fail(home: Path) -> Any:
        write(home)
        raise fault

    with pytest.raises(type(fault)):
        Store(tmp_path).make(STEP, fail)
    assert_nothing_but_locks(tmp_path)
    assert not Store(tmp_path).make(STEP, write).cached


def truncate(home: Path) -> None:
    file = home / "engine.onnx"
    status = file.stat()
    file.write_bytes(b"engine")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # a failing disk changes no time


def change_a_byte(home: Path) -> None:
    with (home / "engine.onnx").open("r+b") as file:
        file.write(b"E")


def lose_a_file(home: Path) -> None:
    (home / "folder/table.npy").unlink()


def lose_the_manifest(home: Path) -> None:
    (home / MANIFEST).unlink()


def cut_the_manifest(home: Path) -> None:
    (home / MANIFEST).write_bytes((home / MANIFEST).read_bytes()[:-20])


def blank_the_manifest(home: Path) -> None:
    (home / MANIFEST).write_bytes(b"\0" * 100)


def age_the_manifest(home: Path) -> None:
    document = json.loads((home / MANIFEST).read_bytes())
    (home / MANIFEST).write_text(json.dumps(document | {"format_version": 0}))


DAMAGES = [
    truncate,
    change_a_byte,
    lose_a_file,
    lose_the_manifest,
    cut_the_manifest,
    blank_the_manifest,
    age_the_manifest,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artefact_is_noticed_and_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    made = Store(tmp_path).make(STEP, write)
    damage(made.path)
    again = Store(tmp_path).make(STEP, write)
    assert not again.cached
    assert again.digest == made.digest
    assert_whole(again.path)
    assert Store(tmp_path).make(STEP, refuse).cached


def test_an_artefact_with_another_time_and_the_same_bytes_is_whole(tmp_path: Path) -> None:
    made = Store(tmp_path).make(STEP, write)
    os.utime(made.path / "engine.onnx", (0, 0))
    assert Store(tmp_path).make(STEP, refuse).cached


def test_what_a_killed_build_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / "partial" / STEP.key
    left.mkdir(parents=True)
    (left / "engine.onnx").write_bytes(b"half")
    (left / "stray.bin").write_bytes(b"half")
    assert_whole(Store(tmp_path).make(STEP, write).path)
    assert not left.exists()


def test_a_full_disk_leaves_nothing_and_is_exit_4(tmp_path: Path, python: Callable[..., Any]) -> None:
    program = """
import resource, sys
from pathlib import Path
from hrm.errors import StorageError
from hrm_trt.pipeline.store import Step, Store

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    Store(Path(sys.argv[1])).make(Step("build", "", {}, ()), lambda home: (home / "big").write_bytes(bytes(8192)))
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    done = python(program, tmp_path)
    assert done.code == 4, done.err
    assert "File too large" in done.out
    assert "--workdir" in done.out
    assert_nothing_but_locks(tmp_path)


def test_a_full_disk_does_not_cost_what_was_there(tmp_path: Path) -> None:
    made = Store(tmp_path).make(STEP, write)
    truncate(made.path)
    before = files(made.path)

    def fail(home: Path) -> Any:
        raise OSError(28, "No space left on device", str(home / "engine.onnx"))

    with pytest.raises(StorageError, match=r"engine\.onnx"):
        Store(tmp_path).make(STEP, fail)
    assert files(made.path) == before


def test_a_place_that_cannot_be_written_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(UnwritableError, match="file/work") as caught:
        Store(tmp_path / "file/work").make(STEP, refuse)
    assert caught.value.exit_code == 2
    assert (tmp_path / "file").read_text() == "not a directory"
