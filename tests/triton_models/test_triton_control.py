"""Talking to a running server, over both protocols."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import server
from tiny_site import SECONDS, open_site
from traffic import OUTPUTS, answers_of

import triton_models.server.control
from hrm.errors import MissingError, ServerError, UnreachableError, UsageError
from triton_models.server.control import Control, Held, connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tiny_site import Site

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("control")) as opened:
        opened.publish("tiny", opened.bundle(1))
        yield opened


@pytest.fixture(params=["http", "grpc", "bare"])
def control(site: Site, request: pytest.FixtureRequest) -> Control:
    urls = {"http": f"http://{site.started.http}", "grpc": f"grpc://{site.started.grpc}", "bare": site.started.http}
    return connect(urls[request.param])


def test_a_server_says_what_it_has_and_answers(site: Site, control: Control) -> None:
    assert control.metadata()["name"] == "triton"
    assert Held("tiny_segment", 1, "READY", "") in control.index()
    assert (control.ready("tiny"), control.ready("nothing")) == ((1,), ())
    signature = control.signature("tiny")
    assert (signature.inputs["inputs"], signature.outputs["depth"]) == ((-1, 3), (-1, 1))
    answer = control.infer("tiny", {"inputs": np.zeros((1, 3), np.int32)}, SECONDS)
    assert answer.version == 1
    found = tuple(answer.outputs[name].tobytes() for name in OUTPUTS)
    assert found == answers_of(site.bundle(1))[0]


def test_models_are_unloaded_and_loaded(control: Control) -> None:
    control.require_model_control()
    control.unload("tiny")
    assert control.ready("tiny") == ()
    with pytest.raises(ServerError, match="did not describe tiny") as told:
        control.signature("tiny")
    assert told.value.exit_code == 4
    control.load("tiny", SECONDS)
    assert control.ready("tiny") == (1,)
    with pytest.raises(ServerError, match="did not load nothing"):
        control.load("nothing", SECONDS)


@pytest.mark.parametrize("url", ["ftp://host:1", "http://", "http://host:port", "grpc:///path", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not the URL of a server"):
        connect(url)


@pytest.mark.parametrize(
    "url", ["http://GRPC", "grpc://HTTP", "https://HTTP", "http://FREE", "grpc://FREE", "nowhere.invalid:80"]
)
def test_where_no_server_answers_that_is_said(site: Site, url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        places = {"HTTP": site.started.http, "GRPC": site.started.grpc, "FREE": f"127.0.0.1:{free.getsockname()[1]}"}
        for name, place in places.items():
            url = url.replace(name, place)
        with pytest.raises(UnreachableError, match="no Triton server answers at ") as told:
            connect(url)
    assert told.value.exit_code == 3
    assert url in told.value.what


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_a_server_that_hangs_is_not_waited_for(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_models.server.control, "PROMPT_SECONDS", 0.2)
    with silence() as address, pytest.raises(UnreachableError) as told:
        connect(f"{scheme}://{address}")
    assert told.value.why in ("no answer in 0.2 seconds", "Deadline Exceeded")


@contextmanager
def silence() -> Iterator[str]:
    """The address of something that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_a_server_without_model_control_is_refused(tmp_path: Path, mode: str) -> None:
    (tmp_path / "repository").mkdir()
    with server.running(tmp_path / "repository", tmp_path, {"model-control-mode": mode}) as started:
        for url in (f"http://{started.http}", f"grpc://{started.grpc}"):
            with pytest.raises(MissingError, match="does not load or unload models on request") as told:
                connect(url).require_model_control()
            assert told.value.exit_code == 3
