"""The twin computes, to the bit, what ModelOpt says that NVFP4 comes out as."""

import json

import numpy as np
import onnx
import pytest
import quantised
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from export.models import check_model, segment_model
from export.quantise.calibration import SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import uniform
from export.quantise.twin import RULE, simulate
from hrm.files import sha256_bytes

AMAX = 5.0


def twin_of(weight, amax=AMAX):
    """One linear's twin; ``weight`` [K, N] is calibrated to its maximum, its input to ``amax``."""
    model = quantised.one_linear(weight)
    found = SiteAmax(input=amax, weight=float(np.abs(weight).max()))
    quantise_graph(model, {quantised.SITE: "nvfp4"}, quantised.of({quantised.SITE: found}))
    return simulate(model)[0]


@pytest.fixture(scope="module")
def rounding():
    """An engine that rounds its input [B, T, 32]: its linear is the identity, which NVFP4 holds exactly."""
    return tiny.session(twin_of(np.eye(32)))


def hard_rows():
    """Rows of 32: ordinary, below float16's normal numbers, huge, beyond the calibrated, zero, and mixed."""
    rng = np.random.default_rng(0)
    ordinary = rng.normal(size=(2000, 32))
    scales = [1, 1e-3, 1e-6, 6e-8, 100, 20_000, 0]
    rows = np.concatenate([ordinary[:300] * scale for scale in scales])
    mixed = ordinary * 10.0 ** rng.integers(-6, 4, (2000, 1))
    spread = ordinary * 10.0 ** rng.integers(-5, 3, (2000, 32))
    halves = np.concatenate([ordinary, rows, mixed, spread]).clip(-65504, 65504).astype(np.float16)
    halves[::7, :16] = 0
    return halves


def test_activations_are_modelopts_to_the_bit(rounding):
    values = hard_rows()
    found = tiny.run(rounding, x=values[None])["y"]
    assert quantised.bits(found[0]) == quantised.bits(quantised.modelopt_nvfp4(values, AMAX))


@settings(max_examples=300, deadline=None)
@given(hnp.arrays(np.uint16, (1, 4, 32), elements=st.integers(0, 0xFFFF)))
def test_any_activation_is_modelopts_to_the_bit(rounding, words):
    values = np.nan_to_num(words.view(np.float16), nan=0, posinf=0, neginf=0)
    found = tiny.run(rounding, x=values)["y"]
    assert quantised.bits(found) == quantised.bits(quantised.modelopt_nvfp4(values, AMAX))


def test_every_tie_is_modelopts_to_the_bit():
    """Numbers half-way between two of E2M1's, in blocks whose scale is a power of two."""
    quarters = np.arange(-24, 25) / 4
    rows = np.stack([np.roll(np.append(quarters[:15], 6), shift) for shift in range(16)] + [np.full(16, 6.0)] * 16)
    rows[:16, 1:] = np.random.default_rng(0).choice(quarters, size=(16, 15))
    rows[:16, 0] = 6
    values = np.concatenate([rows[:16], rows[16:]], axis=1).astype(np.float16)
    amax = 6 * 448.0
    engine = tiny.session(twin_of(np.eye(32), amax))
    found = tiny.run(engine, x=values[None])["y"][0]
    assert quantised.bits(found) == quantised.bits(quantised.modelopt_nvfp4(values, amax))
    assert set(np.abs(found[:, :16]).ravel()) == {0, 0.5, 1, 1.5, 2, 3, 4, 6}


@pytest.mark.parametrize("scale", [1, 1e-3, 1e4])
def test_weights_are_modelopts_to_the_bit(scale):
    weight = (hard_rows()[:256].astype(np.float32) * scale).clip(-65504, 65504).astype(np.float16)
    twin = twin_of(weight.T)
    (stored,) = (numpy_helper.to_array(tensor) for tensor in twin.graph.initializer if "weight" in tensor.name)
    wanted = quantised.modelopt_nvfp4(weight, float(np.abs(weight).max()))
    assert quantised.bits(np.ascontiguousarray(stored.T)) == quantised.bits(wanted)


def test_weights_are_what_onnx_reads_out_of_the_shipped_graph():
    """The reference implementation of ONNX unpacks the stored bytes with its own operators."""
    from onnx.reference import ReferenceEvaluator

    weight = hard_rows()[:64].T
    model = quantised.one_linear(weight)
    amax = SiteAmax(input=AMAX, weight=float(np.abs(weight).max()))
    quantise_graph(model, {quantised.SITE: "nvfp4"}, quantised.of({quantised.SITE: amax}))
    (stored,) = (
        numpy_helper.to_array(tensor) for tensor in simulate(model)[0].graph.initializer if "weight" in tensor.name
    )
    kept = [node for node in model.graph.node if "/weight/" in node.name]
    output = onnx.helper.make_tensor_value_info(kept[-1].output[0], onnx.TensorProto.FLOAT16, None)
    part = onnx.helper.make_graph(kept, "weight", [], [output], model.graph.initializer)
    opset = onnx.helper.make_opsetid("", 23)
    (unpacked,) = ReferenceEvaluator(onnx.helper.make_model(part, opset_imports=[opset])).run(None, {})
    assert quantised.bits(unpacked) == quantised.bits(stored)


@pytest.fixture(scope="module")
def shipped(trained, fp16_graphs):
    """Executor and segment, with NVFP4 in the executor."""
    executor = quantised.quantised(
        fp16_graphs["executor"], uniform(trained.config, ["executor"], "nvfp4"), quantised.calibration(trained)
    )
    return executor, segment_model(executor, fp16_graphs["planner"], trained.config, "fp16")


def test_the_rewrite_is_on_record(shipped):
    for model, activations in zip(shipped, (8, 32), strict=True):
        twin, record = simulate(model)
        assert json.loads(json.dumps(record)) == record
        assert record == {
            "rule": RULE,
            "activations": activations,
            "weights": 8,
            "source": sha256_bytes(model.SerializeToString(deterministic=True)),
            "result": sha256_bytes(twin.SerializeToString(deterministic=True)),
        }
        assert simulate(model)[1] == record


def test_a_twin_has_standard_operators_and_one_function(shipped):
    for model in shipped:
        twin, _ = simulate(model)
        check_model(twin, "executor")
        assert [opset.domain for opset in twin.opset_import] == ["", "hrm_trt"]
        assert len(twin.functions) == 1
        assert {node.domain for node in twin.functions[0].node} == {""}
        assert twin.graph.input == model.graph.input
        assert twin.graph.output == model.graph.output
        assert not [tensor for tensor in twin.graph.initializer if "nvfp4" in tensor.name and tensor.dims]


def test_fp8_stays_as_it_is(trained, fp16_graphs):
    model = quantised.quantised(
        fp16_graphs["executor"], uniform(trained.config, ["executor"], "fp8"), quantised.calibration(trained)
    )
    twin, record = simulate(model)
    assert twin == model
    assert record["source"] == record["result"]
    assert (record["activations"], record["weights"]) == (0, 0)
