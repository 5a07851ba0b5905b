"""What several folders of tests share: a demo, built once.

In tests the demo is the official code's sample: smaller than the bundled checkpoint, and its results are known.
"""

import os
from pathlib import Path

# Before torch is loaded, here and in every child: its threads spin, and on busy cores they wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from engines.bundle import BundleManifest, read_manifest
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.result import BuildResult
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir

SAMPLE = Path(__file__).parents[1] / "checkpoints/sudoku-4x4"


@pytest.fixture(scope="session")
def demo_workdir(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """A work directory in which the demo has been built and published; tests must not change it."""
    return Workdir(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def demo_result(demo_workdir: Workdir) -> BuildResult:
    """What building the demo came to."""
    settings = {
        "checkpoint": str(SAMPLE),
        "dataset": str(SAMPLE / "dataset"),
        "publish": {"repository": str(demo_workdir.repository)},
    }
    return run(make_recipe(settings), demo_workdir)


@pytest.fixture(scope="session")
def demo_bundle(demo_workdir: Workdir, demo_result: BuildResult) -> tuple[Path, BundleManifest]:
    """The demo's bundle with one engine per segment."""
    del demo_result
    directory = demo_workdir.bundle("sudoku-4x4-cpu-fp32")
    return directory, read_manifest(directory)
