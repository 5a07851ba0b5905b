"""The commands around a model repository, without a server; with one they are in tests/triton_models."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUNDLE = "sudoku-4x4-cpu-fp32"


@pytest.fixture
def published(cli: Callable[..., Any], demo: Path) -> Path:
    """A repository with two versions of a set, of which the second one is current."""
    for slots in (8, 16):
        line = ("publish", BUNDLE, "--repository", "models", "--name", "four", "--slots", slots, "--queue", 99)
        assert cli(*line, "--workdir", demo).code == 0
    return Path("models").absolute()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{free.getsockname()[1]}"


def served(repository: Path, model: str) -> list[int]:
    return [int(number) for number in re.findall(r"versions: (\d+)", (repository / model / "config.pbtxt").read_text())]


def test_a_version_that_was_kept_is_served_again(cli: Callable[..., Any], published: Path) -> None:
    assert (served(published, "four"), served(published, "four_segment")) == ([2], [1, 2])
    back = cli("rollback", "four", "--repository", "models", "--json").document
    assert (back["name"], back["version"], back["previous"]) == ("four", 1, 2)
    assert back["repository"] == str(published)
    assert (served(published, "four"), served(published, "four_segment")) == ([1], [1, 2])
    assert cli("rollback", "four", "--repository", "models").code == 2
    forth = cli("rollback", "four", "--to", 2, "--repository", "models")
    assert (forth.code, forth.out) == (0, f"four version 2 in place of 1 in {published}\n")
    assert served(published, "four") == [2]
    assert cli("preflight", "models").code == 0


def test_a_repository_says_what_was_published_and_what_is_current(cli: Callable[..., Any], published: Path) -> None:
    cli("rollback", "four", "--repository", "models")
    document = cli("repository", "status", "models", "--json").document
    assert (document["repository"], document["server"]) == (str(published), None)
    (one,) = document["sets"]
    assert (one["name"], one["current"], one["served"], one["differences"]) == ("four", 1, None, [])
    first, second = one["versions"]
    assert (first["version"], first["slots"], first["queue"], second["slots"]) == (1, 8, 99, 16)
    assert (first["policies"], first["evidence"], first["gated"]) == (["fixed", "adaptive"], ["on-target"], True)
    assert (first["topologies"], first["targets"], first["precisions"]) == (["segment"], ["cpu"], ["fp32"])
    assert {gate["verdict"] for gate in first["gates"]} == {"pass"}
    assert first["digest"] != second["digest"]
    shown = cli("repository", "status", "models")
    assert (shown.code, shown.err) == (0, "")
    for words in ("four", "current", "adaptive", "on-target", first["digest"][:8], second["digest"][:8]):
        assert words in shown.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rollback four --repository models --to 9", ["four has no version 9", "there are: 1, 2"]),
        ("rollback five --repository models", ["models holds no set named five", "four"]),
        ("rollback four --repository .", ["is not a model repository of hrm-trt"]),
        ("repository status .", ["is not a model repository of hrm-trt"]),
        ("repository load models --name five --server URL", ["models holds no set named five"]),
        ("probe URL --repository models --name five", ["models holds no set named five"]),
        ("probe ftp://here", ["'ftp://here' is not the URL of a server", "http://localhost:8000"]),
        ("drain http://", ["'http://' is not the URL of a server"]),
    ],
)
def test_what_is_not_there_is_told(
    cli: Callable[..., Any], published: Path, nowhere: str, line: str, words: list[str]
) -> None:
    cli(*line.replace("URL", nowhere).split()).assert_refused(2, *words)
    assert served(published, "four") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "publish sudoku-4x4-cpu-fp32 --repository new --workdir DEMO --server URL",
        "rollback four --repository models --server URL",
        "repository load models --server URL",
        "repository status models --server URL",
        "preflight models --server URL",
        "probe URL",
        "probe URL --repository models",
        "drain URL",
    ],
)
def test_without_a_server_nothing_is_done(
    cli: Callable[..., Any], published: Path, nowhere: str, demo: Path, line: str
) -> None:
    for url in (f"http://{nowhere}", f"grpc://{nowhere}"):
        words = line.replace("URL", url).replace("DEMO", str(demo)).split()
        if line.startswith("preflight"):  # it asks a server only for the sake of plans, and there are none
            assert cli(*words).code == 0
            continue
        cli(*words).assert_refused(3, f"no Triton server answers at {url}", "8000")
        error = json.loads(cli(*words, "--json").out)["error"]
        assert error["exit_code"] == 3
    assert (served(published, "four"), Path("new").exists()) == ([2], False)


def test_a_server_has_to_be_named_to_load_to(cli: Callable[..., Any], published: Path) -> None:
    assert cli("repository", "load", "models").code == 2
