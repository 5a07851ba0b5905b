"""fsspec's ``memory://`` as a store that tests look into, that damages files, and whose clients die at any change."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from triton_models.publication import publication
from triton_models.remote.place import working

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from triton_models.publication import Publication

URL = "memory://bucket/models"
ROOT = "/bucket/models"


class Killed(BaseException):
    """The publisher's process has ended."""


@dataclass
class Memory:
    """What lies in the store, and how many more changes its client lives to make."""

    left: float = float("inf")
    changes: list[str] = field(default_factory=list)
    damage: str | None = None
    """The name of a file of which the last byte is lost on the way."""

    def files(self) -> dict[str, bytes]:
        store = MemoryFileSystem.store
        return {path.removeprefix(f"{ROOT}/"): file.getvalue() for path, file in store.items()}

    def set(self, files: dict[str, bytes]) -> None:
        MemoryFileSystem.store.clear()
        for name, content in files.items():
            self.write(name, content)

    def write(self, name: str, content: bytes) -> None:
        fsspec.filesystem("memory").open(f"{ROOT}/{name}", "wb").close()
        MemoryFileSystem.store[f"{ROOT}/{name}"].write(content)

    def remove(self, name: str) -> None:
        del MemoryFileSystem.store[f"{ROOT}/{name}"]

    def copy(self, directory: Path) -> Path:
        """The store's files in a new directory."""
        directory.mkdir()
        for name, content in self.files().items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        return directory

    def change(self, kind: str, path: str) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        self.changes.append(f"{kind} {path.removeprefix('memory:/').removeprefix(f'{ROOT}/')}")


@contextmanager
def empty_memory() -> Iterator[Memory]:
    """An empty store below ``URL``."""
    found = Memory()
    found.set({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", "/dev/shm")  # where nothing waits for a disk
        for method, position in (("put_file", 1), ("pipe_file", 0), ("rm_file", 0)):
            patch.setattr(MemoryFileSystem, method, _counted(found, method, position))
        yield found
    found.set({})


def _counted(memory: Memory, method: str, position: int) -> Any:
    original = getattr(MemoryFileSystem, method)

    def call(self: MemoryFileSystem, *arguments: Any, **options: Any) -> Any:
        path = arguments[position]
        memory.change(method, path)
        result = original(self, *arguments, **options)
        if method == "put_file" and memory.damage and path.endswith(memory.damage):
            file = self.store[self._strip_protocol(path)]
            file.truncate(len(file.getvalue()) - 1)
        return result

    return call


def publishing(bundle: Path) -> AbstractContextManager[Publication]:
    """The steps of a publication of ``bundle``."""
    return working(URL, lambda place, verify: publication([bundle], place, "tiny", keep=1, verify=verify))
