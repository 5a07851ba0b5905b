from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hrm.errors import UnwritableError
from hrm.files import atomic_path, sha256_bytes, sha256_file, sha256_files, sha256_json, write_bytes, write_json

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTED = """
import sys, time
from pathlib import Path
from hrm.files import atomic_path
with atomic_path(Path(sys.argv[1])) as scratch:
    scratch.write_text("half of the new")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "file"
    write_bytes(path, b"old")
    with atomic_path(path) as scratch:
        scratch.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_stays_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail() -> None:
        with atomic_path(path) as scratch:
            scratch.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"


def test_a_new_file_gets_the_permissions_of_any_other(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.touch()
    write_bytes(atomic, b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError, match="file/below"):
        write_bytes(tmp_path / "file" / "below", b"")


def test_digests_are_sha256(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    (tmp_path / "file").write_bytes(data)
    assert sha256_file(tmp_path / "file") == sha256_bytes(data) == hashlib.sha256(data).hexdigest()


def test_the_digest_of_json_does_not_depend_on_the_order_of_keys() -> None:
    assert sha256_json({"a": 1, "b": [2]}) == sha256_json({"b": [2], "a": 1}) != sha256_json({"a": 1, "b": 2})


def test_the_digest_of_files_is_of_names_and_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "a/one", tmp_path / "a/two"
    write_json(one, {"x": 1})
    write_json(two, {"x": 2})
    digest = sha256_files([one, two], tmp_path)
    assert sha256_files([two, one], tmp_path) == digest
    assert sha256_files([one, two], tmp_path / "a") != digest
    one.write_bytes(two.read_bytes())
    assert sha256_files([one, two], tmp_path) != digest
