"""Roll-outs and roll-backs on a real tritonserver under load."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_bundles import tiny_bundle
from tiny_graphs import HIDDEN
from tiny_site import SECONDS, open_site
from traffic import answers_of

from hrm.errors import RepositoryError, RolloutError
from triton_models.preflight import preflight
from triton_models.publication import Publication, publication
from triton_models.publish import publish
from triton_models.repository import current_version, read_marker
from triton_models.rollback import restore
from triton_models.server.loading import Loading
from triton_models.server.reload import serve_current
from triton_models.server.rollout import roll_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tiny_site import Site

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("rollout")) as opened:
        yield opened


@pytest.mark.slow
def test_no_request_is_lost_and_no_answer_mixes_versions_while_one_is_published_and_taken_back(site: Site) -> None:
    assert site.publish("live", site.bundle(1)).version == 1
    expected = {1: answers_of(site.bundle(1)), 2: answers_of(site.bundle(2))}
    assert not set(expected[1]) & set(expected[2])
    with site.traffic("live") as traffic:
        assert site.publish("live", site.bundle(2)).version == 2
        assert site.holds("live", *(f"live{model} {version}" for model, version in [("", 2), *both_engines(1, 2)]))
        assert site.go_back("live").version == 1
    assert traffic.errors == {}
    assert traffic.mixed(expected) == []
    assert min(traffic.versions()[version] for version in (1, 2)) > 100
    assert (current_version(site.repository, "live"), site.differences()) == (1, [])


def both_engines(*versions: int) -> list[tuple[str, int]]:
    return [(engine, version) for engine in ("_encoder", "_segment") for version in versions]


def file_of(work: Publication, model: str, file: str) -> Path:
    """A file of the version that is being published."""
    return work.repository / f"{work.version.name}{model}" / str(work.version.version) / file


def corrupt_engine(work: Publication) -> None:
    (work.repository / f"{work.version.name}_segment/{work.version.version}/model.onnx").write_bytes(
        b"half of an engine"
    )


def corrupt_solver(work: Publication) -> None:
    file_of(work, "", "carry.npz").write_bytes(b"half of a carry")


def corrupt_carry(work: Publication) -> None:
    """What loads, and answers with an error: only a real request finds that out."""
    carry = np.full((2, HIDDEN), np.nan, np.float32)
    np.savez(file_of(work, "", "carry.npz"), z_H=carry[0], z_L=carry[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (corrupt_engine, "did not load bad_segment: .*model.onnx"),
        (corrupt_solver, "did not load bad: "),
        (corrupt_carry, "did not answer through bad: "),
    ],
)
def test_a_version_that_cannot_be_served_is_taken_back(
    site: Site, damage: Callable[[Publication], None], why: str
) -> None:
    if "bad" not in read_marker(site.repository).sets:
        site.publish("bad", site.bundle(1))
    files, held = site.files(), site.held("bad")
    expected = {1: answers_of(site.bundle(1))}
    with (
        site.traffic("bad", clients=4) as traffic,
        publication([site.bundle(2)], site.repository, "bad", keep=2) as work,
    ):
        damage(work)
        with pytest.raises(
            RolloutError, match="version 2 of bad was not rolled out; version 1 is being served again"
        ) as told:
            roll_out(site.loading, work)
    assert re.search(why, told.value.why)
    assert told.value.exit_code == 4
    if damage is not corrupt_carry:
        assert traffic.errors == {}
    assert traffic.mixed(expected) == []
    assert (site.files(), site.holds("bad", *held), site.differences()) == (files, True, [])
    assert serve_current(site.loading, site.repository, "bad").version == 1


def test_a_first_version_that_cannot_be_served_leaves_nothing(site: Site) -> None:
    files = site.files()
    with publication([site.bundle(1)], site.repository, "first", keep=2) as work:
        corrupt_solver(work)
        with pytest.raises(RolloutError, match="version 1 of first was not rolled out; nothing of it is loaded"):
            roll_out(site.loading, work)
    assert (site.files(), site.holds("first")) == (files, True)


def test_an_interrupted_roll_out_is_taken_back(site: Site) -> None:
    site.publish("broken-off", site.bundle(1))
    files, interrupts = site.files(), list[str]()

    def interrupt(step: str) -> None:
        if step.startswith("asking"):
            interrupts.append(step)
            if len(interrupts) == 1:
                raise KeyboardInterrupt

    loading = Loading(site.control, SECONDS, interrupt)
    with pytest.raises(KeyboardInterrupt), publication([site.bundle(2)], site.repository, "broken-off", keep=2) as work:
        roll_out(loading, work)
    assert (site.files(), site.differences()) == (files, [])
    assert serve_current(site.loading, site.repository, "broken-off").version == 1


def test_versions_whose_engines_cannot_be_served_at_once_replace_each_other(site: Site) -> None:
    site.publish("other", site.bundle(1), keep=1)
    files = site.files()
    with publication([site.bundle(2, max_batch=2)], site.repository, "other", keep=1) as work:
        corrupt_solver(work)
        with pytest.raises(RolloutError, match="version 1 is being served again"):
            roll_out(site.loading, work)
    assert (site.files(), site.differences()) == (files, [])
    assert site.publish("other", site.bundle(2, max_batch=2), keep=1).version == 2
    assert site.holds("other", "other 2", "other_encoder 2", "other_segment 2")
    assert (site.differences(), preflight(site.repository)) == ([], ())


def test_a_server_that_reads_another_repository_is_left_alone(site: Site, tmp_path: Path) -> None:
    site.publish("here", site.bundle(1))
    held = site.held("here")
    for name, why in (("nowhere", "it sees no nowhere"), ("here", "it serves a version 1 of here_encoder already")):
        aside = publication([site.bundle(2)], tmp_path / "repository", name, keep=2)
        with pytest.raises(RepositoryError, match="does not read this repository") as told, aside as work:
            roll_out(site.loading, work)
        assert told.value.why.startswith(why)
        assert read_marker(tmp_path / "repository").sets == {}
    assert site.holds("here", *held)


@pytest.mark.slow
def test_a_server_is_brought_to_what_the_repository_says(site: Site) -> None:
    publish([site.bundle(1)], site.repository, "late", keep=2)
    assert site.differences() == [
        "the repository names version 1 of late, and none is being served",
        "late_encoder is not loaded in version 1",
        "late_segment is not loaded in version 1",
    ]
    assert serve_current(site.loading, site.repository, "late").version == 1
    publish([site.bundle(2)], site.repository, "late", keep=2)
    with site.traffic("late", clients=4) as traffic:
        assert serve_current(site.loading, site.repository, "late").version == 2
    assert traffic.errors == {}
    assert traffic.mixed({1: answers_of(site.bundle(1)), 2: answers_of(site.bundle(2))}) == []
    restore(site.repository, "late", 1)
    assert site.differences() == ["the repository names version 1 of late, and 2 is being served"]
    assert serve_current(site.loading, site.repository, "late").version == 1
    publish([site.bundle(3, max_batch=2)], site.repository, "late", keep=1)
    assert serve_current(site.loading, site.repository, "late").version == 3
    assert site.holds("late", "late 3", "late_encoder 3", "late_segment 3")


def test_engines_that_no_version_has_any_more_are_let_go(site: Site) -> None:
    two = tiny_bundle(site.bundles / "two-engines", "planner-executor", seed=1)
    site.publish("both", two)
    assert site.holds("both", *(f"both{model} 1" for model in ("", "_encoder", "_executor", "_planner")))
    site.publish("both", site.bundle(1), keep=1)
    assert site.holds("both", "both 2", "both_encoder 2", "both_segment 2")
    assert site.differences() == []
