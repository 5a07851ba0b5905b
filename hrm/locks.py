"""A place that one process at a time works in."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import filelock

from hrm.errors import from_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrm.errors import HrmTrtError


@contextmanager
def alone(path: Path, occupied: HrmTrtError) -> Iterator[None]:
    """Hold the lock file ``path``; the system lets go of it when this process dies.

    Raises:
        HrmTrtError: ``occupied``, if another process holds it.
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise occupied from error
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        yield
    finally:
        lock.release()
