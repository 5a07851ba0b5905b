"""What tests put in the way of a command, and how they see whether it changed anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Every file with its inode, size and time, but for locks."""
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def replace(path: Path, data: bytes) -> None:
    """Give ``path`` other contents, and leave other links to the file alone."""
    path.unlink()
    path.write_bytes(data)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))
