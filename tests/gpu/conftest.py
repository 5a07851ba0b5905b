"""Tests that need an NVIDIA GPU: `pytest tests/gpu`, in an environment that has a library for it.

They are a command of their own and no part of `make test`: on a machine without a GPU they fail and say so.
"""

import pytest

from engines.tensorrt.gpu import present
from engines.tensorrt.library import lacks, needs

PLANS = ("tensorrt", "tensorrt-rtx")


@pytest.fixture(scope="session")
def target():
    """The architecture of this machine's GPU."""
    found = present()
    assert found is not None, "these tests need an NVIDIA GPU, and the driver names none"
    return found


@pytest.fixture(scope="session")
def runtimes(target):
    """The libraries that build plans and run them here."""
    reasons = {name: needs(name, target) or lacks(name, target) for name in PLANS}
    found = [name for name, reason in reasons.items() if reason is None]
    assert found, f"no library builds and runs plans here: {reasons}"
    return found
