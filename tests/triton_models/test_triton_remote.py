"""Repositories in a store: what a server may find there at any moment, and what a publisher may leave behind.

The store is fsspec's ``memory://``; test_triton_remote_s3.py has a real one.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from memory_store import URL, Killed, Memory, empty_memory, publishing
from test_triton_shelf import DROPPING, FIRST, OTHER_LIMIT, contents, listing, loadable
from tiny_bundles import tiny_bundle
from tiny_graphs import HIDDEN, PUZZLES

from hrm.errors import MissingError, RepositoryError, StorageError, UsageError
from triton_models import planning
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publish import publish
from triton_models.remote.names import UNFINISHED
from triton_models.remote.place import check_destination, reading, working
from triton_models.repository import LOCK, MANIFEST, MARKER, current_version, damaged, list_published
from triton_models.rollback import going_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from triton_models.publication import Publication


@pytest.fixture
def memory() -> Iterator[Memory]:
    with empty_memory() as found:
        yield found


@pytest.fixture
def little_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver of two files, where each file is a step."""
    monkeypatch.setattr(planning, "solver_code", lambda: {"model.py": b"", "engines/act.py": b"act = 1\n"})


def shown(work: Publication) -> str:
    return f"{work.version.name} {work.version.version}"


def test_a_store_gets_the_files_that_a_directory_gets(memory: Memory, both: list[Path], tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    for repository in (expected, URL):
        published = publish(both, repository, "tiny", keep=2)
        assert (published.version, published.new, str(published.repository)) == (1, True, str(repository))
    found = memory.copy(tmp_path / "found")
    (expected / LOCK).unlink()
    assert listing(found) == listing(expected)
    assert contents(found) == contents(expected)
    assert preflight(found) == ()


def test_what_is_published_already_is_not_published_again(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=2)
    before = memory.files()
    again = publish([segment], URL, "tiny", keep=2)
    assert (again.version, again.new) == (1, False)
    assert memory.files() == before


def test_an_engine_that_was_changed_in_the_store_is_published_anew(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=2)
    model = memory.files()["tiny_segment/1/model.onnx"]
    memory.write("tiny_segment/1/model.onnx", bytes(len(model)))
    with pytest.raises(RepositoryError) as refused, at(1):
        pass
    assert "model.onnx is not the file that was published" in refused.value.why
    assert URL in refused.value.why
    assert publish([segment], URL, "tiny", keep=2).version == 2


def at(version: int | None) -> Any:
    return working(URL, lambda place, verify: going_back(place, "tiny", version, verify))


def test_a_damaged_list_of_what_is_unfinished_is_not_guessed_at(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=2)
    memory.write(UNFINISHED, b"half of")
    with pytest.raises(RepositoryError, match=f"{URL} cannot be worked on"):
        publish([segment], URL, "tiny", keep=2)


def test_versions_come_and_go_and_a_kept_one_comes_back(memory: Memory, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        assert publish([tiny_bundle(tmp_path / str(number), seed=number)], URL, "tiny", keep=2).version == number
    assert not [name for name in memory.files() if "/1/" in name]
    with at(None) as work:
        assert shown(work) == "tiny 2"
        work.commit()
    with reading(URL) as place:
        assert current_version(place, "tiny") == 2
    with reading(URL, everything=True) as place:
        assert preflight(place) == ()


def test_a_roll_out_that_fails_is_undone(memory: Memory, tmp_path: Path) -> None:
    publish([tiny_bundle(tmp_path / "old")], URL, "tiny", keep=1)
    before = memory.files()
    with publishing(tiny_bundle(tmp_path / "new", seed=1)) as work:
        assert set(memory.files()) > set(before)
        work.commit()
        work.abandon()
    assert memory.files() == before


@pytest.mark.usefixtures("little_code")
@pytest.mark.parametrize("scenario", [FIRST, DROPPING, OTHER_LIMIT])
def test_a_killed_publisher_leaves_nothing_half_done_and_the_next_one_ends_its_work(
    memory: Memory, scenario: str, tmp_path: Path
) -> None:
    old = [tiny_bundle(tmp_path / "old"), tiny_bundle(tmp_path / "old2", "planner-executor")]
    new = [tiny_bundle(tmp_path / "new", seed=1)]
    if scenario == OTHER_LIMIT:
        old, new = new, [tiny_bundle(tmp_path / "larger", seed=2, max_batch=8)]
    if scenario == FIRST:
        new = old
    else:
        publish(old, URL, "tiny", keep=1)
    before, whole_before = memory.files(), loadable(memory.copy(tmp_path / "before"))
    publish(new, URL, "tiny", keep=1)
    expected = memory.copy(tmp_path / "expected")
    whole_after = loadable(expected)
    allowed = [whole_before, whole_after] + [None] * (scenario == OTHER_LIMIT)

    killed, steps = True, 0
    while killed:
        memory.set(before)
        memory.left = steps
        try:
            publish(new, URL, "tiny", keep=1)
            killed = False
        except Killed:
            steps += 1
        memory.left = float("inf")
        found = memory.copy(tmp_path / f"{steps}")
        assert loadable(found) in allowed, memory.changes[-1]
        assert_whole()
        if LOCK in memory.files():
            memory.remove(LOCK)  # as time does; see the lock's own tests
        assert publish(new, URL, "tiny", keep=1).version == (1 if scenario == FIRST else 2)
        after = memory.copy(tmp_path / f"{steps}-after")
        assert loadable(after) == whole_after, memory.changes[-1]
        assert listing(after) == listing(expected), memory.changes[-1]
        shutil.rmtree(found)
        shutil.rmtree(after)
    assert steps > 20
    assert preflight(expected) == ()


def assert_whole() -> None:
    """Whatever a configuration names is there, and what counts as a version has all of its files."""
    with reading(URL, everything=True) as place:
        for config in place.glob("*/config.pbtxt"):
            for version in parse_config(config.read_text()).version_policy.specific.versions:
                assert (config.parent / str(version) / MANIFEST).is_file(), f"{config.parent.name} {version}"
        for version in list_published(place) if (place / MARKER).exists() else ():
            assert not list(damaged(place, version.files))


@pytest.mark.usefixtures("little_code")
@pytest.mark.parametrize("limit", [4, 8], ids=["beside the old version", "in place of it"])
def test_a_publisher_that_is_killed_while_it_undoes_a_roll_out_leaves_one_whole_version(
    memory: Memory, limit: int, tmp_path: Path
) -> None:
    publish([tiny_bundle(tmp_path / "old")], URL, "tiny", keep=1)
    before, old = memory.files(), loadable(memory.copy(tmp_path / "before"))
    bundle = tiny_bundle(tmp_path / "new", seed=1, max_batch=limit)
    steps, killed = 0, True
    while killed:
        memory.set(before)
        memory.left = float("inf")
        with contextlib.suppress(Killed), publishing(bundle) as work:
            work.commit()
            new = loadable(memory.copy(tmp_path / f"{steps}-new"))
            memory.left = steps
            work.abandon()
        killed = memory.left == 0
        found = memory.copy(tmp_path / f"{steps}")
        assert loadable(found) in [old, new] + [None] * (limit != 4), memory.changes[-1]
        assert_whole()
        steps += 1
    assert memory.files() == before
    assert steps > 10


@pytest.mark.usefixtures("little_code")
def test_nothing_of_a_version_that_was_never_whole_is_left_in_the_next_of_its_number(
    memory: Memory, segment: Path, tmp_path: Path
) -> None:
    publish([segment], URL, "tiny", keep=1)
    expected = sorted(memory.files())
    memory.set({})
    table = np.zeros((PUZZLES, HIDDEN), np.float32)
    memory.left = memory.changes.index("put_file tiny/1/manifest.json") + 2  # with its table
    with pytest.raises(Killed):
        publish([tiny_bundle(tmp_path / "table", puzzle_table=table)], URL, "tiny", keep=1)
    memory.left = float("inf")
    assert {"tiny/1/puzzle_table.npy", "tiny/1/manifest.json"} <= set(memory.files())
    assert "tiny_encoder/1/manifest.json" not in memory.files()
    memory.remove(LOCK)
    assert publish([segment], URL, "tiny", keep=1).version == 1
    assert sorted(memory.files()) == expected


def test_manifests_come_after_their_version_and_the_solvers_configuration_last(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=1)
    order = [change.split()[1] for change in memory.changes if change.startswith("put_file")]
    manifests = [index for index, name in enumerate(order) if name.endswith("manifest.json")]
    configs = [index for index, name in enumerate(order) if name.endswith("config.pbtxt")]
    assert max(order.index(name) for name in order if "model.onnx" in name or "engines/" in name) < min(manifests)
    assert max(manifests) < min(configs)
    assert order[-1] == "tiny/config.pbtxt"


@pytest.mark.parametrize("damaged", ["tiny_segment/1/model.onnx", "tiny/config.pbtxt"])
def test_what_does_not_arrive_whole_is_not_committed(memory: Memory, segment: Path, damaged: str) -> None:
    memory.damage = damaged
    with pytest.raises(StorageError, match=f"{URL}/{damaged} did not arrive whole"):
        publish([segment], URL, "tiny", keep=1)
    memory.damage = None
    assert publish([segment], URL, "tiny", keep=1).version == 1


def test_what_others_have_put_there_is_left_alone(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=1)
    strangers = {"other/config.pbtxt": b"x", "other/1/model.onnx": b"y", "README": b"z", "tiny/notes.txt": b"n"}
    for name, content in strangers.items():
        memory.write(name, content)
    publish([segment], URL, "second", keep=1)
    publish([segment], URL, "tiny", keep=1, slots=2)
    assert strangers.items() <= memory.files().items()
    memory.write("other_encoder/config.pbtxt", b"x")
    before = memory.files()
    with pytest.raises(RepositoryError, match=f"{URL}/other_encoder is not a model of the set"):
        publish([segment], URL, "other", keep=1)
    assert memory.files() == before


def test_a_place_with_something_else_is_refused(memory: Memory, segment: Path) -> None:
    memory.write("something/else", b"")
    for refused in (lambda: publish([segment], URL, "tiny", keep=1), lambda: check_destination(URL, "tiny")):
        with pytest.raises(RepositoryError, match=f"{URL} is not a model repository of hrm-trt") as error:
            refused()
        assert "it holds something and no hrm-trt.json" in error.value.why
    assert memory.files() == {"something/else": b""}
    check_destination("memory://bucket/empty", "tiny")


def test_a_version_without_manifest_that_no_publisher_was_at_is_somebody_elses(memory: Memory, segment: Path) -> None:
    publish([segment], URL, "tiny", keep=1)
    memory.write("tiny/7/model.py", b"mine")
    with pytest.raises(RepositoryError, match=f"{URL}/tiny/7 is not a version that hrm-trt published"):
        publish([segment], URL, "tiny", keep=1)
    assert memory.files()["tiny/7/model.py"] == b"mine"


def test_file_urls_are_directories(segment: Path, tmp_path: Path) -> None:
    publish([segment], f"file://{tmp_path}/models", "tiny", keep=1)
    assert current_version(tmp_path / "models", "tiny") == 1
    with reading(f"file://{tmp_path}/models") as place:
        assert place == tmp_path / "models"


def test_urls_that_nothing_here_reaches(segment: Path) -> None:
    with pytest.raises(UsageError, match="is not the URL of a store"):
        publish([segment], "ftpx://bucket/models", "tiny", keep=1)
    with pytest.raises(MissingError, match="needs a package that is not installed"):
        publish([segment], "gs://bucket/models", "tiny", keep=1)
