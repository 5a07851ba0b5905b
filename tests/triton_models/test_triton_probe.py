"""Health by inference."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tiny_site import SECONDS, open_site

from hrm.errors import ServerError
from hrm_trt.cli import edge
from triton_models.server.control import Answer, Signature
from triton_models.server.probe import Limits, probe, probe_all, solvers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiny_site import Site

Array = np.ndarray
SOUND = {
    "solution": np.array([[3, 4, 0]], np.int32),
    "depth": np.array([[4]], np.int32),
    "halted": np.array([[False]]),
    "confidence": np.array([[0.9]], np.float32),
    "entropy": np.array([[0.1]], np.float32),
    "q_halt": np.array([[-2.0]], np.float32),
}
LIMITS = Limits(version=1, vocab_size=5, max_depth=4)


@dataclass
class Answering:
    """A server that gives one answer whatever it is asked."""

    answer: Answer
    url: str = "http://here"

    def ready(self, model: str) -> tuple[int, ...]:
        return (1,)

    def signature(self, model: str) -> Signature:
        return Signature({"inputs": (-1, 3)}, dict.fromkeys(SOUND, (-1, 1)))

    def infer(self, model: str, feeds: dict[str, Array], seconds: float) -> Answer:
        assert feeds["inputs"].tolist() == [[1, 1, 1]]
        return self.answer


def ask(version: int = 1, limits: Limits | None = LIMITS, **changed: Array | None) -> Any:
    return probe(Answering(Answer(version, SOUND | changed)), "tiny", 1.0, limits)


def test_a_sound_answer_is_health() -> None:
    health = ask()
    assert (health.name, health.version, health.depth, health.halted) == ("tiny", 1, 4, False)
    assert health.confidence == pytest.approx(0.9)
    assert ask(limits=None, version=7, depth=np.array([[99]], np.int32)).version == 7


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"solution": np.zeros((1, 0), np.int32)}, "solution is empty"),
        ({"solution": None}, "solution is empty"),
        ({"solution": np.zeros((1, 2), np.int32)}, r"solution is int32 \[1, 2\] instead of int32 \[1, 3\]"),
        ({"solution": np.zeros((1, 3), np.int64)}, "solution is int64"),
        ({"solution": np.array([[1, -1, 1]], np.int32)}, "the solution holds the token -1"),
        ({"solution": np.array([[1, 5, 1]], np.int32)}, "the solution holds the token 5; there are 5"),
        ({"depth": np.array([[0]], np.int32)}, "depth is 0"),
        ({"depth": np.array([[5]], np.int32)}, "depth is 5 of at most 4"),
        ({"confidence": np.array([[np.nan]], np.float32)}, "confidence is nan"),
        ({"confidence": np.array([[1.5]], np.float32)}, "confidence is 1.5"),
        ({"entropy": np.array([[-1.0]], np.float32)}, "entropy is -1.0"),
        ({"q_halt": np.array([[np.inf]], np.float32)}, "q_halt is inf"),
        ({"version": 2}, "version 2 answers, and version 1 should"),
    ],
)
def test_a_wrong_answer_is_told(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ServerError, match="answers wrongly") as told:
        ask(**changed)
    assert re.search(why, told.value.why)
    assert told.value.exit_code == 4


def test_empty_answers_point_to_the_numpy_of_the_server() -> None:
    with pytest.raises(ServerError) as told:
        ask(depth=np.zeros((1, 0), np.int32))
    assert "numpy<2" in told.value.hint


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("probe")) as opened:
        yield opened


@pytest.mark.triton
def test_a_dead_solver_is_found_and_loaded_again(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://{site.started.http}"
    with pytest.raises(ServerError, match="serves no solver of hrm-trt"):
        probe_all(site.control, (), SECONDS, {})
    for name in ("one", "two"):
        site.publish(name, site.bundle(1))
    assert solvers(site.control) == ("one", "two")
    assert edge.run(["probe", url, "--repository", str(site.repository), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["solvers"]
    assert [(one["name"], one["version"], one["depth"]) for one in found] == [("one", 1, 4), ("two", 1, 4)]

    site.kill("one")
    assert urllib.request.urlopen(f"{url}/v2/health/ready", timeout=SECONDS).status == 200
    assert edge.run(["probe", url]) == 4
    told = capsys.readouterr().err
    assert "1 of 2 solvers" in told
    assert "answer through one" in told
    assert "hrm-trt repository load" in told
    assert edge.run(["probe", url, "--name", "two"]) == 0

    assert edge.run(["repository", "load", str(site.repository), "--server", url, "--json"]) == 0
    assert edge.run(["probe", url, "--repository", str(site.repository)]) == 0


@pytest.mark.slow
@pytest.mark.triton
def test_a_dead_solver_or_engine_does_not_hold_up_the_next_version(site: Site) -> None:
    site.publish("dead", site.bundle(1))
    for model in ("dead", "dead_segment"):
        site.kill(model)
        with pytest.raises(ServerError):
            probe(site.control, "dead", SECONDS)
        version = site.publish("dead", site.bundle(2 if model == "dead" else 3)).version
        assert probe(site.control, "dead", SECONDS).version == version
    assert (version, site.differences()) == (3, [])
