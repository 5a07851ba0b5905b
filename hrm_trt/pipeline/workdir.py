"""The work directory: the store, and the names that point into it.

<workdir>/artefacts, partial, locks   the store
          bundles/<name>              -> the newest bundle of that name
          reports/<name>              -> its report: report.html, junit.xml, build.json
          repository/                 the demo's Triton model repository
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hrm.errors import from_os_error

if TYPE_CHECKING:
    from hrm_trt.pipeline.store import Artefact

DEFAULT = Path(".hrm-trt")


class Workdir:
    """The work directory at ``root``, or ``.hrm-trt`` below the current directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or DEFAULT).absolute()

    @property
    def repository(self) -> Path:
        """Where the demo publishes to."""
        return self.root / "repository"

    def bundle(self, name: str) -> Path:
        """The place of the bundle called ``name``; nothing may be there."""
        return self.root / "bundles" / name

    def bundles(self) -> tuple[str, ...]:
        """The names of all bundles."""
        home = self.root / "bundles"
        return tuple(sorted(path.name for path in home.iterdir())) if home.is_dir() else ()

    def report(self, name: str) -> Path:
        """The place of the report called ``name``."""
        return self.root / "reports" / name

    def point(self, place: Path, artefact: Artefact) -> None:
        """Make ``place`` name ``artefact``, in one step.

        Raises:
            StorageError: the disk is full or failing.
            UnwritableError: the work directory cannot be written.
        """
        goal = os.path.relpath(artefact.path, place.parent)
        if place.is_symlink() and place.readlink() == Path(goal):
            return
        scratch = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(goal)
            scratch.replace(place)
        except OSError as error:
            raise from_os_error(error, place) from error
