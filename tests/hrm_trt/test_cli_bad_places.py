from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from traps import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUNDLE = "sudoku-4x4-cpu-fp32"


def test_a_work_directory_below_a_file_is_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    cli("build", "--workdir", "file/work").assert_refused(2, "cannot write", "file/work")
    assert (tmp_path / "file").read_text() == "somebody's"


ON_A_SMALL_DISK = """
import resource, sys
from hrm_trt.cli.edge import run

size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
sys.exit(run(sys.argv[2:]))
"""


def test_a_disk_that_is_full_when_the_checkpoint_is_read_is_exit_4(
    python: Callable[..., Any], command: Callable[..., Any], copy_demo: Callable[..., Path]
) -> None:
    workdir = copy_demo("load")
    before = snapshot(workdir)
    full = python(ON_A_SMALL_DISK, 500_000, "build", "--workdir", workdir)
    full.assert_refused(4, "cannot write", "File too large", "--workdir")
    assert snapshot(workdir) == before
    assert not any((workdir / "partial").iterdir())
    assert command("build", "--workdir", workdir).code == 0


def test_a_disk_that_is_full_when_engines_are_built_is_exit_4(
    python: Callable[..., Any], command: Callable[..., Any], copy_demo: Callable[..., Path]
) -> None:
    workdir = copy_demo("build")
    full = python(ON_A_SMALL_DISK, 500_000, "build", "--workdir", workdir)
    full.assert_refused(4, "cannot write", "segment.onnx", "--workdir")
    assert not any((workdir / "partial").iterdir())
    assert command("build", "--workdir", workdir).code == 0


@pytest.mark.parametrize("line", ["solve --example 0 --png out", "evaluate --limit 4 --save-outputs out"])
def test_a_disk_that_is_full_does_not_cost_an_older_file(
    python: Callable[..., Any], demo: Path, tmp_path: Path, line: str
) -> None:
    (tmp_path / "out").write_text("what was there")
    full = python(ON_A_SMALL_DISK, 1000, *line.split(), "--workdir", demo)
    full.assert_refused(4, "cannot write out", "File too large")
    assert (tmp_path / "out").read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_directory_that_holds_something_else_is_not_published_to(
    cli: Callable[..., Any], copy_demo: Callable[..., Path], tmp_path: Path
) -> None:
    workdir = copy_demo()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("somebody's")
    publish = ("publish", BUNDLE, "--repository", "photos")
    for line in (("build", "--publish", "photos"), publish, (*publish, "--allow-ungated")):
        cli(*line, "--workdir", workdir).assert_refused(2, "photos is not a model repository", "cat.jpg")
        assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_what_was_never_gated_is_published_only_when_asked_for(
    cli: Callable[..., Any], copy_demo: Callable[..., Path], tmp_path: Path
) -> None:
    workdir = copy_demo()
    assert cli("build", "--until", "build", "--name", "new", "--workdir", workdir).code == 0
    line = ("publish", "new-cpu-fp32", "--repository", "models", "--workdir", workdir)
    cli(*line).assert_refused(6, "may not be published", "--allow-ungated")
    assert not (tmp_path / "models").exists()
    published = cli(*line, "--allow-ungated", "--json").document
    assert (published["gated"], published["policies"]) == (False, [])
    manifest = json.loads((tmp_path / "models" / published["models"][0] / "1/manifest.json").read_text())
    assert manifest["gated"] is False


def test_too_few_puzzles_are_inconclusive_and_nothing_is_published(
    cli: Callable[..., Any], copy_demo: Callable[..., Path]
) -> None:
    workdir = copy_demo("repository")
    result = cli("build", "--limit", "100", "--name", "few", "--workdir", workdir, "--json")
    assert result.code == 5
    assert {gate["verdict"] for gate in result.document["gates"]} == {"inconclusive"}
    assert {gate["n"] for gate in result.document["gates"]} == {100}
    assert all("puzzles should decide" in gate["reason"] for gate in result.document["gates"])
    assert (result.document["published"], (workdir / "repository").exists()) == ([], False)
    line = ("publish", "few-cpu-fp32", "--repository", "models", "--workdir", workdir)
    cli(*line).assert_refused(6, "may not be published", "inconclusive")


def test_a_bundle_that_passed_keeps_its_name_from_one_that_did_not(
    cli: Callable[..., Any], copy_demo: Callable[..., Path], tmp_path: Path
) -> None:
    workdir = copy_demo()
    before = (workdir / "bundles" / BUNDLE / "bundle.json").read_text()
    for less in (("--until", "build"), ("--limit", "100")):
        cli("build", *less, "--workdir", workdir)
        assert (workdir / "bundles" / BUNDLE / "bundle.json").read_text() == before


def test_a_bundle_that_was_changed_is_not_published(
    cli: Callable[..., Any], demo_bundle: tuple[Path, Any], tmp_path: Path
) -> None:
    shutil.copytree(demo_bundle[0], tmp_path / "bundle")
    engine = bytearray((tmp_path / "bundle/segment.onnx").read_bytes())
    engine[len(engine) // 2] ^= 1
    (tmp_path / "bundle/segment.onnx").write_bytes(engine)
    line = ("publish", "bundle", "--repository", "models")
    for more in ((), ("--allow-ungated",)):
        cli(*line, *more).assert_refused(2, "segment.onnx is not the file that was built")
        assert not (tmp_path / "models").exists()
