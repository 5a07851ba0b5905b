"""What a publisher may write to: names that a model can have, and places that hold nothing of anybody else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hrm.errors import RepositoryError, from_os_error
from triton_models.repository import LOCK, MARKER, read_marker

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_destination(repository: Path, name: str) -> None:
    """Refuse, before any work, what publishing would refuse at its end.

    Raises:
        RepositoryError: no model can have this name, or the repository holds something else.
        UnwritableError: it cannot be looked into.
    """
    check_name(name)
    try:
        check_ours(repository)
    except OSError as error:
        raise from_os_error(error, repository) from error


def check_name(name: str) -> None:
    """Refuse what cannot be a directory's name or stand in a URL.

    Raises:
        RepositoryError: no model can have this name.
    """
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"{name!r} cannot be a model's name",
            why="it becomes the name of directories and a part of URLs",
            hint="use letters, digits, '-', '_' and '.', starting with a letter or digit",
        )


def check_ours(repository: Path) -> None:
    """Refuse a directory with contents but no marker; the beginnings of our own are no contents.

    Raises:
        RepositoryError: it holds something that hrm-trt did not write.
    """
    if (repository / MARKER).is_file():
        read_marker(repository)
        return
    entries = repository.iterdir() if repository.is_dir() else iter(())
    others = sorted(path.name for path in entries if path.name != LOCK and not path.name.startswith(f".{MARKER}."))
    if others:
        raise RepositoryError(
            f"{repository} is not a model repository of hrm-trt",
            why=f"it holds {others[0]} and no {MARKER}; nothing there was changed",
            hint="publish to an empty or new directory, and give the server both with --model-repository",
        )
