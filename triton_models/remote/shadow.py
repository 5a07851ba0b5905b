"""A repository in a store, worked on in a directory of this machine: its documents lie there, its engines' names only.

What publishes to a directory works in the shadow. Afterwards ``push`` makes the store the same, in an order in which a
server that reads it at any moment finds one whole version behind the solver's configuration, old or new:

1. the marker, with what it gains;
2. new versions, their manifests after everything else;
3. configurations: of engines, which name the old and the new version, before that of the solver, which commits;
4. what goes: configurations, then manifests, then everything else; and last the marker, without what it loses.

A version directory that is being written or removed is named in ``.hrm-trt.unfinished`` meanwhile. Without a manifest
it is what a killed publisher left, and the next one removes it; one that is not named there is somebody else's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from triton_models.config import CONFIG, parse_config
from triton_models.remote.ledger import Ledger
from triton_models.remote.names import UNFINISHED, is_document, is_left, is_manifest, model_of, version_of
from triton_models.repository import LOCK, MARKER, SCRATCH, read_marker
from triton_models.solver.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from engines.bundle import StoredFile
    from triton_models.manifest import Marker
    from triton_models.remote.store import Store


class Shadow:
    """The repository in ``store``, in the directory ``root``.

    Args:
        store: where it lies.
        root: an empty directory.
        check: called before each change; what it raises keeps the change from being made.
    """

    def __init__(self, store: Store, root: Path, check: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._root = root
        self._there = Ledger(store, root, check)

    def pull(self) -> None:
        """Make the directory what the store is.

        Raises:
            RepositoryError: what lies there is not a repository of ours.
        """
        entries = self._store.list()
        found = self._store.read(name for name in (MARKER, UNFINISHED) if name in entries)
        if MARKER not in found:
            self._pull_strangers(entries)
            return
        _write(self._root / MARKER, found[MARKER])
        ours = set(_models(read_marker(self._root)))
        self._there.note(found[MARKER], found.get(UNFINISHED))
        left = {name for name in entries if is_left(name, entries, self._there.unfinished)}
        names = [name for name in entries if model_of(name) in ours and name not in left]
        contents = self._store.read(filter(is_document, names))
        self._there.files = {name: contents.get(name) for name in names}
        for name, content in self._there.files.items():
            _write(self._root / name, content or b"")
        for model in {model_of(name) for name in entries} - ours - {""}:
            (self._root / model).mkdir()

    def clear(self) -> None:
        """Remove from the store what killed publishers have left of versions."""
        entries = self._store.list() if self._there.unfinished else {}
        self._there.remove(name for name in entries if is_left(name, entries, self._there.unfinished))
        self._there.write_unfinished(frozenset())

    def download(self) -> None:
        """Bring everything else of the repository to the directory as well."""
        for name, content in self._there.files.items():
            if content is None:
                self._store.download(name, self._root / name)

    def damaged(self, _: Path, files: Iterable[StoredFile]) -> Iterator[tuple[Path, str]]:
        """As ``repository.damaged``, of the files in the store: each of them is read."""
        entries = self._store.list()
        for file in {file.file: file for file in files}.values():
            path, entry = self._root / file.file, entries.get(file.file)
            if entry is None:
                yield path, f"there is no {path.name}"
            elif entry.size != file.bytes or self._store.digest(file.file) != file.sha256:
                yield path, f"{path.name} is not the file that was published"

    def push(self) -> None:
        """Make the store what the directory is."""
        marker, here = read_marker(self._root), set(self._files())
        changed = {name for name in here if self._is_changed(name)}
        anew = {version_of(name) for name in changed if is_manifest(name)}  # it has the number of what was never whole
        new = {name for name in here if name not in self._there.files or version_of(name) in anew}
        gone = set(self._there.files) - here
        configs = {name for name in new | changed if not version_of(name)}
        solvers = {f"{name}/{CONFIG}" for name in (*marker.sets, *self._there.marker.sets)}

        self._there.write_marker(_union(self._there.marker, marker))
        self._there.write_unfinished(frozenset(version_of(name) for name in new | gone) - {""})
        self._there.upload(name for name in new if version_of(name) and not is_manifest(name))
        self._there.upload(name for name in new if is_manifest(name))
        self._configure(configs - solvers, configs & solvers, gone & solvers)
        self._there.remove(gone - solvers)
        self._there.write_marker(marker)
        self._there.write_unfinished(frozenset())

    def _configure(self, engines: set[str], solvers: set[str], gone: set[str]) -> None:
        """Change configurations: at no moment does a solver's name a version that its engines' don't."""
        first = {name for name in solvers if self._is_served(name)}
        self._there.upload(first)
        self._there.remove(gone | ((solvers - first) & set(self._there.files)))
        self._there.upload(engines)
        self._there.upload(solvers - first)

    def _is_served(self, config: str) -> bool:
        """Whether the engines' configurations in the store name the version that this solver's here does."""
        home = (self._root / config).parent
        versions = _versions((self._root / config).read_bytes())
        settings = [json.loads((home / str(version) / SETTINGS).read_bytes()) for version in versions]
        called = {f"{engine}/{CONFIG}" for each in settings for engine in each["models"].values()}
        return all(versions <= _versions(self._there.files.get(engine)) for engine in called)

    def _files(self) -> Iterator[str]:
        """The files in the directory that belong in the store, without the marker."""
        for path in self._root.rglob("*"):
            name = path.relative_to(self._root)
            if path.is_file() and len(name.parts) > 1 and SCRATCH not in name.parts:
                yield name.as_posix()

    def _is_changed(self, name: str) -> bool:
        """Whether a document has other contents than in the store."""
        content = self._there.files.get(name)
        return content is not None and (self._root / name).read_bytes() != content

    def _pull_strangers(self, entries: Iterable[str]) -> None:
        """Show that something lies there, in which nothing of ours may be put."""
        for name in entries:
            top = name.partition("/")[0]
            if top not in (LOCK, UNFINISHED):
                (self._root / top).touch()


def _models(marker: Marker) -> Iterator[str]:
    return (model for models in marker.sets.values() for model in models)


def _union(one: Marker, other: Marker) -> Marker:
    """Everything that either names."""
    names = dict.fromkeys((*one.sets, *other.sets))
    both = {name: tuple(dict.fromkeys((*one.sets.get(name, ()), *other.sets.get(name, ())))) for name in names}
    return one.model_copy(update={"sets": both})


def _versions(config: bytes | None) -> set[int]:
    """The versions that a configuration names; none where it cannot be read."""
    try:
        return set(parse_config((config or b"").decode()).version_policy.specific.versions)
    except ValueError:
        return set()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
