"""What this machine has for GPU engines, told without importing any of it; and which plan fits which machine."""

import subprocess
import sys

import pytest
import trt_graphs
from trt_graphs import PROFILE

from engines.tensorrt import gpu, library
from engines.tensorrt.build import build_plan
from engines.tensorrt.fit import misfit, oversize
from engines.tensorrt.library import LIBRARIES, lacks, load, missing, needs, version
from engines.tensorrt.network import creation_flags
from engines.tensorrt.options import BuilderOptions
from engines.tensorrt.runtime import TensorRTEngine
from engines.tensorrt.sidecar import sidecar_path
from hrm.errors import EngineError, MissingError

HOPPER = {"target": "sm_90", "runtime": "tensorrt", "version": "10.13.0.35"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    home = tmp_path_factory.mktemp("plan")
    path = home / "executor.plan"
    sidecar = build_plan(
        trt_graphs.save(trt_graphs.executor(), home),
        path,
        runtime="tensorrt-rtx",
        target="sm_120",
        profile=PROFILE,
        options=BuilderOptions(),
    )
    return path, sidecar


def test_asking_imports_nothing_heavy():
    program = (
        "import sys; from engines.tensorrt.library import LIBRARIES, lacks, missing, needs, version\n"
        "for name in LIBRARIES: lacks(name, 'sm_120'), missing(name), needs(name, 'sm_120'), version(name)\n"
        "print(*{'torch', 'onnx', 'tensorrt_rtx_bindings', 'tensorrt_rtx_libs'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_type_stubs_alone_are_no_tensorrt():
    assert missing("tensorrt") == "tensorrt is not installed (`pip install 'hrm-trt[tensorrt]'`)"
    assert version("tensorrt") is None
    with pytest.raises(MissingError, match="needs the package tensorrt"):
        load("tensorrt")


def test_rtx_builds_here_for_the_gpus_that_it_knows():
    assert missing("tensorrt-rtx") is None
    assert version("tensorrt-rtx") == load("tensorrt-rtx").__version__
    assert needs("tensorrt-rtx", "sm_120") is None
    assert needs("tensorrt-rtx", "sm_100").startswith("tensorrt-rtx does not build for sm_100; for sm_120, sm_121")


def test_the_flags_are_those_that_the_release_has():
    api = load("tensorrt-rtx")
    assert not hasattr(api.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH")
    assert creation_flags(api) == 1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


@pytest.fixture
def with_gpu(monkeypatch):
    """As on a machine with a GPU and every package; the question to the driver is all that is answered for it."""

    def answer(found):
        monkeypatch.setattr(library, "present", lambda: found)
        monkeypatch.setattr(library, "missing", lambda runtime: None)
        monkeypatch.setattr(library, "has_bindings", lambda: True)

    return answer


def test_classic_tensorrt_builds_only_where_its_gpu_is(with_gpu):
    with_gpu("sm_90")
    assert needs("tensorrt", "sm_90") is None
    assert lacks("tensorrt", "sm_90") is None
    assert "this machine has sm_90 where sm_100 is needed" in needs("tensorrt", "sm_100")
    with_gpu(None)
    assert "this machine has no NVIDIA GPU where sm_90 is needed" in needs("tensorrt", "sm_90")
    assert "no NVIDIA GPU" in lacks("tensorrt-rtx", "sm_120")
    assert needs("tensorrt-rtx", "sm_120") is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("9.0\n", "sm_90"), ("12.0\n9.0\n", "sm_120"), ("10.3", "sm_103"), ("", None), ("[N/A]\n", None), ("90", None)],
)
def test_what_nvidia_smi_says_is_read(answer, expected):
    assert gpu.parse_capability(answer) == expected


def test_a_plan_of_another_version_is_refused_with_both_named(plan):
    _, sidecar = plan
    reason = misfit(sidecar, "1.8.0.1", "sm_120")
    assert reason == f"it was built by tensorrt-rtx {sidecar.version}, and 1.8.0.1 is installed"
    assert misfit(sidecar, sidecar.version, "sm_120") is None


@pytest.mark.parametrize(
    ("options", "installed", "present", "fits"),
    [
        ({}, "10.13.0.35", "sm_90", True),
        ({}, "10.14.0.1", "sm_90", False),
        ({}, "10.13.0.35", "sm_100", False),
        ({"version_compatible": True}, "10.14.0.1", "sm_90", True),
        ({"version_compatible": True}, "10.12.0.36", "sm_90", False),
        ({"version_compatible": True}, "11.0.0.1", "sm_90", False),
        ({"hardware_compatible": True}, "10.13.0.35", "sm_100", True),
        ({"hardware_compatible": True}, "10.13.0.35", "sm_75", False),
    ],
)
def test_compatible_plans_fit_more_machines(plan, options, installed, present, fits):
    sidecar = plan[1].model_copy(update={**HOPPER, "options": BuilderOptions(**options)})
    assert (misfit(sidecar, installed, present) is None) is fits


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ({"z_L": (5, 11, 32)}, "z_L is [5, 11, 32], and the plan was built for [1, 11, 32] to [4, 11, 32]"),
        ({"z_H": (1, 10, 32)}, "z_H is [1, 10, 32]"),
        ({"z_H": (1, 11)}, "z_H is [1, 11]"),
        ({"input_embeddings": None}, "input_embeddings is missing"),
    ],
)
def test_what_a_plan_was_not_built_for_is_refused(plan, shapes, reason):
    good = dict.fromkeys(("z_L", "z_H", "input_embeddings"), (4, 11, 32))
    assert oversize(plan[1], good) is None
    assert reason in oversize(plan[1], {**good, **shapes})


def test_an_engine_is_refused_where_there_is_no_gpu(plan):
    with pytest.raises(MissingError, match=r"executor\.plan cannot run here") as caught:
        TensorRTEngine(plan[0])
    assert "this machine has no NVIDIA GPU where sm_120 is needed" in caught.value.why


def test_an_engine_of_another_version_is_refused_before_the_library_is_asked(plan, tmp_path):
    path, sidecar = plan
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    sidecar_path(copy).write_text(sidecar.model_copy(update={"version": "1.6.0.1"}).model_dump_json())
    with pytest.raises(EngineError, match="does not run here") as caught:
        TensorRTEngine(copy)
    assert f"it was built by tensorrt-rtx 1.6.0.1, and {sidecar.version} is installed" in caught.value.why
    assert LIBRARIES["tensorrt-rtx"].package in caught.value.hint


def test_an_engine_of_a_library_that_is_not_installed_names_the_package(plan, tmp_path):
    path, sidecar = plan
    sidecar_path(tmp_path / path.name).write_text(sidecar.model_copy(update=HOPPER).model_dump_json())
    with pytest.raises(MissingError, match="needs the package tensorrt") as caught:
        TensorRTEngine(tmp_path / path.name)
    assert "hrm-trt[tensorrt]" in caught.value.hint
