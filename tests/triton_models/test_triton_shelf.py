"""What a publisher that is killed leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from tiny_bundles import tiny_bundle

from hrm.files import sha256_file
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publish import publish

if TYPE_CHECKING:
    from pathlib import Path

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.copyfile"}


def publish_killed_at(step: int, bundles: list[Path], repository: Path) -> bool:
    """Publish in a child that kills itself before the ``step``-th change to the file system; whether it did."""
    child = os.fork()
    if child == 0:
        _kill_at(step)
        publish(bundles, repository, "tiny", keep=1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _kill_at(step: int) -> None:
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in _CHANGES or writes:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def loadable(repository: Path) -> dict[str, list[str]]:
    """What a server would load: per configured model, the digests of the versions that it serves."""
    found = {}
    for path in repository.glob("*/config.pbtxt"):
        versions = parse_config(path.read_text()).version_policy.specific.versions
        found[path.parent.name] = [sha256_file(path.parent / str(number) / "model.onnx") for number in versions]
    return found


def listing(repository: Path) -> list[str]:
    return sorted(str(path.relative_to(repository)) for path in repository.rglob("*"))


@pytest.fixture
def two_releases(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    old = [tiny_bundle(tmp_path / "old", "segment"), tiny_bundle(tmp_path / "old2", "planner-executor")]
    return old, [tiny_bundle(tmp_path / "new", "segment", seed=1)]


@pytest.mark.parametrize("scenario", ["first publication", "replacing a version and dropping models"])
def test_a_killed_publisher_leaves_nothing_half_done_and_the_next_one_ends_its_work(
    scenario: str, two_releases: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    old, new = two_releases
    before, expected = tmp_path / "before", tmp_path / "expected"
    if scenario == "first publication":
        new = old
    else:
        publish(old, before, "tiny", keep=1)
        shutil.copytree(before, expected)
    publish(new, expected, "tiny", keep=1)
    whole_before, whole_after = loadable(before), loadable(expected)

    step = 0
    killed = True
    while killed:
        step += 1
        repository = tmp_path / f"killed-{step}"
        if before.exists():
            shutil.copytree(before, repository)
        killed = publish_killed_at(step, new, repository)
        for model, digests in loadable(repository).items():
            assert digests in (whole_before.get(model), whole_after.get(model)), (step, model)
        published = publish(new, repository, "tiny", keep=1)
        assert published.version == (1 if scenario == "first publication" else 2)
        assert loadable(repository) == whole_after, step
        assert listing(repository) == listing(expected), step
        assert preflight(repository) == ()
        shutil.rmtree(repository)
    assert step > 30


def test_a_version_that_some_models_lack_is_published_anew(repository: Path, tmp_path: Path) -> None:
    new = tiny_bundle(tmp_path / "new", seed=1)
    publish([new], repository, "tiny", keep=2)
    shutil.rmtree(repository / "tiny_segment/2")
    assert publish([new], repository, "tiny", keep=2).version == 2
    assert preflight(repository) == ()
