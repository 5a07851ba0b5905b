"""Publishing gated bundles as a new version of a set of models; see ``repository`` for what lies where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triton_models.publication import QUEUE, publication
from triton_models.remote.place import working

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from triton_models.publication import Published


def publish(
    bundles: Sequence[Path],
    repository: Path | str,
    name: str,
    *,
    keep: int,
    slots: int | None = None,
    queue: int = QUEUE,
    allow_ungated: bool = False,
    allow_emulated: bool = False,
) -> Published:
    """Publish bundles as the next version of the set ``name``, and have it served; arguments as for ``publication``.

    ``repository`` may also be the URL of one that lies in a store.

    Publishing what the newest version is already changes nothing but the current version, and returns that version.
    """
    with working(
        str(repository),
        lambda directory, verify: publication(
            bundles,
            directory,
            name,
            keep=keep,
            slots=slots,
            queue=queue,
            allow_ungated=allow_ungated,
            allow_emulated=allow_emulated,
            verify=verify,
        ),
    ) as work:
        work.commit()
        work.tidy()
    return work.published
