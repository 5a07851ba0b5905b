"""The command line against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tiny_site import open_site

from hrm_trt.cli import edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tiny_site import Site

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("commands")) as opened:
        yield opened


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command line; its exit code, and what it said or its one document."""

    def command(*line: object) -> tuple[int, Any]:
        capfd.readouterr()
        code = edge.run([str(word) for word in line])
        out, err = capfd.readouterr()
        return code, json.loads(out) if "--json" in line else out + err

    return command


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_set_from_its_first_version_to_its_end(site: Site, run: Callable[..., Any], protocol: str) -> None:
    url = f"{protocol}://{getattr(site.started, protocol)}"
    there, server = ("--repository", site.repository), ("--server", url)
    for version in (1, 2):
        line = ("publish", site.bundle(version), *there, "--name", protocol, *server, "--json")
        code, published = run(*line)
        assert code == 0, published
        assert (published["version"], published["served"]["version"]) == (version, version)

    code, said = run("rollback", protocol, *there, *server)
    assert code == 0
    assert said.splitlines()[0] == f"{protocol} version 1 in place of 2 in {site.repository}"
    assert f"✓ {protocol} version 1 answers" in said

    assert run("rollback", protocol, *there, "--to", 2)[0] == 0
    ours = next(one for one in status(run, site, *server) if one["name"] == protocol)
    assert (ours["current"], ours["served"]) == (2, [1])
    assert ours["differences"] == [f"the repository names version 2 of {protocol}, and 1 is being served"]
    assert "and 1 is being served" in run("repository", "status", site.repository, *server)[1]
    code, said = run("probe", url, "--name", protocol, *there)
    assert code == 4
    assert "version 1 answers, and version 2 should" in said
    code, loaded = run("repository", "load", site.repository, "--name", protocol, *server, "--json")
    assert (code, loaded["solvers"][0]["version"]) == (0, 2)
    assert run("probe", url, *there)[0] == 0

    code, drained = run("drain", url, "--name", protocol, "--json")
    assert (code, drained["drained"]) == (0, [protocol])
    code, said = run("probe", url, "--name", protocol)
    assert code == 4
    assert f"{protocol} is not being served" in said
    assert run("drain", url, "--name", "nothing")[0] == 2
    assert run("repository", "load", site.repository, *server)[0] == 0


def status(run: Callable[..., Any], site: Site, *server: str) -> list[dict[str, Any]]:
    code, document = run("repository", "status", site.repository, *server, "--json")
    assert code == 0
    return list(document["sets"])
