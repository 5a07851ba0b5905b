"""A build that another machine finishes: packed here, built without PyTorch, brought home, and never half."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from engines.bundle import read_manifest
from tests.hrm_trt.conftest import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECIPE = f"""
name: sample
checkpoint: {SAMPLE}
dataset: {SAMPLE / "dataset"}
targets: [sm_120]
precisions: [fp8]
topologies: [segment]
calibration: {{puzzles: 16}}
profile: {{batch: {{min: 1, opt: 8, max: 8}}}}
gate: {{limit: 24, policies: [fixed]}}
"""
WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in ("torch", "modelopt"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from hrm_trt.cli import edge
sys.exit(edge.run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hrm_trt.cli import edge

    place = tmp_path_factory.mktemp("packed")
    (place / "recipe.yaml").write_text(RECIPE)
    line = ["pack", place / "sample.kit", place / "recipe.yaml", "--workdir", place / "work"]
    assert edge.run(list(map(str, line))) == 0
    return place / "sample.kit"


@pytest.mark.slow
def test_a_kit_is_built_without_pytorch_and_comes_home(
    cli: Callable[..., Any], python: Callable[..., Any], kit: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(kit, away / "sample.kit")
    built = python(WITHOUT_TORCH, "build", str(away / "sample.kit"), "--workdir", str(away / "work"), "--json")
    assert built.code == 5, built.err  # 24 puzzles decide nothing
    (gate,) = built.document["gates"]
    assert (gate["n"], gate["evidence"], gate["precision"]) == (24, "emulated", "fp8")
    assert {row["status"] for row in built.document["engines"]} == {"built"}
    shutil.rmtree(away / "work")

    home = tmp_path / "home"
    result = cli("unpack", away / "sample.built.kit", "--workdir", home, "--json")
    assert list(result.document["bundles"]) == ["sample-sm_120-fp8"]
    bundle = home / "bundles/sample-sm_120-fp8"
    manifest = read_manifest(bundle)
    assert [gate.evidence for gate in manifest.gates] == ["emulated"]
    assert [engine.sha256 for engine in manifest.engines] == list(gate["engines"])
    shown = cli("inspect", bundle / "segment.plan", "--workdir", home)
    assert shown.code == 0
    assert "fp8" in shown.out


def test_a_kit_names_no_place_of_the_machine_that_packed_it(kit: Path) -> None:
    with zipfile.ZipFile(kit) as archive:
        document = json.loads(archive.read("kit.json"))
    assert document["recipe"]["checkpoint"] == "sudoku-4x4"
    assert document["recipe"]["dataset"] is None


def test_a_kit_takes_no_options_beside_it(cli: Callable[..., Any], kit: Path) -> None:
    cli("build", kit, "--precision", "fp16").assert_refused(2, "a kit holds its own recipe")


def rewritten(kit: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    with zipfile.ZipFile(kit) as source, zipfile.ZipFile(target, "w") as written:
        for name in source.namelist():
            kept = change(name, source.read(name))
            if kept is not None:
                written.writestr(*kept)
    return target


def damaged(name: str, data: bytes) -> tuple[str, bytes] | None:
    return (name, data[:-1] + bytes([data[-1] ^ 1])) if name.endswith("executor.onnx") else (name, data)


def incomplete(name: str, data: bytes) -> tuple[str, bytes] | None:
    return None if name.endswith("planner.onnx") else (name, data)


def escaping(name: str, data: bytes) -> tuple[str, bytes] | None:
    if name != "kit.json":
        return name, data
    document = json.loads(data)
    document["files"]["../../escaped"] = "0" * 64
    return name, json.dumps(document).encode()


def foreign(name: str, data: bytes) -> tuple[str, bytes] | None:
    return ("other.json" if name == "kit.json" else name), data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (damaged, "was changed on its way"),
        (incomplete, "is incomplete"),
        (escaping, "outside its place"),
        (foreign, "has no kit.json"),
    ],
)
def test_a_kit_that_changed_on_its_way_is_refused(
    cli: Callable[..., Any], kit: Path, tmp_path: Path, change: Any, words: str
) -> None:
    other = rewritten(kit, tmp_path / "other.kit", change)
    cli("build", other, "--workdir", "work").assert_refused(2, words)
    assert not (tmp_path / "escaped").exists()
    assert not list(tmp_path.glob("work/bundles/*"))


def test_what_is_no_kit_is_no_recipe_either(cli: Callable[..., Any], kit: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.kit").write_bytes(kit.read_bytes()[:5000])
    cli("build", "cut.kit").assert_refused(2, "cut.kit")
    cli("unpack", "cut.kit").assert_refused(2, "cannot be read")
    cli("unpack", kit, "--workdir", "work").assert_refused(2, "has no built.json")
    cli("unpack", "nowhere").assert_refused(2, "no file nowhere")


def test_a_kit_for_a_cpu_is_refused_before_any_work(cli: Callable[..., Any], tmp_path: Path) -> None:
    cli("pack", "x.kit", "--checkpoint", SAMPLE, "--dataset", SAMPLE / "dataset").assert_refused(2, "of no use")
    compiled = ("pack", "x.kit", "--checkpoint", SAMPLE, "--target", "sm_90", "--runtime", "torch-tensorrt")
    cli(*compiled).assert_refused(2, "torch-tensorrt takes no kit", "--runtime tensorrt")
    line = ("pack", "x.kit", "--checkpoint", SAMPLE, "--target", "sm_90", "--precision", "nvfp4")
    cli(*line).assert_refused(2, "Hopper has no FP4")
    assert list(tmp_path.iterdir()) == []
