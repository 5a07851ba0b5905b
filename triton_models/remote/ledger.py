"""What a store has of a repository, kept up to date while it is changed one file at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hrm.errors import RepositoryError
from triton_models.manifest import Marker
from triton_models.remote.names import UNFINISHED, is_document, order_of_removal
from triton_models.repository import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from triton_models.remote.store import Store


class Ledger:
    """The files of ours in ``store``.

    Args:
        store: where they lie.
        root: the directory whose files are uploaded, under the names that they have there.
        check: called before each change; what it raises keeps the change from being made.
    """

    def __init__(self, store: Store, root: Path, check: Callable[[], None]) -> None:
        self.files: dict[str, bytes | None] = {}
        """By name, without the marker; the contents of documents."""
        self.marker = Marker()
        self.unfinished: frozenset[str] = frozenset()
        """Version directories that somebody was writing or removing."""
        self._store = store
        self._root = root
        self._check = check

    def note(self, marker: bytes | None, unfinished: bytes | None) -> None:
        """Take note of what the store has beside its models.

        Raises:
            RepositoryError: it cannot be read.
        """
        try:
            if marker is not None:
                self.marker = Marker.model_validate_json(marker)
            if unfinished is not None:
                self.unfinished = frozenset(json.loads(unfinished))
        except ValueError as error:
            raise RepositoryError(
                f"{self._store.url} cannot be worked on",
                why=f"{MARKER} or {UNFINISHED} is not what hrm-trt wrote",
                hint=f"restore it; without {UNFINISHED} remove version directories that have no manifest by hand",
            ) from error

    def upload(self, names: Iterable[str]) -> None:
        """Upload these files, and make sure that they have arrived.

        Raises:
            StorageError: one has not.
        """
        sources = {name: self._root / name for name in sorted(names)}
        for name, source in sources.items():
            self._check()
            self._store.upload(source, name)
            self.files[name] = source.read_bytes() if is_document(name) else None
        self._store.check(sources)

    def remove(self, names: Iterable[str]) -> None:
        """Remove these files, configurations first."""
        for name in sorted(names, key=order_of_removal):
            self._check()
            self._store.remove(name)
            self.files.pop(name, None)

    def write_marker(self, marker: Marker) -> None:
        """Say which models are ours."""
        if marker != self.marker:
            self._check()
            self._store.write(MARKER, json.dumps(marker.model_dump(mode="json"), indent=2).encode() + b"\n")
            self.marker = marker

    def write_unfinished(self, versions: frozenset[str]) -> None:
        """Say which version directories are being written or removed."""
        if versions == self.unfinished:
            return
        self._check()
        if versions:
            self._store.write(UNFINISHED, json.dumps(sorted(versions)).encode())
        else:
            self._store.remove(UNFINISHED)
        self.unfinished = versions
