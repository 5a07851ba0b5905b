"""ONNX engines bound to tensors: the answers of numpy's path, no copy of the carry, and no address of a wrong shape."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from whole_runs import answers, assert_same_bits

from engines import loading, onnx_bound, onnx_session
from engines.act import Policy
from engines.bundle import read_manifest
from engines.loading import load_engines, load_resident
from engines.onnx_bound import BoundOnnxEngine, axis_sizes
from engines.onnx_runtime import OnnxRuntimeEngine
from engines.onnx_session import RuntimeOptions
from engines.runtimes import without_onnx_cuda
from engines.torch_arrays import TorchArrays
from export.contract import TensorSpec
from hrm.data.dataset import read_split
from hrm.errors import EngineError, MissingError

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
OPTIONS = RuntimeOptions(threads=1)
PUZZLES = 24
HIDDEN, TOKENS = 96, 17


@pytest.fixture(scope="module")
def puzzles():
    return read_split(SAMPLE / "dataset", "test", PUZZLES)


@pytest.fixture(scope="module", params=["segment", "planner-executor"])
def bundle(request, demo_workdir, demo_result):
    suffix = "" if request.param == "segment" else f"-{request.param}"
    directory = demo_workdir.bundle(f"sudoku-4x4-cpu-fp32{suffix}")
    return directory, read_manifest(directory)


@pytest.fixture(scope="module")
def planner(demo_result):
    return next(Path(row.path) for row in demo_result.engines if row.module == "planner")


@pytest.fixture(scope="module")
def engine(planner):
    return BoundOnnxEngine(planner, OPTIONS, "cpu", puzzle_tokens=1)


@pytest.fixture
def bound(monkeypatch):
    """The addresses that are bound, by name, in the order of calls."""
    seen = []
    for method in ("bind_input", "bind_output"):
        original = getattr(onnxruntime.IOBinding, method)

        def record(self, name, original=original, **memory):
            seen.append((name, memory["buffer_ptr"]))
            return original(self, name, **memory)

        monkeypatch.setattr(onnxruntime.IOBinding, method, record)
    return seen


def state(batch=2, tokens=TOKENS, hidden=HIDDEN):
    values = torch.randn((batch, tokens, hidden), generator=torch.Generator().manual_seed(batch))
    return {"z_H": values, "z_L": values + 1}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(value))


@pytest.mark.parametrize("policy", ["fixed", "adaptive", "confidence"])
def test_the_answers_are_those_of_numpys_path_to_the_bit(bundle, puzzles, policy):
    wanted = answers(load_engines(*bundle, OPTIONS), puzzles, Policy(policy, 8))
    found = answers(load_resident(*bundle, OPTIONS, "cpu"), puzzles, Policy(policy, 8))
    assert_same_bits(found, wanted)


def test_the_carry_is_the_bound_memory_itself(demo_bundle, puzzles, bound):
    stepper = load_resident(*demo_bundle, OPTIONS, "cpu")
    embeddings = stepper.encode(puzzles.inputs[:3], puzzles.puzzle_identifiers[:3])
    first = stepper.step(*stepper.initial_carry(3), embeddings)
    del bound[:]
    second = stepper.step(first.z_H, first.z_L, embeddings)
    assert all(isinstance(value, torch.Tensor) for value in (*first, *second))
    assert dict(bound) == {
        "z_H": first.z_H.data_ptr(),
        "z_L": first.z_L.data_ptr(),
        "input_embeddings": embeddings.data_ptr(),
        "z_H_out": second.z_H.data_ptr(),
        "z_L_out": second.z_L.data_ptr(),
        "logits": second.logits.data_ptr(),
        "q_halt": second.q_halt.data_ptr(),
        "q_continue": second.q_continue.data_ptr(),
    }


def test_one_call_leaves_the_outputs_of_another_alone(engine):
    first = engine.run(state(2))
    kept = {name: value.clone() for name, value in first.items()}
    engine.run(state(3))
    same(first, kept)


def test_the_carry_never_comes_to_the_host(bundle, puzzles, monkeypatch):
    stepper, brought = load_resident(*bundle, OPTIONS, "cpu"), []
    host = TorchArrays.host

    def bring(self, array):
        brought.append(tuple(array.shape))
        return host(self, array)

    monkeypatch.setattr(TorchArrays, "host", bring)
    answers(stepper, puzzles, Policy("adaptive", 8))
    config = bundle[1].architecture
    assert {shape[1:] for shape in brought} == {(), (config["seq_len"], config["vocab_size"])}  # the heads alone


@pytest.mark.parametrize(
    "laid_out",
    [
        lambda value: value.transpose(0, 1).contiguous().transpose(0, 1),
        lambda value: torch.cat([value, value], dim=2)[:, :, : value.shape[2]],
        lambda value: value[:1].expand_as(value),
        lambda value: torch.cat([torch.zeros(1), value.flatten()])[1:].view(value.shape),  # 4 bytes off
        lambda value: np.asfortranarray(value.numpy()),
    ],
    ids=["transposed", "cut", "repeated", "unaligned", "fortran"],
)
def test_inputs_may_lie_in_memory_as_they_like(engine, planner, laid_out):
    feeds = {name: laid_out(value) for name, value in state().items()}
    plain = {name: np.ascontiguousarray(value) for name, value in feeds.items()}
    same(engine.run(feeds), OnnxRuntimeEngine(planner, OPTIONS).run(plain))


def test_what_is_bound_is_aligned(engine, bound):
    engine.run(
        {name: torch.cat([torch.zeros(1), value.flatten()])[1:].view(value.shape) for name, value in state().items()}
    )
    assert {address % 16 for _, address in bound} == {0}


WRONG = {
    "a short axis": ({"z_L": state(hidden=95)["z_L"]}, r"z_L is \[2, 17, 95\] and should be \[2, 17, 96\]"),
    "another batch": ({"z_L": state(3)["z_L"]}, r"z_L is \[3, 17, 96\] and should be \[2, 17, 96\]"),
    "other tokens": ({"z_L": state(tokens=16)["z_L"]}, r"z_L is \[2, 16, 96\] and should be \[2, 17, 96\]"),
    "too few axes": ({"z_H": torch.zeros(2, 17)}, r"z_H is \[2, 17\] and should be \[batch, tokens, 96\]"),
    "no puzzle": (state(0), r"z_H is \[0, 17, 96\]"),
    "no cell": (state(tokens=1), "1 tokens are not a sequence with 1 puzzle tokens"),
    "a wider type": ({"z_H": state()["z_H"].double()}, "z_H is float64 and should be float32"),
    "whole numbers": ({"z_H": np.zeros((2, 17, 96), np.int32)}, "z_H is int32 and should be float32"),
    "no numbers": ({"z_H": np.full((2, 17, 96), None)}, "can't convert np.ndarray"),
    "backwards": ({"z_H": state()["z_H"].numpy()[::-1]}, "negative strides"),
    "one too many": (
        {"input_embeddings": state()["z_H"]},
        "it takes z_H, z_L and was given z_H, z_L, input_embeddings",
    ),
}


@pytest.mark.parametrize(("change", "reason"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_before_anything_is_bound(engine, bound, change, reason):
    with pytest.raises(EngineError, match=r"^[\w.]+\.onnx failed on \{'z_H': ") as refused:
        engine.run(state() | change)
    assert refused.match(reason)
    assert bound == []


def test_a_missing_input_is_named(engine, bound):
    with pytest.raises(EngineError, match="it takes z_H, z_L and was given z_H"):
        engine.run({"z_H": state()["z_H"]})
    assert bound == []


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_either_length_tells_the_other(batch, sequence, puzzle_tokens):
    wanted = {"batch": batch, "sequence": sequence, "tokens": sequence + puzzle_tokens}
    for axis in ("sequence", "tokens"):
        spec = TensorSpec("x", "float32", ("batch", axis, 4))
        assert axis_sizes([spec], {"x": (batch, wanted[axis], 4)}, puzzle_tokens) == wanted


def tiny(path, kind, axes):
    """A graph whose output is its input, in a file."""
    given_, made = (helper.make_tensor_value_info(name, kind, axes) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "tiny", [given_], [made])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(TensorProto.FLOAT16, torch.float16), (TensorProto.INT32, torch.int32), (TensorProto.INT64, torch.int64)],
)
def test_every_type_of_the_contract_is_bound(tmp_path, kind, dtype):
    engine = BoundOnnxEngine(tiny(tmp_path / "tiny.onnx", kind, ["batch", "tokens", 3]), OPTIONS, "cpu", 1)
    values = torch.arange(12).reshape(2, 2, 3).to(dtype)
    found = engine.run({"x": values})["y"]
    assert (found.dtype, found.tolist()) == (dtype, values.tolist())


@pytest.mark.parametrize("axis", ["length", None])
def test_an_axis_that_nobody_knows_is_refused(tmp_path, axis):
    graph = tiny(tmp_path / "tiny.onnx", TensorProto.FLOAT, ["batch", axis, 3])
    with pytest.raises(EngineError, match=r"tiny\.onnx cannot be bound to memory") as refused:
        BoundOnnxEngine(graph, OPTIONS, "cpu", 1)
    assert str(axis) in refused.value.why


@pytest.mark.skipif(without_onnx_cuda() is None, reason="this machine has CUDA")
def test_without_cuda_the_registrys_reason_is_given(demo_bundle):
    with pytest.raises(MissingError, match="cannot run here with its carry on cuda") as refused:
        load_resident(*demo_bundle, OPTIONS, "cuda")
    assert refused.value.why == without_onnx_cuda()


def test_other_engines_than_onnx_are_refused(demo_bundle):
    root, manifest = demo_bundle
    with pytest.raises(EngineError, match="cannot be run by ONNX Runtime"):
        load_resident(root, manifest.model_copy(update={"runtime": "tensorrt"}), OPTIONS, "cpu")


def test_pytorch_has_to_have_cuda_as_well(demo_bundle, monkeypatch):
    monkeypatch.setattr(loading, "without_onnx_cuda", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="PyTorch cannot compute on CUDA here"):
        load_resident(*demo_bundle, OPTIONS, "cuda")


def test_cudas_path_with_the_cpu_in_its_place(bundle, puzzles, monkeypatch):
    cpu = "CPUExecutionProvider"
    monkeypatch.setattr(loading, "without_onnx_cuda", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(onnx_session, "_CUDA", cpu)
    monkeypatch.setitem(onnx_session._PROVIDERS, "cuda", (cpu, {}))
    monkeypatch.setitem(onnx_bound._PLACES, "cuda", "cpu")
    wanted, _ = answers(load_engines(*bundle, OPTIONS), puzzles, Policy("adaptive", 8))
    found, _ = answers(load_resident(*bundle, OPTIONS, "cuda"), puzzles, Policy("adaptive", 8))
    np.testing.assert_array_equal(found.tokens, wanted.tokens)
    np.testing.assert_array_equal(found.depth, wanted.depth)
