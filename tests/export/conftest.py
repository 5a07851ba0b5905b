from pathlib import Path

import pytest
import tiny

from export.graphs import export_graphs
from hrm.checkpoint import loading, locate
from hrm.network import random_network

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "checkpoints" / "sudoku-4x4"


@pytest.fixture(scope="session")
def trained():
    return loading.network(loading.load(locate(CHECKPOINT)))


@pytest.fixture(scope="session")
def fp32_graphs(trained):
    return export_graphs(trained, "fp32", source_digest=tiny.DIGEST)


@pytest.fixture(scope="session")
def fp16_graphs(trained):
    return export_graphs(trained, "fp16", source_digest=tiny.DIGEST)


@pytest.fixture(params=["fp32", "fp16"])
def variant(request):
    return request.param


@pytest.fixture
def graphs(request, variant):
    """The trained network's four graphs, in each variant."""
    return request.getfixturevalue(f"{variant}_graphs")


@pytest.fixture(scope="session")
def plain():
    return random_network(tiny.PLAIN, 0)


@pytest.fixture(scope="session")
def plain_graphs(plain):
    return export_graphs(plain, "fp16", source_digest=tiny.DIGEST)
