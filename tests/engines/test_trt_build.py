"""Plans built by TensorRT-RTX, on this machine and without a GPU: what is in them, and what is refused."""

import json
import resource
import threading
import time

import numpy as np
import onnx
import psutil
import pytest
import trt_graphs
from onnx import helper, numpy_helper
from trt_graphs import PROFILE, SITES, save, span

from engines.tensorrt.build import build_plan
from engines.tensorrt.options import BuilderOptions
from engines.tensorrt.sidecar import read_sidecar, sidecar_path
from hrm.errors import BundleError, EngineError, MissingError, StorageError, UsageError
from hrm.files import sha256_file

WORKER = "engines.tensorrt.worker"
DEFAULTS = BuilderOptions()


def build(model, directory, *, runtime="tensorrt-rtx", target="sm_120", profile=PROFILE, options=DEFAULTS, fused=None):
    return build_plan(
        save(model, directory),
        directory / "executor.plan",
        runtime=runtime,
        target=target,
        profile=profile,
        options=options,
        fused_attentions=fused,
    )


def left_behind(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("precision", "counted"), [("fp8", {"fp8_gemms": 4}), ("nvfp4", {"fp4_gemms": 4}), ("fp16", {})]
)
def test_a_plan_computes_in_what_the_graph_asks_for(tmp_path, precision, counted):
    model = trt_graphs.executor() if precision == "fp16" else trt_graphs.quantised(precision)
    sidecar = build(model, tmp_path)
    assert {(gemm.site, gemm.asked, gemm.got) for gemm in sidecar.gemms} == {
        (site, precision, precision) for site in SITES
    }
    assert sidecar.counts.fused_attentions == 1
    assert {name: getattr(sidecar.counts, name) for name in counted} == counted
    if precision != "fp16":
        assert sidecar.counts.fp16_gemms == 0


def test_the_sidecar_says_what_was_built_and_from_what(tmp_path):
    sidecar = build(trt_graphs.executor(), tmp_path, options=BuilderOptions(optimisation_level=1, workspace_mib=64))
    plan = tmp_path / "executor.plan"
    assert left_behind(tmp_path) == ["executor.onnx", "executor.plan", "executor.plan.json"]
    assert read_sidecar(plan) == sidecar
    assert sidecar.graph == sha256_file(tmp_path / "executor.onnx")
    assert sidecar.plan_bytes == plan.stat().st_size
    assert (sidecar.runtime, sidecar.target, sidecar.module) == ("tensorrt-rtx", "sm_120", "executor")
    assert sidecar.version.count(".") == 3
    assert sidecar.options.optimisation_level == 1
    assert [tensor.name for tensor in sidecar.tensors] == ["z_L", "z_H", "input_embeddings", "z_L_out"]
    assert sidecar.tensors[0].profile == ((1, 11, 32), (2, 11, 32), (4, 11, 32))
    assert sidecar.weight_bytes < sidecar.plan_bytes
    assert sidecar.peak_build_bytes > 50 * 2**20
    assert 0 < sidecar.seconds < 60


def test_two_builds_give_the_same_bytes(tmp_path):
    plans = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        build(trt_graphs.quantised("fp8"), tmp_path / name)
        plans.append(sha256_file(tmp_path / name / "executor.plan"))
    assert plans[0] == plans[1]


def test_a_lost_quantisation_fails_the_build(tmp_path):
    model = trt_graphs.lose_activation_quantisation(trt_graphs.quantised("fp8"), "node_linear_3")
    with pytest.raises(EngineError, match="1 products in another precision") as caught:
        build(model, tmp_path)
    assert caught.value.exit_code == 4
    assert "node_linear_3 (L_level.layers.0.mlp.down_proj): asked fp8, got" in caught.value.why
    assert left_behind(tmp_path) == ["executor.onnx"]


def test_a_product_that_tensorrt_itself_computes_in_fp16_fails_the_build(tmp_path):
    """No Q/DQ is lost: TensorRT makes a batched product of this, has no NVFP4 kernel for it, and says nothing."""
    model = trt_graphs.split_before_heads(trt_graphs.quantised("nvfp4"))
    with pytest.raises(EngineError, match="another precision") as caught:
        build(model, tmp_path)
    assert caught.value.why == "node_linear (L_level.layers.0.self_attn.qkv_proj): asked nvfp4, got fp16"


def test_a_promise_in_the_metadata_holds_when_every_trace_of_it_is_gone(tmp_path):
    model = trt_graphs.executor()
    entry = next(entry for entry in model.metadata_props)
    entry.value = json.dumps({**json.loads(entry.value), "quantised": {SITES[0]: "fp8"}})
    with pytest.raises(EngineError, match=r"asked fp8, got fp16"):
        build(model, tmp_path)


@pytest.mark.parametrize("fused", [None, 1])
def test_a_broken_fusion_fails_the_build(tmp_path, fused):
    with pytest.raises(EngineError, match="fuses 0 attentions, and should fuse 1") as caught:
        build(trt_graphs.break_attention(trt_graphs.quantised("fp8")), tmp_path, fused=fused)
    assert caught.value.exit_code == 4
    assert trt_graphs.ATTENTION in caught.value.why
    assert left_behind(tmp_path) == ["executor.onnx"]


