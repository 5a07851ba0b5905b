"""Two publishers at one store: who waits for whom, and when one gives way."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from memory_store import URL, Memory, empty_memory, publishing

from hrm.errors import RepositoryError
from triton_models.publish import publish
from triton_models.remote import lock as remote_lock
from triton_models.remote.lock import Lease
from triton_models.repository import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def memory() -> Iterator[Memory]:
    with empty_memory() as found:
        yield found


def lease(**changes: Any) -> bytes:
    values = {"owner": "o", "who": "ada", "host": "elsewhere", "process": 7, "until": 1e12}
    return json.dumps(Lease(**values | changes).model_dump()).encode()


def test_a_publisher_waits_for_another_and_says_who_it_is(
    memory: Memory, segment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.write(LOCK, lease())
    monkeypatch.setattr(remote_lock, "WAIT_SECONDS", 0.1)
    with pytest.raises(RepositoryError, match=f"{URL} is being published to by another process") as error:
        publish([segment], URL, "tiny", keep=1)
    assert "ada, process 7 on elsewhere, has held" in error.value.why
    assert memory.files() == {LOCK: lease()}


@pytest.mark.parametrize("stale", [{"until": 1.0}, {"host": remote_lock.socket.gethostname(), "process": 2**22 + 1}])
def test_a_lock_whose_owner_has_died_or_not_renewed_it_is_taken(
    memory: Memory, segment: Path, stale: dict[str, Any]
) -> None:
    memory.write(LOCK, lease(**stale))
    assert publish([segment], URL, "tiny", keep=1).version == 1
    assert LOCK not in memory.files()


def test_a_lock_is_renewed_while_work_goes_on(memory: Memory, segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_lock, "LEASE_SECONDS", 0.2)
    with publishing(segment) as work:
        first = Lease.model_validate_json(memory.files()[LOCK])
        assert remote_lock.wait_until(lambda: Lease.model_validate_json(memory.files()[LOCK]).until > first.until, 5)
        work.commit()
    assert LOCK not in memory.files()


def test_a_publisher_whose_lock_was_taken_changes_nothing_more(
    memory: Memory, segment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_lock, "LEASE_SECONDS", 0.1)
    taken = pytest.raises(RepositoryError, match="is being published to by another process")
    with taken, publishing(segment) as work:
        memory.write(LOCK, lease(owner="another"))
        next(thread for thread in threading.enumerate() if thread.name == "lock").join(5)
        work.commit()
    assert memory.files()[LOCK] == lease(owner="another")
    assert "tiny/config.pbtxt" not in memory.files()
