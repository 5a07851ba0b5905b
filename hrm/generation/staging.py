"""A directory that is whole or absent."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hrm.errors import DatasetError, from_os_error
from hrm.files import sync
from hrm.locks import alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def staged(directory: Path) -> Iterator[Path]:
    """An empty directory to write to, ``.<name>.unfinished`` beside ``directory``.

    It becomes ``directory`` in one step when the block ends well, and is removed when it does not. What a killed run
    left there is removed by the next one.

    Raises:
        DatasetError: another run is writing the same directory.
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    place = directory.absolute()
    staging = place.with_name(f".{place.name}.unfinished")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield staging
                sync(staging)
                staging.replace(place)
                sync(place.parent)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise from_os_error(error, directory) from error


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep other runs from writing ``place``, as long as this one lives."""
    lock = place.with_name(f".{place.name}.lock")
    occupied = DatasetError(
        f"{place} is being written by another run",
        why=f"it holds the lock {lock}",
        hint="wait until it has ended, or choose another directory",
    )
    with alone(lock, occupied):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
