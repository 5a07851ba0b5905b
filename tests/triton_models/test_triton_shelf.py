"""What a publisher that is killed leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from tiny_bundles import tiny_bundle

from hrm.files import sha256_files
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publish import publish
from triton_models.repository import SCRATCH, current_version

if TYPE_CHECKING:
    from pathlib import Path

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile"}


def publish_killed_at(step: int, bundles: list[Path], repository: Path, *, hidden: bool) -> bool:
    """Publish in a child that kills itself before the ``step``-th change to the file system; whether it did.

    Changes in the scratch directory, which no server sees, count only if ``hidden``.
    """
    child = os.fork()
    if child == 0:
        _kill_at(step, hidden=hidden)
        publish(bundles, repository, "tiny", keep=1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _kill_at(step: int, *, hidden: bool) -> None:
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        unseen = event != "os.rename" and f"/{SCRATCH}/" in str(arguments[0])
        if (event in _CHANGES or writes) and (hidden or not unseen):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def loadable(repository: Path) -> dict[str, str] | None:
    """What answers once a server has started: the solver that it loads and the engines that this one calls.

    By model, the digest of its files; None where there is no solver to load.
    """
    version = current_version(repository, "tiny")
    if version is None:
        return None
    settings = json.loads((repository / "tiny" / str(version) / "settings.json").read_text())
    assert settings["version"] == version
    for model in settings["models"].values():
        config = parse_config((repository / model / "config.pbtxt").read_text())
        assert version in config.version_policy.specific.versions, f"{model} is not served in version {version}"
    called = ("tiny", *settings["models"].values())
    return {model: contents(repository / model / str(version)) for model in called}


def contents(directory: Path) -> str:
    """Digest of the files that matter to a server; manifests carry the time of their publication."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    return sha256_files(files, directory)


def listing(repository: Path) -> list[str]:
    return sorted(str(path.relative_to(repository)) for path in repository.rglob("*"))


@pytest.fixture
def two_releases(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    old = [tiny_bundle(tmp_path / "old", "segment"), tiny_bundle(tmp_path / "old2", "planner-executor")]
    return old, [tiny_bundle(tmp_path / "new", "segment", seed=1)]


FIRST = "first publication"
DROPPING = "replacing a version and dropping models"
OTHER_LIMIT = "replacing a version that cannot be served beside the new one"


@pytest.mark.parametrize("scenario", [FIRST, DROPPING, OTHER_LIMIT])
def test_a_killed_publisher_leaves_nothing_half_done_and_the_next_one_ends_its_work(
    scenario: str, two_releases: tuple[list[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a kill loses nothing that was written
    code = {"model.py": b"# what Triton starts", "engines/slots.py": b"# what it imports"}  # the rest is written alike
    monkeypatch.setattr("triton_models.planning.solver_code", lambda: code)
    old, new = two_releases
    before, expected = tmp_path / "before", tmp_path / "expected"
    if scenario == OTHER_LIMIT:
        old, new = new, [tiny_bundle(tmp_path / "larger", "segment", seed=2, max_batch=8)]
    if scenario != FIRST:
        publish(old, before, "tiny", keep=1)
        shutil.copytree(before, expected)
    publish(new, expected, "tiny", keep=1)
    whole_after = loadable(expected)
    # Without a solver nothing is answered, and nothing wrongly: until the first commit, and while engines that cannot
    # be served beside the old ones take their place.
    allowed = [loadable(before), whole_after] + [None] * (scenario == OTHER_LIMIT)

    step = 0
    killed = True
    while killed:
        step += 1
        repository = tmp_path / f"killed-{step}"
        if before.exists():
            shutil.copytree(before, repository)
        killed = publish_killed_at(step, new, repository, hidden=scenario == FIRST)
        assert loadable(repository) in allowed, step
        published = publish(new, repository, "tiny", keep=1)
        assert published.version == (1 if scenario == FIRST else 2)
        assert loadable(repository) == whole_after, step
        assert listing(repository) == listing(expected), step
        assert preflight(repository) == ()
        shutil.rmtree(repository)
    assert step > 20


def test_a_version_that_some_models_lack_is_published_anew(repository: Path, tmp_path: Path) -> None:
    new = tiny_bundle(tmp_path / "new", seed=1)
    publish([new], repository, "tiny", keep=2)
    shutil.rmtree(repository / "tiny_segment/2")
    assert publish([new], repository, "tiny", keep=2).version == 2
    assert preflight(repository) == ()
