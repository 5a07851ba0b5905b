"""Every runtime has a reason or runs; asking is cheap."""

import subprocess
import sys
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from trt_graphs import CONFIG

from engines import runtimes
from engines.determinism import GUARANTEES
from engines.runtimes import (
    NETWORK_RUNTIMES,
    RUNTIMES,
    NetworkRuntime,
    obstacle,
    obstacles,
    open_network,
    without_onnx_cuda,
)
from engines.targets import RuntimeName
from hrm.errors import MissingError
from hrm.network import random_network
from hrm.toolchain import missing_compiler


def test_every_name_is_listed_once():
    assert sorted(RUNTIMES) == sorted((*get_args(NetworkRuntime), *get_args(RuntimeName)))
    assert set(GUARANTEES) == set(RUNTIMES)


def test_what_is_installed_here_runs_and_the_rest_has_a_reason():
    found = obstacles()
    assert (found["torch"], found["torch-compile"], found["onnxruntime"]) == (None, missing_compiler(), None)
    assert found["tensorrt"] == "tensorrt is not installed (`pip install 'hrm-trt[tensorrt]'`)"
    assert found["tensorrt-rtx"] == "tensorrt-rtx runs on NVIDIA GPUs, and this machine has no NVIDIA GPU"
    assert "not installed" in found["torch-tensorrt"]
    assert "hrm-trt[transformer-engine]" in found["transformer-engine"]


def test_asking_imports_nothing_heavy():
    program = (
        "import sys; from engines.runtimes import obstacles; obstacles()\n"
        "print(*{'torch', 'onnx', 'onnxruntime', 'tensorrt_rtx_bindings'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.fixture
def with_gpu(monkeypatch):
    """As with every package installed; the driver's answer is given."""

    def answer(found):
        monkeypatch.setattr(runtimes, "present", lambda: found)
        monkeypatch.setattr(runtimes, "missing", lambda runtime: None)
        monkeypatch.setattr(runtimes, "lacks", lambda runtime, target: None)
        monkeypatch.setattr(runtimes, "find_spec", lambda name: object())

    return answer


@pytest.mark.parametrize(
    ("gpu", "runs"), [("sm_89", True), ("sm_90", True), ("sm_120", True), ("sm_80", False), (None, False)]
)
def test_fp8_needs_a_gpu_that_has_it(with_gpu, gpu, runs):
    with_gpu(gpu)
    reason = obstacle("transformer-engine")
    assert (reason is None) is runs
    assert runs or str(reason).endswith(f"this machine has {gpu or 'no NVIDIA GPU'}")


def test_what_builds_for_another_gpu_does_not_run(with_gpu):
    with_gpu("sm_90")
    assert "does not build for sm_90" in str(obstacle("tensorrt-rtx"))
    with_gpu("sm_120")
    assert obstacle("tensorrt-rtx") is None


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    for runtime in ("torch", "torch-compile"):
        assert obstacle(runtime) == "torch is not installed (`pip install 'hrm-trt[cpu]'`)"


@pytest.fixture
def with_onnxruntime(monkeypatch, tmp_path, with_gpu):
    """As with a GPU and a package onnxruntime that has these files."""

    def answer(*files):
        with_gpu("sm_90")
        package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        monkeypatch.setattr(runtimes, "find_spec", lambda name: package)
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()

    return answer


def test_onnx_runtime_on_cuda_is_listed_after_itself():
    names = list(obstacles())
    assert names[names.index("onnxruntime") + 1] == "onnxruntime cuda"
    assert obstacles()["onnxruntime cuda"] == without_onnx_cuda()


def test_onnx_runtime_for_cpus_says_what_takes_its_place(with_onnxruntime):
    with_onnxruntime("capi/libonnxruntime_providers_shared.so")
    reason = str(without_onnx_cuda())
    assert reason.startswith("this onnxruntime is built for CPUs alone")
    assert "hrm-trt[cuda]" in reason


def test_onnx_runtime_for_gpus_needs_one(with_onnxruntime, monkeypatch):
    with_onnxruntime("capi/libonnxruntime_providers_cuda.so")
    assert without_onnx_cuda() is None
    monkeypatch.setattr(runtimes, "present", lambda: None)
    assert without_onnx_cuda() == "its CUDA provider runs on NVIDIA GPUs, and this machine has none"


@pytest.mark.parametrize("package", ["onnxruntime", "torch"])
def test_what_onnx_runtime_on_cuda_needs_is_in_one_extra(monkeypatch, package):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None if name == package else SimpleNamespace())
    assert without_onnx_cuda() == f"{package} is not installed (`pip install 'hrm-trt[cuda]'`)"


def test_a_network_is_opened_by_name():
    model = random_network(CONFIG, 0)
    stepper = open_network("torch", model)
    assert isinstance(stepper.initial_carry(2)[0], torch.Tensor)


@pytest.mark.parametrize("runtime", [name for name in NETWORK_RUNTIMES if name != "torch"])
def test_what_cannot_run_is_refused_with_the_registrys_reason(runtime, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingError, match=f"{runtime} cannot run here") as caught:
        open_network(runtime, random_network(CONFIG, 0))
    assert caught.value.why == obstacle(runtime)


def test_fp8_is_not_computed_on_a_cpu(with_gpu):
    with_gpu("sm_90")
    with pytest.raises(MissingError) as caught:
        open_network("transformer-engine", random_network(CONFIG, 0), "cpu")
    assert caught.value.why == "it computes on a GPU, and the CPU was asked for"
