"""What several folders of tests share: the sample checkpoint, and the demo built once."""

import os
from pathlib import Path

# Before torch is loaded, here and in every child: its threads spin, and on busy cores they wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from engines.bundle import BundleManifest, read_manifest
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.result import BuildResult
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir


@pytest.fixture(scope="session")
def demo_workdir(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """A work directory in which the demo has been built and published; tests must not change it."""
    return Workdir(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def demo_result(demo_workdir: Workdir) -> BuildResult:
    """What building the demo came to."""
    return run(make_recipe(demo.settings(demo_workdir)), demo_workdir)


@pytest.fixture(scope="session")
def demo_bundle(demo_workdir: Workdir, demo_result: BuildResult) -> tuple[Path, BundleManifest]:
    """The demo's bundle with one engine per segment."""
    del demo_result
    directory = demo_workdir.bundle(demo.BUNDLE)
    return directory, read_manifest(directory)
