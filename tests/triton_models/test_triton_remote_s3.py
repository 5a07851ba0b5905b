"""The same with a real S3 server, over its protocol: what is stored, who wins, what is said, and what Triton loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import server
from bucket import Bucket, serving
from s3fs import S3FileSystem
from test_triton_shelf import listing, loadable
from tiny_bundles import tiny_bundle

from hrm.errors import RepositoryError, UnreachableError
from hrm_trt.cli import edge
from triton_models.publish import publish
from triton_models.remote.store import Store
from triton_models.server.control import connect
from triton_models.server.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODELS = ("tiny_encoder", "tiny_segment", "tiny")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with serving(tmp_path / "s3") as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # one that another test has made knows another server
        yield found


def cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """The document that a command prints."""
    code = edge.run([*map(str, arguments), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == 0, document
    return document


def test_the_command_line_publishes_and_goes_back(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = bucket.url("models")
    for number in (1, 2):
        bundle = tiny_bundle(tmp_path / str(number), seed=number)
        document = cli(capsys, "publish", bundle, "--repository", url, "--name", "tiny")
        assert (document["repository"], document["version"]) == (url, number)
    assert cli(capsys, "rollback", "tiny", "--repository", url)["version"] == 1
    status = cli(capsys, "repository", "status", url)
    assert status["repository"] == url
    assert [(one["name"], one["current"], len(one["versions"])) for one in status["sets"]] == [("tiny", 1, 2)]
    assert cli(capsys, "preflight", url)["problems"] == []
    assert {path.name for path in (bucket.directory / "models").iterdir()} == {*MODELS, "hrm-trt.json"}


def test_preflight_looks_into_engines_that_lie_in_a_store(
    bucket: Bucket, segment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish([segment], bucket.url("models"), "tiny", keep=1)
    (bucket.directory / "models/tiny_segment/1/model.onnx").write_bytes(b"not a graph")
    assert edge.run(["preflight", bucket.url("models"), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["model"] == "tiny_segment"


def test_of_two_writers_one_creates(bucket: Bucket) -> None:
    store = Store(bucket.url("models"))
    assert store.create("lock", b"one")
    assert not store.create("lock", b"two")
    assert store.read(["lock", "none"]) == {"lock": b"one"}


def test_large_files_arrive_whole(bucket: Bucket, tmp_path: Path) -> None:
    source = tmp_path / "engine"
    source.write_bytes(os.urandom(1024) * (110 * 1024))  # goes in three parts
    store = Store(bucket.url("models"))
    store.upload(source, "engine")
    store.check({"engine": source})
    (bucket.directory / "models/engine").write_bytes(bytes(source.stat().st_size))
    with pytest.raises(Exception, match="engine did not arrive whole"):
        store.check({"engine": source})


def test_what_is_wrong_with_a_store_is_said(bucket: Bucket, segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RepositoryError, match="there is no s3://nowhere/models"):
        publish([segment], "s3://nowhere/models", "tiny", keep=1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(UnreachableError, match=r"s3://bucket/models.* does not") as refused:
        publish([segment], bucket.url("models"), "tiny", keep=1)
    assert "AWS_ENDPOINT_URL" in refused.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 20, 34, 40])
def test_a_publisher_that_is_killed_at_a_request_leaves_one_whole_version(
    bucket: Bucket, tmp_path: Path, step: int
) -> None:
    old, new = tiny_bundle(tmp_path / "old"), tiny_bundle(tmp_path / "new", seed=1)
    url, models = bucket.url("models"), bucket.directory / "models"
    publish([old], url, "tiny", keep=1)
    before = loadable(models)
    requests = 0

    def kill() -> bool:
        nonlocal requests
        requests += 1
        if requests == step:
            child.kill()
            child.wait()
        return requests < step

    bucket.before_change = kill
    command = [sys.executable, "-m", "hrm_trt", "publish", new, "--repository", url, "--name", "tiny", "--keep", "1"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert child.wait() == -9
    found = loadable(models)
    bucket.before_change = lambda: True
    published = publish([new], url, "tiny", keep=1)
    assert published.version == 2
    after = loadable(models)
    assert found in (before, after)
    assert not [name for name in listing(models) if "/1/" in name or name.startswith(".hrm-trt")]


@pytest.mark.slow
@pytest.mark.triton
def test_a_server_that_reads_the_bucket_is_rolled_over_to_a_new_version(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = bucket.url("models")
    publish([tiny_bundle(tmp_path / "old")], url, "tiny", keep=1)
    with server.running(tmp_path, tmp_path, {"model-repository": bucket.triton_url("models")}) as running:
        (loaded,) = cli(capsys, "repository", "load", url, "--server", running.http)["solvers"]
        assert (loaded["name"], loaded["version"]) == ("tiny", 1)
        new = tiny_bundle(tmp_path / "new", seed=1)
        arguments = ("publish", new, "--repository", url, "--name", "tiny", "--keep", "1", "--server", running.http)
        assert cli(capsys, *arguments)["served"]["version"] == 2
        control = connect(running.http)
        assert probe(control, "tiny", 30).version == 2
        assert control.ready("tiny_segment") == (2,)
        status = cli(capsys, "repository", "status", url, "--server", running.http)
        assert status["sets"][0]["differences"] == []
