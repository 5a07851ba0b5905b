"""Repositories by what a user calls them: a directory, or the URL of a store that fsspec reaches (s3://bucket/models).

Triton writes such URLs in a way of its own: a store that is not AWS's is s3://http://host:port/bucket/models to
tritonserver, and s3://bucket/models here, where the address is AWS_ENDPOINT_URL's.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hrm.errors import HrmTrtError
from triton_models import ownership, repository
from triton_models.publication import Publication
from triton_models.remote.lock import held
from triton_models.remote.shadow import Shadow
from triton_models.remote.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from triton_models.publication import Published
    from triton_models.repository import Verify

    Steps = Callable[[Path, Verify], AbstractContextManager[Publication]]
    """What puts a version in place in a directory, given what finds damaged files there."""


def is_remote(location: str) -> bool:
    """Whether a repository is not a directory that this machine's paths reach."""
    return "://" in location and urlsplit(location).scheme != "file"


def full(location: str) -> str:
    """A repository's absolute path, or its URL."""
    return location.rstrip("/") if is_remote(location) else str(_directory(location))


def check_destination(location: str, name: str) -> None:
    """Refuse, before any work, what publishing would refuse at its end.

    Raises:
        RepositoryError: no model can have this name, or the repository holds something else.
        UnwritableError: it cannot be looked into.
        UnreachableError: the store does not answer.
    """
    if not is_remote(location):
        ownership.check_destination(_directory(location), name)
        return
    with _copy(location) as (store, root):
        Shadow(store, root).pull()
        ownership.check_destination(root, name)


@contextlib.contextmanager
def reading(location: str, *, everything: bool = False) -> Iterator[Path]:
    """A repository in a directory: itself, or a copy that is gone afterwards, and that nobody should write to.

    Args:
        location: a path or URL.
        everything: of a copy, whether engines are brought as well; without, they are empty files.

    Raises:
        UnreachableError: the store does not answer.
        RepositoryError: it holds something else than a repository of ours.
    """
    if not is_remote(location):
        yield _directory(location)
        return
    with _copy(location) as (store, root):
        shadow = Shadow(store, root)
        shadow.pull()
        if everything:
            shadow.download()
        yield root


@contextlib.contextmanager
def working(location: str, steps: Steps) -> Iterator[Publication]:
    """Take the steps of a publication or a roll-back in the repository at ``location``; errors are theirs.

    In a store each step is over when the store has been changed and what was uploaded has been looked at.

    Raises:
        UnreachableError: the store does not answer.
        UnwritableError: it allows these credentials too little.
        StorageError: what was uploaded is not what is there.
        RepositoryError: another publisher keeps the repository.
    """
    if not is_remote(location):
        with steps(_directory(location), repository.damaged) as work:
            yield work
        return
    with _copy(location) as (store, root), held(store) as lock:
        shadow = Shadow(store, root, lock.check)
        shadow.pull()
        shadow.clear()
        with steps(root, shadow.damaged) as work:
            shadow.push()
            state = {each.name: getattr(work, each.name) for each in fields(work)}
            yield _Pushed(**state, shadow=shadow, url=store.url)


@dataclass(frozen=True)
class _Pushed(Publication):
    """A publication of which each step is taken in a store as well."""

    shadow: Shadow
    url: str

    @property
    def published(self) -> Published:
        """What the publication comes to."""
        return replace(super().published, repository=self.url)

    def commit(self) -> None:
        """Make the version the current one."""
        super().commit()
        self.shadow.push()

    def tidy(self) -> None:
        """Serve and keep the last versions alone, after ``commit``."""
        super().tidy()
        self.shadow.push()

    def abandon(self) -> None:
        """Make the previous version the current one again, and remove this one if it is new."""
        super().abandon()
        self.shadow.push()


@contextlib.contextmanager
def _copy(url: str) -> Iterator[tuple[Store, Path]]:
    """A store, and an empty directory that errors don't speak of."""
    with tempfile.TemporaryDirectory(prefix="hrm-trt-") as root:
        store = Store(url)
        try:
            yield store, Path(root)
        except HrmTrtError as error:
            for part in ("what", "why", "hint"):
                setattr(error, part, getattr(error, part).replace(root, store.url))
            raise


def _directory(location: str) -> Path:
    parts = urlsplit(location)
    return Path(unquote(parts.path) if parts.scheme == "file" else location).absolute()
