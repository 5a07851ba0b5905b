from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from artefacts import STEP, assert_whole, write

from hrm.errors import UnwritableError
from hrm_trt.pipeline.store import MANIFEST, Step, Store
from hrm_trt.pipeline.workdir import Workdir


def test_a_name_always_leads_to_a_whole_artefact(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    artefacts = [Store(tmp_path).make(Step("bundle", "", {"number": number}, ()), write).path for number in range(2)]
    place = workdir.bundle("demo")
    workdir.point(place, artefacts[0])
    done, seen, faults = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                seen.add(place.resolve(strict=True))
                json.loads((place / MANIFEST).read_bytes())
            except (OSError, ValueError) as error:
                faults.append(error)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(read)
        for turn in range(500):
            workdir.point(place, artefacts[turn % 2])
        done.set()
    assert faults == []
    assert seen == set(artefacts)
    assert [path.name for path in place.parent.iterdir()] == ["demo"]
    assert workdir.bundles() == ("demo",)


def test_what_a_killed_build_had_begun_to_name_is_no_bundle(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    workdir.point(workdir.bundle("demo"), Store(tmp_path).make(STEP, write).path)
    (tmp_path / "bundles/.demo.4711").symlink_to("../artefacts/build/nowhere")
    assert workdir.bundles() == ("demo",)


def test_names_survive_a_move_of_the_work_directory(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path / "here")
    (tmp_path / "data").mkdir()
    workdir.point(workdir.bundle("demo"), Store(workdir.root).make(STEP, write).path)
    workdir.point(workdir.dataset("ab"), tmp_path / "data")
    (tmp_path / "deep/down").mkdir(parents=True)
    workdir.root.rename(tmp_path / "deep/down/there")
    moved = Workdir(tmp_path / "deep/down/there")
    assert_whole(moved.bundle("demo"))
    assert moved.dataset("ab").resolve() == (tmp_path / "data").resolve()


def test_a_name_leads_out_of_a_work_directory_below_a_symbolic_link(tmp_path: Path) -> None:
    for directory in ("disk/deep/down", "data"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/deep/down")
    workdir = Workdir(tmp_path / "link")
    workdir.point(workdir.dataset("ab"), tmp_path / "data")
    workdir.point(workdir.bundle("demo"), Store(workdir.root).make(STEP, write).path)
    assert workdir.dataset("ab").resolve() == (tmp_path / "data").resolve()
    assert_whole(workdir.bundle("demo"))
    assert workdir.bundle("demo").readlink() == Path("../artefacts/build") / STEP.key


def test_a_name_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    artefact = Store(tmp_path).make(STEP, write)
    (tmp_path / "bundles").write_text("not a directory")
    with pytest.raises(UnwritableError, match="bundles/demo"):
        Workdir(tmp_path).point(Workdir(tmp_path).bundle("demo"), artefact.path)
