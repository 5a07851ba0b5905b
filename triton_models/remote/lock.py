"""One publisher at a time in a store that knows no locks: an object with its owner and the time until which it holds.

What this does not guarantee: that two publishers never work at once. A store that cannot create an object only if there
is none (S3 can) may let two through; so may clocks that differ by more than a lease. A publisher that finds its lock
taken stops before its next change.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import threading
import time
import uuid
from typing import TYPE_CHECKING

import psutil
from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import HrmTrtError, RepositoryError
from triton_models.repository import LOCK
from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triton_models.remote.store import Store

LEASE_SECONDS = 300.0
"""How long a lock holds unless its owner renews it, as it does four times as often."""
WAIT_SECONDS = 600.0
"""How long another publisher is waited for."""


class Lease(Document):
    """What lies in the lock."""

    owner: str
    """Of one publication; nobody else's is the same."""
    who: str
    host: str
    process: int
    until: float
    """Seconds since 1970, UTC."""

    @property
    def stale(self) -> bool:
        """Whether its owner has died or not renewed it."""
        dead = self.host == socket.gethostname() and not psutil.pid_exists(self.process)
        return dead or self.until < time.time()


class Lock:
    """A lock that is held, and renewed by a thread."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._owner = uuid.uuid4().hex
        self._lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)

    def check(self) -> None:
        """Make sure, before a change, that the lock is still ours.

        Raises:
            RepositoryError: somebody else has taken it.
        """
        if self._lost:
            raise RepositoryError(
                f"{self._store.url} is being published to by another process",
                why=f"it has taken {LOCK}, which was not renewed in time",
                hint="wait for it to end, and run the same command again: that clears what this one has left",
            )

    def take(self) -> bool:
        """Take the lock if nobody holds it."""
        found = _read(self._store)
        if found is not None and found.stale:
            self._store.remove(LOCK)
        if not self._store.create(LOCK, self._lease()):
            return False
        self._thread.start()
        return True

    def release(self) -> None:
        """Stop renewing, and let the lock go if it is still ours."""
        self._ended.set()
        self._thread.join()
        if self._ours():
            self._store.remove(LOCK)

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds / 4):
            with contextlib.suppress(HrmTrtError):  # a store that does not answer now may do so in time
                if not self._ours():
                    self._lost = True
                    return
                self._store.write(LOCK, self._lease())

    def _ours(self) -> bool:
        found = _read(self._store)
        return found is not None and found.owner == self._owner

    def _lease(self) -> bytes:
        until = time.time() + self._seconds
        host, process = socket.gethostname(), os.getpid()
        lease = Lease(owner=self._owner, who=_who(), host=host, process=process, until=until)
        return json.dumps(lease.model_dump(mode="json"), indent=2).encode()


@contextlib.contextmanager
def held(store: Store) -> Iterator[Lock]:
    """Hold the lock of a repository in ``store``, waiting for another publisher to end.

    Raises:
        RepositoryError: another publisher keeps it.
    """
    lock = Lock(store, LEASE_SECONDS)
    if not wait_until(lock.take, WAIT_SECONDS):
        found = _read(store)
        raise RepositoryError(
            f"{store.url} is being published to by another process",
            why=f"{'somebody' if found is None else f'{found.who}, process {found.process} on {found.host},'} "
            f"has held {LOCK} for {WAIT_SECONDS:.0f} seconds",
            hint="wait for it to end, and run the same command again",
        )
    try:
        yield lock
    finally:
        lock.release()


def _read(store: Store) -> Lease | None:
    """The lease in the lock; None where there is no lock, and what cannot be read holds for ever."""
    content = store.read([LOCK]).get(LOCK)
    if content is None:
        return None
    try:
        return Lease.model_validate_json(content)
    except ValidationError:
        return Lease(owner="", who="somebody", host="", process=0, until=float("inf"))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"user {os.getuid()}"
