"""The steps of a publication on disk, and the solver that it writes beside the engines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_bundles import tiny_bundle

from hrm.errors import RepositoryError, UsageError
from triton_models import planning
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publication import publication
from triton_models.publish import publish
from triton_models.repository import current_version, list_published, open_published
from triton_models.rollback import restore

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = ("tiny_encoder", "tiny_segment")


@pytest.fixture
def bundles(tmp_path: Path) -> list[Path]:
    """Three releases of one model."""
    return [tiny_bundle(tmp_path / f"release-{seed}", seed=seed) for seed in range(3)]


@pytest.fixture
def place(tmp_path: Path, bundles: list[Path]) -> Path:
    """A repository with the first two, of which the second is current."""
    for bundle in bundles[:2]:
        publish([bundle], tmp_path / "place", "tiny", keep=2)
    return tmp_path / "place"


def served(place: Path, model: str) -> list[int]:
    config = parse_config((place / model / "config.pbtxt").read_text())
    return list(config.version_policy.specific.versions)


def versions(place: Path, model: str) -> list[str]:
    return sorted(path.name for path in (place / model).iterdir() if path.is_dir())


def test_the_engines_of_both_versions_are_served_until_the_solver_changes(place: Path, bundles: list[Path]) -> None:
    with publication([bundles[2]], place, "tiny", keep=1) as work:
        assert work.previous is not None
        assert (work.previous.version, work.version.version, work.side_by_side) == (2, 3, True)
        assert [served(place, engine) for engine in ENGINES] == [[2, 3], [2, 3]]
        assert served(place, "tiny") == [2]
        work.commit()
        assert [served(place, engine) for engine in ENGINES] == [[2, 3], [2, 3]]
        assert served(place, "tiny") == [3]
        work.tidy()
    assert [served(place, model) for model in (*ENGINES, "tiny")] == [[3], [3], [3]]
    assert [versions(place, model) for model in (*ENGINES, "tiny")] == [["3"], ["3"], ["3"]]


@pytest.mark.parametrize("committed", [False, True])
def test_an_abandoned_version_is_gone_and_the_previous_one_current(
    place: Path, bundles: list[Path], committed: bool
) -> None:
    with publication([bundles[2]], place, "tiny", keep=1) as work:
        if committed:
            work.commit()
        work.abandon()
    assert current_version(place, "tiny") == 2
    assert [served(place, engine) for engine in ENGINES] == [[1, 2], [1, 2]]
    assert versions(place, "tiny") == ["1", "2"]
    assert preflight(place) == ()


def test_an_abandoned_first_version_leaves_no_model(tmp_path: Path, bundles: list[Path]) -> None:
    with publication([bundles[0]], tmp_path / "place", "tiny", keep=1) as work:
        work.commit()
        work.abandon()
    assert [path for path in (tmp_path / "place").iterdir() if path.is_dir()] == []
    assert list_published(tmp_path / "place") == ()


def test_versions_that_cannot_be_served_at_once_leave_no_solver_in_between(place: Path, tmp_path: Path) -> None:
    larger = tiny_bundle(tmp_path / "larger", max_batch=8)
    with publication([larger], place, "tiny", keep=1) as work:
        assert not work.side_by_side
        assert current_version(place, "tiny") is None
        assert [served(place, engine) for engine in ENGINES] == [[3], [3]]
        work.abandon()
    assert current_version(place, "tiny") == 2
    assert [served(place, engine) for engine in ENGINES] == [[1, 2], [1, 2]]
    assert preflight(place) == ()


def test_an_older_version_can_be_made_current_and_the_newer_one_again(place: Path, bundles: list[Path]) -> None:
    restore(place, "tiny", 1)
    assert (current_version(place, "tiny"), served(place, "tiny_encoder")) == (1, [1, 2])
    assert open_published(place / "tiny")[1].engine("segment").file == "tiny_segment/1/model.onnx"
    assert preflight(place) == ()
    again = publish([bundles[1]], place, "tiny", keep=2)
    assert (again.version, again.new) == (2, False)
    assert current_version(place, "tiny") == 2


def test_the_current_version_stays_whatever_is_kept(place: Path, bundles: list[Path]) -> None:
    restore(place, "tiny", 1)
    with publication([bundles[2]], place, "tiny", keep=1) as work:
        work.tidy()
        assert (current_version(place, "tiny"), versions(place, "tiny")) == (1, ["1", "3"])
        work.commit()
        work.tidy()
    assert (current_version(place, "tiny"), versions(place, "tiny")) == (3, ["3"])


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [("other", 1, "no set named other"), ("tiny", 7, "tiny has no version 7")],
)
def test_what_is_not_there_is_not_restored(place: Path, name: str, version: int, message: str) -> None:
    with pytest.raises(RepositoryError, match=message):
        restore(place, name, version)


def test_a_damaged_version_is_not_restored(place: Path) -> None:
    (place / "tiny/1/engines/slots.py").write_text("")
    with pytest.raises(RepositoryError, match="version 1 of tiny cannot be made the current one") as caught:
        restore(place, "tiny", 1)
    assert "slots.py is not the file that was published" in caught.value.why
    assert current_version(place, "tiny") == 2


def test_the_solver_is_told_all_that_it_has_to_know(tmp_path: Path) -> None:
    verdicts = {"fixed": "pass", "adaptive": "pass", "confidence": "pass"}
    bundle = tiny_bundle(tmp_path / "bundle", verdicts=verdicts, threshold=0.9999)
    publish([bundle], tmp_path / "place", "tiny", keep=1, slots=3, queue=7)
    assert json.loads((tmp_path / "place/tiny/1/settings.json").read_text()) == {
        "format_version": 1,
        "name": "tiny",
        "version": 1,
        "topology": "segment",
        "models": {"encoder": "tiny_encoder", "segment": "tiny_segment"},
        "sequence": 3,
        "tokens": 4,
        "hidden_size": 4,
        "vocab_size": 5,
        "identifiers": 2,
        "H_cycles": 1,
        "L_cycles": 1,
        "max_depth": 4,
        "policies": {"fixed": None, "adaptive": None, "confidence": 0.9999},
        "default_policy": "adaptive",
        "puzzle_input": "puzzle_identifiers",
        "carry": "carry.npz",
        "puzzle_table": None,
        "graph_batches": [],
    }
    config = parse_config((tmp_path / "place/tiny/config.pbtxt").read_text())
    assert (config.backend, config.max_batch_size) == ("python", 3)
    assert {each.name for each in config.input if each.optional} == {"puzzle_identifiers", "max_depth"}
    assert [config.parameters[knob].string_value for knob in ("slots", "queue")] == ["3", "7"]
    assert config.HasField("dynamic_batching")
    assert config.dynamic_batching == type(config.dynamic_batching)()  # with options it lets requests wait
    (version,) = list_published(tmp_path / "place")
    assert (version.slots, version.queue) == (3, 7)


def test_only_the_two_engine_form_is_called_where_there_is_no_segment(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "planner-executor")
    publish([bundle], tmp_path / "place", "tiny", keep=1)
    settings = json.loads((tmp_path / "place/tiny/1/settings.json").read_text())
    assert settings["topology"] == "planner-executor"
    assert settings["models"] == {module: f"tiny_{module}" for module in ("encoder", "executor", "planner")}


def test_what_was_published_ungated_answers_under_fixed(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", verdicts={})
    publish([bundle], tmp_path / "place", "tiny", keep=1, allow_ungated=True)
    settings = json.loads((tmp_path / "place/tiny/1/settings.json").read_text())
    assert (settings["policies"], settings["default_policy"]) == ({"fixed": None}, "fixed")


def test_a_policy_with_two_thresholds_is_none(tmp_path: Path) -> None:
    verdicts = {"fixed": "pass", "confidence": "pass"}
    bundles = [
        tiny_bundle(tmp_path / topology, topology, verdicts=verdicts, threshold=threshold)
        for topology, threshold in (("segment", 0.9), ("planner-executor", 0.99))
    ]
    assert publish(bundles, tmp_path / "place", "tiny", keep=1).policies == ("fixed",)


def test_all_slots_fit_one_batch(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", opt_batch=3, max_batch=4)
    publish([bundle], tmp_path / "place", "tiny", keep=1)
    assert list_published(tmp_path / "place")[0].slots == 3
    for slots in (0, 5):
        with pytest.raises(UsageError, match=f"{slots} slots do not fit the engines") as caught:
            publish([bundle], tmp_path / "place", "tiny", keep=1, slots=slots)
        assert "batches of 1 to 4" in caught.value.why
    with pytest.raises(UsageError, match="queue cannot hold 0 puzzles"):
        publish([bundle], tmp_path / "place", "tiny", keep=1, queue=0)


@pytest.mark.parametrize("change", [{"slots": 2}, {"queue": 5}])
def test_other_limits_are_another_version(place: Path, bundles: list[Path], change: dict[str, int]) -> None:
    assert publish([bundles[1]], place, "tiny", keep=2, **change).version == 3
    assert publish([bundles[1]], place, "tiny", keep=2, **change).version == 3


def test_other_code_of_the_solver_is_another_version(
    place: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = planning.solver_code()
    monkeypatch.setattr(planning, "solver_code", lambda: code | {"engines/slots.py": b"# quicker"})
    assert publish([bundles[1]], place, "tiny", keep=2).version == 3
    assert (place / "tiny/3/engines/slots.py").read_bytes() == b"# quicker"
    restore(place, "tiny", 2)
    assert (place / "tiny/2/engines/slots.py").read_bytes() == code["engines/slots.py"]


@pytest.mark.parametrize("file", ["settings.json", "model.py", "carry.npz"])
def test_a_damaged_solver_is_followed_by_a_whole_one(place: Path, bundles: list[Path], file: str) -> None:
    (place / "tiny/2" / file).write_bytes(b"{}")
    assert publish([bundles[1]], place, "tiny", keep=1).version == 3
    assert preflight(place) == ()


IMPORTS = """
import json, sys, types
sys.path.insert(0, sys.argv[1])
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
import model
assert model.TritonPythonModel.__module__ == "triton_models.solver.model"
ours = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in json.loads(sys.argv[2])}
print(json.dumps(ours))
"""


def test_the_solver_needs_nothing_of_ours_but_what_is_published_with_it(place: Path) -> None:
    packages = ["engines", "export", "hrm", "hrm_trt", "triton_models", "validation"]
    home = place / "tiny/2"
    command = [sys.executable, "-c", IMPORTS, str(home), json.dumps(packages)]
    loaded = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=place).stdout)
    assert {"engines.slots", "engines.act", "triton_models.solver.loop"} <= set(loaded)
    assert {name for name, file in loaded.items() if not str(file).startswith(str(home))} == set()


def test_a_repository_from_before_there_was_a_solver_goes_on(place: Path, bundles: list[Path]) -> None:
    as_before_solvers(place)
    assert open_published(place / "tiny")[1].engine("segment").file == "tiny_segment/2/model.onnx"
    assert preflight(place) == ()
    assert publish([bundles[1]], place, "tiny", keep=2).version == 3
    assert [served(place, engine) for engine in ENGINES] == [[2, 3], [2, 3]]
    assert preflight(place) == ()
    with pytest.raises(RepositoryError, match="before there was a solver"):
        restore(place, "tiny", 2)


def as_before_solvers(place: Path) -> None:
    """Turn a repository into what the versions of hrm-trt before this one wrote."""
    for path in place.glob("tiny_*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        number = manifest["version"]
        for key in ("slots", "queue"):
            del manifest[key]
        manifest["models"] = [model for model in manifest["models"] if model["module"] != "solver"]
        for model in manifest["models"]:
            del model["engines"], model["code"]
        for bundle in manifest["bundles"]:
            bundle["carry"]["file"] = f"tiny_encoder/{number}/carry.npz"
        path.write_text(json.dumps(manifest))
        shutil.copy(place / f"tiny/{number}/carry.npz", place / f"tiny_encoder/{number}/carry.npz")
    shutil.rmtree(place / "tiny")
    marker = json.loads((place / "hrm-trt.json").read_text())
    marker["sets"]["tiny"].remove("tiny")
    (place / "hrm-trt.json").write_text(json.dumps(marker))


def test_the_puzzle_table_lies_beside_the_solver(tmp_path: Path) -> None:
    table = np.arange(8, dtype=np.float32).reshape(2, 4)
    bundle = tiny_bundle(tmp_path / "bundle", puzzle_table=table)
    publish([bundle], tmp_path / "place", "tiny", keep=1)
    settings = json.loads((tmp_path / "place/tiny/1/settings.json").read_text())
    assert (settings["puzzle_input"], settings["puzzle_table"]) == ("puzzle_embedding", "puzzle_table.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "place/tiny/1/puzzle_table.npy"), table)
    assert preflight(tmp_path / "place") == ()
