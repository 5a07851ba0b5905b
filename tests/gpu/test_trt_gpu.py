"""Plans built and run on this machine's GPU, against ONNX Runtime on its CPU and against PyTorch."""

import numpy as np
import pytest
import trt_graphs
from trt_graphs import CONFIG, PROFILE

from engines.onnx_runtime import OnnxRuntimeEngine
from engines.onnx_session import RuntimeOptions
from engines.targets import formats
from engines.tensorrt.build import build_plan
from engines.tensorrt.options import BuilderOptions
from engines.tensorrt.runtime import TensorRTEngine
from engines.tensorrt.sidecar import read_sidecar, sidecar_path
from hrm.errors import EngineError

NAMES = ("z_L", "z_H", "input_embeddings")
TOLERANCE = {"fp16": 0.02, "fp8": 0.1}
"""Largest error as a share of the largest value; accumulation and the order of rounding differ."""


def feeds(batch, seed=0):
    generator = np.random.default_rng(seed)
    shape = (batch, CONFIG.tokens, CONFIG.hidden_size)
    return {name: generator.standard_normal(shape).astype(np.float16) for name in NAMES}


def build(model, directory, runtime, target, **options):
    graph, plan = trt_graphs.save(model, directory), directory / "executor.plan"
    build_plan(graph, plan, runtime=runtime, target=target, profile=PROFILE, options=BuilderOptions(**options))
    return graph, plan


@pytest.fixture
def engines(tmp_path, runtimes, target):
    """The unquantised executor, built by every library that is here."""
    found = []
    for runtime in runtimes:
        (tmp_path / runtime).mkdir()
        found.append(TensorRTEngine(build(trt_graphs.executor(), tmp_path / runtime, runtime, target)[1]))
    return found


@pytest.mark.parametrize("precision", ["fp16", "fp8"])
def test_a_plan_answers_as_its_graph_does_on_a_cpu(tmp_path, runtimes, target, precision):
    model = trt_graphs.executor() if precision == "fp16" else trt_graphs.quantised(precision)
    for runtime in runtimes:
        graph, plan = build(model, tmp_path, runtime, target)
        engine, reference = TensorRTEngine(plan), OnnxRuntimeEngine(graph, RuntimeOptions())
        for batch in (1, 3, 4):
            found, wanted = (each.run(feeds(batch))["z_L_out"] for each in (engine, reference))
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            error = np.abs(found.astype(np.float32) - wanted.astype(np.float32)).max()
            assert error <= TOLERANCE[precision] * np.abs(wanted).max()


def test_nvfp4_runs_where_the_hardware_has_it(tmp_path, runtimes, target):
    if "nvfp4" not in formats(target):
        assert target == "sm_90"
        return
    for runtime in runtimes:
        engine = TensorRTEngine(build(trt_graphs.quantised("nvfp4"), tmp_path, runtime, target)[1])
        assert np.isfinite(engine.run(feeds(4))["z_L_out"]).all()


def test_a_row_does_not_depend_on_its_neighbours(engines):
    for engine in engines:
        together = engine.run(feeds(4))["z_L_out"]
        for row in range(4):
            alone = engine.run({name: value[row : row + 1] for name, value in feeds(4).items()})["z_L_out"]
            np.testing.assert_allclose(alone[0].astype(np.float32), together[row].astype(np.float32), atol=2e-2)


def test_buffers_are_used_again_for_other_sizes(engines):
    for engine in engines:
        first = engine.run(feeds(2))["z_L_out"]
        engine.run(feeds(4, seed=1))
        np.testing.assert_array_equal(engine.run(feeds(2))["z_L_out"], first)


def test_a_batch_beyond_the_profile_is_refused(engines):
    for engine in engines:
        with pytest.raises(EngineError, match="does not take these inputs"):
            engine.run(feeds(5))
        engine.run(feeds(4))


def test_a_plan_for_another_gpu_or_version_is_refused_with_both_named(tmp_path, runtimes, target):
    _, plan = build(trt_graphs.executor(), tmp_path, runtimes[0], target)
    sidecar = read_sidecar(plan)
    for changed, words in (
        ({"target": "sm_75"}, f"built for sm_75, and this machine has {target}"),
        ({"version": "1.0.0.1"}, f"1.0.0.1, and {sidecar.version} is installed"),
    ):
        sidecar_path(plan).write_text(sidecar.model_copy(update=changed).model_dump_json())
        with pytest.raises(EngineError) as caught:
            TensorRTEngine(plan)
        assert words in caught.value.why


def test_what_is_no_plan_is_refused_by_the_library(tmp_path, runtimes, target):
    _, plan = build(trt_graphs.executor(), tmp_path, runtimes[0], target)
    plan.write_bytes(plan.read_bytes()[:100])
    with pytest.raises(EngineError, match=r"executor\.plan is refused"):
        TensorRTEngine(plan)


def test_a_timing_cache_is_written_once_and_then_kept(tmp_path, runtimes, target):
    if "tensorrt" not in runtimes:
        assert runtimes == ["tensorrt-rtx"]  # it has no timing cache, and says so (tests/engines)
        return
    cache = tmp_path / "timing.cache"
    build(trt_graphs.executor(), tmp_path, "tensorrt", target, timing_cache=cache)
    kept = cache.read_bytes()
    _, plan = build(trt_graphs.executor(), tmp_path, "tensorrt", target, timing_cache=cache)
    assert cache.read_bytes() == kept
    assert read_sidecar(plan).timing_cache_before is not None


@pytest.mark.parametrize("module", ["executor", "planner"])
def test_torch_tensorrt_answers_as_pytorch_does(target, module):
    import torch

    from engines.torch_tensorrt import TorchTensorRTEngine, refusal
    from export.reference import compute
    from hrm.network import random_network

    assert refusal() is None, refusal()
    network = random_network(CONFIG, 0)
    engine = TorchTensorRTEngine(network, module, PROFILE)
    names = [spec.name for spec in engine.inputs]
    values = {name: value for name, value in feeds(3).items() if name in names}
    with torch.inference_mode():
        wanted = compute(network, module, {name: torch.from_numpy(values[name]).float() for name in names})
    found = engine.run(values)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value.numpy(), atol=3e-2)
    assert all(":" in entry for entry in engine.fallbacks)
