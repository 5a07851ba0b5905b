from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_bundles import tiny_bundle

from engines.act import Policy
from engines.bundle import Topology, read_manifest, verify_files
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm.errors import RepositoryError
from triton_models.publish import publish
from triton_models.repository import is_published, list_published, open_published

if TYPE_CHECKING:
    from pathlib import Path

ONE_THREAD = RuntimeOptions(threads=1)


@pytest.mark.parametrize("topology", ["segment", "planner-executor"])
def test_a_published_bundle_runs_in_process_as_the_built_one_does(
    repository: Path, both: list[Path], topology: Topology
) -> None:
    root, manifest = open_published(repository / "tiny", topology)
    verify_files(root, manifest)
    built = next(path for path in both if read_manifest(path).topology == topology)
    inputs = np.random.default_rng(0).integers(0, 5, size=(6, 3), dtype=np.int32)
    identifiers = np.arange(6, dtype=np.int32) % 2
    policy = Policy("fixed", max_depth=3)
    ours = solve(load_engines(root, manifest, ONE_THREAD), inputs, identifiers, policy, batch=4)
    stepper = load_engines(built, read_manifest(built), ONE_THREAD)
    theirs = solve(stepper, inputs, identifiers, policy, batch=4)
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    np.testing.assert_array_equal(ours.q_halt, theirs.q_halt)
    np.testing.assert_array_equal(ours.confidence, theirs.confidence)


def test_the_newest_version_is_the_one_that_opens(repository: Path, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "new", seed=1)
    publish([bundle], repository, "tiny", keep=2)
    root, manifest = open_published(repository / "tiny")
    assert root == repository
    assert manifest.digest == read_manifest(bundle).digest
    assert manifest.engine("segment").file == "tiny_segment/2/model.onnx"


def test_versions_are_listed_with_their_verdicts_and_digests(repository: Path, both: list[Path]) -> None:
    (version,) = list_published(repository)
    assert (version.name, version.version, version.gated, version.policies) == ("tiny", 1, True, ("fixed",))
    assert [bundle.digest for bundle in version.bundles] == [read_manifest(path).digest for path in both]
    assert [gate.verdict for bundle in version.bundles for gate in bundle.gates] == ["pass", "pass"]
    assert version.published.utcoffset() is not None


def test_a_version_without_all_its_models_does_not_count(repository: Path, tmp_path: Path) -> None:
    publish([tiny_bundle(tmp_path / "new", seed=1)], repository, "tiny", keep=2)
    (repository / "tiny_segment/2").rename(tmp_path / "lost")
    assert [version.version for version in list_published(repository)] == [1]


def test_a_published_name_is_told_from_other_paths(repository: Path, both: list[Path]) -> None:
    assert is_published(repository / "tiny")
    assert not is_published(repository / "tiny_segment")
    assert not is_published(both[0])


def test_names_and_topologies_that_are_not_there_are_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no bundle named sudoku") as caught:
        open_published(repository / "sudoku")
    assert caught.value.why == "published there: tiny"
    publish([tiny_bundle(tmp_path / "alone")], repository, "alone", keep=1)
    with pytest.raises(RepositoryError, match="no planner-executor named alone"):
        open_published(repository / "alone", "planner-executor")


def test_a_place_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not a model repository of hrm-trt"):
        list_published(tmp_path)
