"""The work directory: the store, and the names that point into it.

<workdir>/artefacts, partial, locks   the store
          bundles/<name>              -> the newest bundle of that name
          reports/<name>              -> the newest report of that name: report.html, junit.xml
          datasets/<digest>           -> where a data set lies that bundles were gated on
          kits/<digest>               what a kit held
          repository/                 the demo's Triton model repository
"""

from __future__ import annotations

import os
from pathlib import Path

from hrm.errors import from_os_error

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
        """The names of all bundles; not what a killed build had begun to name."""
        return tuple(sorted(path.name for path in (self.root / "bundles").glob("[!.]*")))

    def report(self, name: str) -> Path:
        """The place of the report called ``name``."""
        return self.root / "reports" / name

    def dataset(self, digest: str) -> Path:
        """The place of the data set with this digest, for bundles that were gated on it here."""
        return self.root / "datasets" / digest

    def kit(self, digest: str) -> Path:
        """The place of what the kit with this digest holds."""
        return self.root / "kits" / digest

    def point(self, place: Path, target: Path) -> None:
        """Make ``place`` a link to ``target``, in one step; one inside the work directory moves with it.

        Raises:
            StorageError: the disk is full or failing.
            UnwritableError: the work directory cannot be written.
        """
        goal = target.resolve()
        if goal.is_relative_to(self.root.resolve()):
            goal = Path(os.path.relpath(goal, place.parent.resolve()))
        if place.is_symlink() and place.readlink() == goal:
            return
        scratch = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            scratch.unlink(missing_ok=True)
            scratch.symlink_to(goal)
            scratch.replace(place)
        except OSError as error:
            raise from_os_error(error, place) from error
