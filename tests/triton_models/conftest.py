from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_bundles import tiny_bundle

from triton_models.publish import publish

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A bundle of tiny engines that passed its gate."""
    return tiny_bundle(tmp_path / "segment")


@pytest.fixture
def both(segment: Path, tmp_path: Path) -> list[Path]:
    """The two bundles of one checkpoint."""
    return [segment, tiny_bundle(tmp_path / "planner-executor", "planner-executor")]


@pytest.fixture
def repository(tmp_path: Path, both: list[Path]) -> Path:
    """A repository with one version of the set ``tiny``."""
    publish(both, tmp_path / "repository", "tiny", keep=2)
    return tmp_path / "repository"
