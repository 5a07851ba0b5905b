from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from tiny_bundles import TINY, tiny_bundle, write_bundle
from tiny_graphs import HIDDEN, tiny_graph

from engines.bundle import MANIFEST
from hrm.errors import BuildError, BundleError, GateError, RepositoryError, UnwritableError, UsageError
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publish import publish
from triton_models.repository import list_published

if TYPE_CHECKING:
    from pathlib import Path

    from triton_models.publication import Published

MODULES = ("encoder", "segment", "executor", "planner")
ENGINES = tuple(f"tiny_{module}" for module in MODULES)


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its inode, time and content."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != ".hrm-trt.lock")
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in files
    }


def served(repository: Path, model: str) -> list[int]:
    config = parse_config((repository / model / "config.pbtxt").read_text())
    return list(config.version_policy.specific.versions)


def directories(model: Path) -> list[str]:
    return sorted(path.name for path in model.iterdir() if path.is_dir())


def test_two_bundles_become_four_engines_and_their_solver(repository: Path, both: list[Path]) -> None:
    assert {path.name for path in repository.iterdir() if path.is_dir()} == {"tiny", *ENGINES}
    for module in MODULES:
        bundle = both[0] if module in ("encoder", "segment") else both[1]
        assert (repository / f"tiny_{module}/1/model.onnx").read_bytes() == (bundle / f"{module}.onnx").read_bytes()
        assert served(repository, f"tiny_{module}") == [1]
    assert served(repository, "tiny") == [1]
    assert (repository / "tiny/1/carry.npz").read_bytes() == (both[0] / "carry.npz").read_bytes()


def test_the_same_bytes_again_change_nothing(repository: Path, both: list[Path]) -> None:
    before = snapshot(repository)
    again = publish(both[::-1], repository, "tiny", keep=2)
    assert again.version == 1
    assert again.models == (*ENGINES, "tiny")
    assert snapshot(repository) == before


def test_other_policies_for_the_same_bytes_are_a_new_version(repository: Path, tmp_path: Path) -> None:
    verdicts = {"fixed": "pass", "adaptive": "pass"}
    bundles = [
        tiny_bundle(tmp_path / "a", "segment", verdicts=verdicts),
        tiny_bundle(tmp_path / "b", "planner-executor", verdicts=verdicts),
    ]
    result = publish(bundles, repository, "tiny", keep=2)
    assert (result.version, result.policies) == (2, ("fixed", "adaptive"))


def test_another_threshold_is_another_policy(tmp_path: Path) -> None:
    first = tiny_bundle(tmp_path / "first", verdicts={"fixed": "pass", "confidence": "pass"})
    fixed, confidence = json.loads((first / MANIFEST).read_text())["gates"]
    second = tiny_bundle(tmp_path / "second", gates=[fixed, confidence | {"threshold": 0.99}])
    versions = [publish([each], tmp_path / "repository", "tiny", keep=2).version for each in (first, second, second)]
    assert versions == [1, 2, 2]


def test_a_policy_is_offered_only_if_it_passed_in_every_bundle(tmp_path: Path) -> None:
    bundles = [
        tiny_bundle(tmp_path / "a", "segment", verdicts={"adaptive": "pass", "fixed": "pass", "confidence": "pass"}),
        tiny_bundle(tmp_path / "b", "planner-executor", verdicts={"fixed": "pass", "confidence": "fail"}),
    ]
    assert publish(bundles, tmp_path / "repository", "tiny", keep=1).policies == ("fixed",)