def test_a_quantised_plan_is_held_to_what_the_unquantised_one_fuses(tmp_path):
    assert build(trt_graphs.break_attention(trt_graphs.executor()), tmp_path, fused=0).counts.fused_attentions == 0


def test_an_operator_that_the_parser_does_not_know_is_named(tmp_path):
    model = trt_graphs.executor()
    trt_graphs.node_named(model, "node_silu").op_type = "Frobnicate"
    with pytest.raises(EngineError, match=r"cannot read executor\.onnx") as caught:
        build(model, tmp_path)
    assert "Frobnicate at node node_silu" in caught.value.why


def test_a_profile_beyond_the_networks_positions_is_refused_before_any_work(tmp_path):
    profile = PROFILE.model_copy(update={"sequence": span(10, 10, 11)})
    with pytest.raises(EngineError, match="cannot be built for sequences of 11"):
        build(trt_graphs.executor(), tmp_path, profile=profile)


def test_a_profile_that_the_graph_cannot_take_is_told_with_its_sizes(tmp_path):
    model = trt_graphs.executor()
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(EngineError, match=r"refuses executor\.onnx") as caught:
        build(model, tmp_path)
    assert "(batches 1 / 2 / 4, sequences 10 / 10 / 10)" in caught.value.why
    assert left_behind(tmp_path) == ["executor.onnx"]


def test_shapes_that_do_not_fit_each_other_are_told(tmp_path):
    model = trt_graphs.executor()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((5, 32), np.float16), "five"))
    model.graph.node.insert(0, helper.make_node("Add", ["z_L", "five"], ["z_L_five"], name="node_five"))
    trt_graphs.node_named(model, "node_state").input[0] = "z_L_five"
    with pytest.raises(EngineError, match="refuses") as caught:
        build(model, tmp_path)
    assert "node_five" in caught.value.why


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a"])
def test_what_is_no_graph_of_ours_is_refused(tmp_path, content):
    graph = tmp_path / "executor.onnx"
    graph.write_bytes(content)
    with pytest.raises(BundleError, match="not a graph of hrm-trt"):
        build_plan(
            graph,
            tmp_path / "executor.plan",
            runtime="tensorrt-rtx",
            target="sm_120",
            profile=PROFILE,
            options=DEFAULTS,
        )


@pytest.mark.parametrize(
    ("runtime", "target", "reason"),
    [
        ("tensorrt", "sm_90", "tensorrt is not installed"),
        ("tensorrt-rtx", "sm_90", "tensorrt-rtx does not build for sm_90"),
    ],
)
def test_what_cannot_be_built_here_is_missing(tmp_path, runtime, target, reason):
    with pytest.raises(MissingError, match=f"{runtime} cannot build for {target} here") as caught:
        build(trt_graphs.executor(), tmp_path, runtime=runtime, target=target)
    assert reason in caught.value.why
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("option", [{"hardware_compatible": True}, {"version_compatible": True}])
def test_an_option_that_would_do_nothing_is_refused(tmp_path, option):
    with pytest.raises(UsageError, match=f"tensorrt-rtx has no {next(iter(option))}"):
        build(trt_graphs.executor(), tmp_path, options=BuilderOptions(**option))


def test_a_failed_build_leaves_the_plan_that_was_there(tmp_path):
    build(trt_graphs.executor(), tmp_path)
    before = {path.name: sha256_file(path) for path in tmp_path.glob("executor.plan*")}
    with pytest.raises(EngineError):
        build(trt_graphs.break_attention(trt_graphs.executor()), tmp_path)
    assert {path.name: sha256_file(path) for path in tmp_path.glob("executor.plan*")} == before


def test_a_builder_that_is_killed_is_an_error_that_says_so(tmp_path):
    stop = threading.Event()
    killer = threading.Thread(target=_kill_builders, args=(stop,))
    killer.start()
    try:
        with pytest.raises(EngineError, match="the builder died on executor") as caught:
            build(trt_graphs.executor(), tmp_path)
    finally:
        stop.set()
        killer.join()
    assert "killed by signal 9: most likely the system had no memory left" in caught.value.why
    assert left_behind(tmp_path) == ["executor.onnx"]


def test_a_full_disk_is_called_so(tmp_path):
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, most))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*executor\.plan"):
            build(trt_graphs.executor(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    assert left_behind(tmp_path) == ["executor.onnx"]


def _kill_builders(stop):
    ours = psutil.Process()
    while not stop.is_set():
        for child in ours.children():
            if WORKER in _command(child):
                child.kill()
        time.sleep(0.01)


def _command(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_the_sidecar_holds_no_path_of_this_machine(tmp_path):
    build(trt_graphs.executor(), tmp_path)
    assert str(tmp_path) not in sidecar_path(tmp_path / "executor.plan").read_text()


@pytest.mark.parametrize("content", [b"", b"{}", b"no json"])
def test_a_plan_without_a_sidecar_is_refused(tmp_path, content):
    plan = tmp_path / "executor.plan"
    with pytest.raises(BundleError, match="does not tell what"):
        read_sidecar(plan)
    sidecar_path(plan).write_bytes(content)
    with pytest.raises(BundleError, match="does not tell what"):
        read_sidecar(plan)


def test_the_hand_written_graph_is_valid():
    onnx.checker.check_model(trt_graphs.executor(), full_check=True)
