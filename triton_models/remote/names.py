"""What the names of a repository's files in a store say: where they lie, and whether a killed publisher left them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triton_models.config import CONFIG
from triton_models.repository import MANIFEST, is_version_name
from triton_models.solver.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Collection

UNFINISHED = ".hrm-trt.unfinished"
"""Names the version directories that a publisher is writing or removing."""
_DOCUMENTS = {CONFIG, MANIFEST, SETTINGS}


def is_document(name: str) -> bool:
    """Whether a publisher has to know what is in it."""
    return name.rpartition("/")[2] in _DOCUMENTS


def is_manifest(name: str) -> bool:
    """Whether it is a version's manifest."""
    return name.rpartition("/")[2] == MANIFEST


def model_of(name: str) -> str:
    """The model directory that a file lies in; none for a file beside them."""
    return name.partition("/")[0] if "/" in name else ""


def version_of(name: str) -> str:
    """The version directory that a file lies in; none for a configuration."""
    model, _, rest = name.partition("/")
    number, inside, _ = rest.partition("/")
    return f"{model}/{number}" if inside and is_version_name(number) else ""


def is_left(name: str, names: Collection[str], unfinished: Collection[str]) -> bool:
    """Whether a file is what a killed publisher left of a version: written or removed in part, without a manifest."""
    version = version_of(name)
    return version in unfinished and f"{version}/{MANIFEST}" not in names


def order_of_removal(name: str) -> int:
    """Configurations first, then manifests, then what they speak of."""
    if not version_of(name):
        return 0
    return 1 if is_manifest(name) else 2
