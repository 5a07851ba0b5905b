"""What happens to requests when a server is stopped."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest
from tiny_site import SECONDS, open_site
from traffic import answers_of

from hrm.errors import RepositoryError, ServerError
from triton_models.server.drain import drain
from triton_models.server.reload import serve_current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tiny_site import Site

pytestmark = pytest.mark.triton
REFUSED = "NOT_FOUND: Request for unknown model: 'tiny' has no available versions"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as opened:
        opened.publish("tiny", opened.bundle(1))
        yield opened


def test_a_server_that_was_drained_loses_no_request_when_it_is_stopped(site: Site) -> None:
    with site.traffic("tiny", until_refused=True) as traffic:
        traffic.wait_for(200)
        assert drain(site.control, (), SECONDS) == ("tiny",)
        assert site.control.busy("tiny") == ()
        os.kill(site.started.pid, signal.SIGTERM)
    assert traffic.errors == {REFUSED: traffic.clients}
    assert traffic.mixed({1: answers_of(site.bundle(1))}) == []
    assert psutil.Process(site.started.pid).wait(SECONDS) == 0


def test_draining_can_be_given_up_and_gone_on_with(site: Site) -> None:
    with site.traffic("tiny", until_refused=True) as traffic:
        traffic.wait_for(50)
        with pytest.raises(ServerError, match=r"tiny version 1 still has requests after 0\.001 seconds"):
            drain(site.control, (), 0.001)
        assert drain(site.control, ["tiny"], SECONDS) in ((), ("tiny",))
    assert traffic.errors == {REFUSED: traffic.clients}
    assert drain(site.control, (), SECONDS) == ()
    with pytest.raises(RepositoryError, match="has no model huge"):
        drain(site.control, ["huge"], SECONDS)
    assert serve_current(site.loading, site.repository, "tiny").version == 1
