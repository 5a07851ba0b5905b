"""Engines of both runtimes against each other, on the sample checkpoint."""

import time
from pathlib import Path

import numpy as np
import pytest

from engines.act import Policy
from engines.bundle import read_manifest
from engines.loading import load_engines
from engines.onnx_runtime import OnnxRuntimeEngine, build
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from engines.torch_runtime import TorchEngine, torch_stepper
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import EngineError

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
OPTIONS = RuntimeOptions(threads=2)
PUZZLES = 48


@pytest.fixture(scope="module")
def puzzles():
    return read_split(SAMPLE / "dataset", "test", PUZZLES)


@pytest.fixture(scope="module")
def sample_network():
    return network(load(locate(SAMPLE)))


@pytest.fixture(scope="module")
def bundle(demo_bundle):
    return load_engines(*demo_bundle, OPTIONS)


@pytest.fixture(scope="module")
def planner_executor(demo_workdir, demo_result):
    directory = demo_workdir.bundle("sudoku-4x4-cpu-fp32-planner-executor")
    return load_engines(directory, read_manifest(directory), OPTIONS)


@pytest.mark.parametrize("policy", ["fixed", "adaptive", "confidence"])
def test_every_topology_answers_as_pytorch_does(sample_network, bundle, planner_executor, puzzles, policy):
    answers = [
        solve(model, puzzles.inputs, puzzles.puzzle_identifiers, Policy(policy, 8), batch=16)
        for model in (torch_stepper(sample_network), bundle, planner_executor)
    ]
    for other in answers[1:]:
        np.testing.assert_array_equal(other.tokens, answers[0].tokens)
        np.testing.assert_array_equal(other.depth, answers[0].depth)
        np.testing.assert_allclose(other.q_halt, answers[0].q_halt, atol=1e-3)


@pytest.mark.parametrize("policy", ["fixed", "adaptive", "confidence"])
def test_a_puzzle_does_not_depend_on_its_neighbours(bundle, puzzles, policy):
    policy = Policy(policy, 8)
    together = solve(bundle, puzzles.inputs, puzzles.puzzle_identifiers, policy, batch=PUZZLES)
    order = np.random.default_rng(0).permutation(PUZZLES)
    for batch in (1, 7):
        shuffled = solve(bundle, puzzles.inputs[order], puzzles.puzzle_identifiers[order], policy, batch=batch)
        np.testing.assert_array_equal(shuffled.tokens, together.tokens[order])
        np.testing.assert_array_equal(shuffled.depth, together.depth[order])
        np.testing.assert_allclose(shuffled.q_halt, together.q_halt[order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", ["encoder", "executor", "planner", "segment"])
def test_torch_and_onnxruntime_engines_have_one_contract(sample_network, demo_result, module):
    path = next(row.path for row in demo_result.engines if row.module == module)
    ours, theirs = TorchEngine(sample_network, module), OnnxRuntimeEngine(path_of(path), OPTIONS)
    assert [(spec.name, spec.dtype) for spec in ours.inputs] == [(spec.name, spec.dtype) for spec in theirs.inputs]
    assert [(spec.name, spec.dtype) for spec in ours.outputs] == [(spec.name, spec.dtype) for spec in theirs.outputs]
    generator = np.random.default_rng(0)
    feeds = {spec.name: sample(spec, generator) for spec in ours.inputs}
    wanted, found = ours.run(feeds), theirs.run(feeds)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4 * max(1, np.abs(value).max()))


def test_an_engine_at_rest_leaves_the_cores_to_others(demo_result):
    path = next(row.path for row in demo_result.engines if row.module == "planner")
    engine = OnnxRuntimeEngine(path_of(path), OPTIONS)
    generator = np.random.default_rng(0)
    enough_for_every_thread = 64
    feeds = {spec.name: np.repeat(sample(spec, generator), enough_for_every_thread, axis=0) for spec in engine.inputs}
    at_rest = 0.0
    for _ in range(5):
        engine.run(feeds)
        before = time.process_time()
        time.sleep(0.05)
        at_rest += time.process_time() - before
    assert at_rest < 0.05  # spinning on would be 0.15


def test_wrong_shape_names_what_was_given(demo_result):
    path = next(row.path for row in demo_result.engines if row.module == "planner")
    engine = OnnxRuntimeEngine(path_of(path), OPTIONS)
    with pytest.raises(EngineError, match=r"float32\[1, 5\]"):
        engine.run({"z_H": np.zeros((1, 5), np.float32), "z_L": np.zeros((1, 5), np.float32)})


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x08\x0a"])
def test_what_is_no_graph_is_refused(tmp_path, content):
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(content)
    with pytest.raises(EngineError, match=r"built from graph\.onnx"):
        build(graph, tmp_path / "engine.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.onnx"]


def path_of(path):
    from pathlib import Path

    return Path(path)


def sample(spec, generator):
    shape = {"batch": 3, "sequence": 16, "tokens": 17}
    sizes = [shape[axis] if isinstance(axis, str) else axis for axis in spec.shape]
    if spec.dtype == "int32":
        return generator.integers(0, 6 if spec.name == "inputs" else 1, sizes, dtype=np.int32)
    return generator.standard_normal(sizes).astype(np.float32)