def test_only_the_last_versions_stay(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for seed in range(4):
        bundle = tiny_bundle(tmp_path / str(seed), seed=seed)
        assert publish([bundle], repository, "tiny", keep=2).version == seed + 1
    for model in ("tiny_encoder", "tiny_segment"):
        assert directories(repository / model) == ["3", "4"]
        assert served(repository, model) == [3, 4]
    assert [version.version for version in list_published(repository)] == [3, 4]
    assert preflight(repository) == ()


def test_an_older_release_published_again_is_the_newest_version(tmp_path: Path) -> None:
    first, second = (tiny_bundle(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    versions = [publish([each], tmp_path / "repository", "tiny", keep=3).version for each in (first, second, first)]
    assert versions == [1, 2, 3]


def test_models_that_no_version_has_any_more_are_gone(repository: Path, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "new", seed=1)
    publish([bundle], repository, "tiny", keep=2)
    assert served(repository, "tiny_planner") == [1]
    assert served(repository, "tiny_segment") == [1, 2]
    publish([bundle], repository, "tiny", keep=1)
    assert {path.name for path in repository.iterdir() if path.is_dir()} == {"tiny", "tiny_encoder", "tiny_segment"}
    assert json.loads((repository / "hrm-trt.json").read_text())["sets"] == {
        "tiny": ["tiny_encoder", "tiny_segment", "tiny"]
    }
    assert preflight(repository) == ()


@pytest.mark.parametrize("verdicts", [{}, {"fixed": "fail"}, {"fixed": "inconclusive", "adaptive": "pass"}])
def test_nothing_is_published_without_a_pass_under_fixed(tmp_path: Path, verdicts: dict[str, str]) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", verdicts=verdicts)
    with pytest.raises(GateError, match="may not be published") as caught:
        publish([bundle], tmp_path / "repository", "tiny", keep=1)
    assert caught.value.exit_code == 6
    assert not (tmp_path / "repository").exists()


def test_a_pass_for_other_bytes_is_no_pass(tmp_path: Path) -> None:
    judged = json.loads((tiny_bundle(tmp_path / "judged", seed=1) / MANIFEST).read_text())
    bundle = tiny_bundle(tmp_path / "bundle", gates=judged["gates"])
    with pytest.raises(GateError, match="for these bytes"):
        publish([bundle], tmp_path / "repository", "tiny", keep=1)


def test_every_bundle_has_to_pass(segment: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", "planner-executor", verdicts={"fixed": "inconclusive"})
    with pytest.raises(GateError, match="bundle other may not be published"):
        publish([segment, other], tmp_path / "repository", "tiny", keep=1)


def test_what_was_published_ungated_says_so(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", verdicts={"fixed": "fail"})
    result = publish([bundle], tmp_path / "repository", "tiny", keep=1, allow_ungated=True)
    assert (result.gated, result.policies) == (False, ())
    for model in ("tiny_encoder", "tiny_segment"):
        manifest = json.loads((tmp_path / "repository" / model / "1/manifest.json").read_text())
        assert manifest["gated"] is False
        assert manifest["bundles"][0]["gates"][0]["verdict"] == "fail"


def test_a_bundle_that_passed_is_gated_though_it_need_not_be(segment: Path, tmp_path: Path) -> None:
    assert publish([segment], tmp_path / "repository", "tiny", keep=1, allow_ungated=True).gated


def test_bundles_with_other_encoders_are_refused(segment: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", "planner-executor", seed=1)
    with pytest.raises(BundleError, match="cannot be published under one name"):
        publish([segment, other], tmp_path / "repository", "tiny", keep=1)


def test_a_topology_cannot_be_published_twice(segment: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be published under one name"):
        publish([segment, segment], tmp_path / "repository", "tiny", keep=1)


def test_a_runtime_without_a_backend_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", runtime="torch")
    with pytest.raises(BundleError, match="Triton cannot serve"):
        publish([bundle], tmp_path / "repository", "tiny", keep=1)


def test_a_changed_bundle_is_refused(segment: Path, tmp_path: Path) -> None:
    with (segment / "segment.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="not the file that was built"):
        publish([segment], tmp_path / "repository", "tiny", keep=1)
    assert not (tmp_path / "repository").exists()


def test_a_damaged_version_is_followed_by_a_whole_one(repository: Path, both: list[Path]) -> None:
    (repository / "tiny_planner/1/model.onnx").write_bytes(b"")
    assert publish(both, repository, "tiny", keep=1).version == 2
    assert preflight(repository) == ()


@pytest.mark.parametrize("change", [{"max_batch": 8}, {"max_batch": 2}])
def test_versions_that_cannot_share_a_configuration_are_not_mixed(
    repository: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    before = snapshot(repository)
    other = tiny_bundle(tmp_path / "other", **change)
    with pytest.raises(RepositoryError, match="cannot be served side by side"):
        publish([other], repository, "tiny", keep=2)
    assert snapshot(repository) == before
    assert publish([other], repository, "tiny", keep=1).version == 2
    assert preflight(repository) == ()


def test_what_triton_could_not_load_is_not_published(tmp_path: Path) -> None:
    encoder = onnx.load_from_string(tiny_graph("encoder", 0))
    encoder.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    engines = {"encoder": encoder.SerializeToString(), "segment": tiny_graph("segment", 0)}
    carry = dict.fromkeys(("z_H", "z_L"), np.zeros(HIDDEN, dtype=np.float32))
    bundle = write_bundle(tmp_path / "bundle", "segment", engines, carry, TINY)
    with pytest.raises(BuildError, match="Triton could not load tiny_encoder") as caught:
        publish([bundle], tmp_path / "repository", "tiny", keep=1)
    assert "no free batch axis" in caught.value.why
    assert [path for path in (tmp_path / "repository").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä"])
def test_a_name_that_no_model_can_have_is_refused(segment: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RepositoryError, match="cannot be a model's name"):
        publish([segment], tmp_path / "repository", name, keep=1)


def test_at_least_one_version_is_kept(segment: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot keep 0 versions"):
        publish([segment], tmp_path / "repository", "tiny", keep=0)


@pytest.mark.parametrize("foreign", ["resnet/config.pbtxt", "notes.txt"])
def test_a_directory_that_is_not_ours_is_untouched(segment: Path, tmp_path: Path, foreign: str) -> None:
    file = tmp_path / "repository" / foreign
    file.parent.mkdir(parents=True)
    file.write_text("somebody's")
    with pytest.raises(RepositoryError, match="not a model repository of hrm-trt"):
        publish([segment], tmp_path / "repository", "tiny", keep=1)
    assert [path for path in (tmp_path / "repository").rglob("*") if path.is_file()] == [file]


def test_a_model_of_that_name_that_is_not_ours_is_untouched(repository: Path, segment: Path) -> None:
    (repository / "other_segment").mkdir()
    (repository / "other_segment/config.pbtxt").write_text("somebody's")
    before = snapshot(repository)
    with pytest.raises(RepositoryError, match="other_segment is not a model of the set other"):
        publish([segment], repository, "other", keep=1)
    assert snapshot(repository) == before


def test_a_version_that_is_not_ours_is_untouched(repository: Path, tmp_path: Path) -> None:
    (repository / "tiny_segment/7").mkdir()
    (repository / "tiny_segment/7/model.onnx").write_text("somebody's")
    before = snapshot(repository)
    with pytest.raises(RepositoryError, match="7 is not a version that hrm-trt published"):
        publish([tiny_bundle(tmp_path / "new", seed=1)], repository, "tiny", keep=2)
    assert snapshot(repository) == before


def test_other_sets_stay_as_they_are(repository: Path, tmp_path: Path) -> None:
    (repository / "resnet").mkdir()
    before = snapshot(repository)
    publish([tiny_bundle(tmp_path / "new", seed=1)], repository, "other", keep=1)
    after = snapshot(repository)
    assert {name: after[name] for name in before if name != "hrm-trt.json"} == {
        name: before[name] for name in before if name != "hrm-trt.json"
    }
    assert [(version.name, version.version) for version in list_published(repository)] == [("other", 1), ("tiny", 1)]


def test_a_place_that_cannot_be_written_is_named(segment: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(UnwritableError, match="file/repository"):
        publish([segment], tmp_path / "file/repository", "tiny", keep=1)


def test_two_publishers_at_once_both_succeed(tmp_path: Path) -> None:
    bundles = [tiny_bundle(tmp_path / str(seed), seed=seed) for seed in range(4)]

    def work(bundle: Path) -> Published:
        return publish([bundle], tmp_path / "repository", "tiny", keep=4)

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(work, bundles))
    assert sorted(result.version for result in results) == [1, 2, 3, 4]
    assert served(tmp_path / "repository", "tiny_segment") == [1, 2, 3, 4]
    assert preflight(tmp_path / "repository") == ()
