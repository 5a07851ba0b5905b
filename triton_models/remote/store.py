"""Files in a store that fsspec reaches (S3, Google Cloud Storage, …): listed, read, written, and looked at again.

A store has no rename and no directories: a file is there whole from the moment that its upload ends, under its name and
no other.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import MissingError, RepositoryError, StorageError, UnreachableError, UnwritableError, UsageError
from hrm.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_LIBRARIES = {
    "aiohttp": "ClientError",
    "azure.core.exceptions": "AzureError",
    "botocore.exceptions": "BotoCoreError",
    "gcsfs.retry": "HttpError",
    "google.auth.exceptions": "GoogleAuthError",
}
"""What the libraries behind fsspec's stores raise beside OSError, where they are installed."""


@dataclass(frozen=True)
class Entry:
    """A file as a store lists it."""

    size: int
    tag: str
    """The store's own, which may be an MD5; empty where it has none."""


class Store:
    """The files below one URL, by their names relative to it.

    Every method raises:
        UnreachableError: the store does not answer, or refuses these credentials.
        UnwritableError: it allows them too little.
        RepositoryError: there is no such bucket or file.

    Args:
        url: such as s3://bucket/models.

    Raises:
        MissingError: the package that reaches such stores is not installed.
        UsageError: fsspec knows no such URLs.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, root = _open(self.url)
        self._root = root.rstrip("/")

    def list(self) -> dict[str, Entry]:
        """Every file."""
        with self._reaching("be listed"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                found = {}
        return {
            path.removeprefix(self._root).lstrip("/"): Entry(each["size"], str(each.get("ETag", "")).strip('"'))
            for path, each in found.items()
        }

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of small files, those of ``names`` that are there."""
        paths = {self._path(name): name for name in names}
        with self._reaching("be read"):
            found = self._fs.cat(list(paths), on_error="omit") if paths else {}
        return {paths[path]: bytes(content) for path, content in found.items()}

    def download(self, name: str, target: Path) -> None:
        """Copy a file to this machine."""
        with self._reaching("give a file", name):
            self._fs.get_file(self._path(name), str(target))

    def digest(self, name: str) -> str:
        """Hex SHA-256 of a file's bytes, all of which are read."""
        with self._reaching("give a file", name), self._fs.open(self._path(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, in place of any other of its name."""
        with self._reaching("take a file", name):
            self._fs.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file unless there is one of its name; whether it was written.

        S3 decides that for all writers. Other stores may only be asked first, and two writers may then both succeed.
        """
        with self._reaching("take a file", name):
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except OSError:
                if not self._fs.exists(self._path(name)):
                    raise
                return False
        return True

    def upload(self, source: Path, name: str) -> None:
        """Copy a file from this machine; ``check`` says whether it has arrived."""
        with self._reaching("take a file", name):
            self._fs.put_file(str(source), self._path(name))

    def check(self, sources: Mapping[str, Path]) -> None:
        """Make sure that what was uploaded is there to the last byte: ``sources`` by the names that they got.

        A tag that is the file's MD5 says so; where the store's tags are something else, the file is read.

        Raises:
            StorageError: a file is not what was uploaded.
        """
        entries = self.list() if sources else {}
        for name, source in sources.items():
            entry = entries.get(name)
            if entry is None or entry.size != source.stat().st_size:
                raise self._not_whole(name, f"it has {'nothing' if entry is None else f'{entry.size} bytes'} there")
            if entry.tag != _md5(source) and self.digest(name) != sha256_file(source):
                raise self._not_whole(name, "what can be read there are other bytes")

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._reaching("remove a file", name), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _not_whole(self, name: str, why: str) -> StorageError:
        return StorageError(
            f"{self.url}/{name} did not arrive whole",
            why=why,
            hint="run the same command again; nothing that a server loads was changed",
        )

    @contextlib.contextmanager
    def _reaching(self, what: str, name: str = "") -> Iterator[None]:
        """Turn what the store's library raises into our errors."""
        place = f"{self.url}/{name}".rstrip("/")
        try:
            yield
        except PermissionError as error:
            raise UnwritableError(
                f"{place} cannot be reached with these credentials",
                why=_words(error),
                hint="publishing lists, reads, writes and removes objects; reading lists and reads them",
            ) from error
        except FileNotFoundError as error:
            raise RepositoryError(
                f"there is no {place}", why=_words(error), hint="check the URL; buckets are not made by hrm-trt"
            ) from error
        except _faults() as error:
            raise UnreachableError(
                f"{place} does not {what}",
                why=_words(error),
                hint="check the URL, the network, and the credentials and endpoint that fsspec finds for it "
                "(for s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)",
            ) from error


def _open(url: str) -> tuple[Any, str]:
    """The file system that ``url`` needs, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingError(
            f"{url} needs the package fsspec",
            why="fsspec is not installed in this environment",
            hint="pip install 'hrm-trt[remote]'",
        ) from error
    try:
        fs, path = url_to_fs(url)
    except ImportError as error:
        raise MissingError(
            f"{url} needs a package that is not installed",
            why=_words(error),
            hint="pip install 'hrm-trt[remote]' for s3://, gcsfs for gs://, adlfs for az://",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{url!r} is not the URL of a store",
            why=_words(error),
            hint="for example s3://bucket/models, or a directory",
        ) from error
    return fs, str(path)


def _faults() -> tuple[type[Exception], ...]:
    found: list[type[Exception]] = [OSError]
    for module, name in _LIBRARIES.items():
        with contextlib.suppress(ImportError):
            found.append(getattr(importlib.import_module(module), name))
    return tuple(found)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
