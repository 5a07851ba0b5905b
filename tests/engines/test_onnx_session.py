"""How sessions are opened, and that CUDA is not left in silence: with real sessions on the CPU, and with told ones."""

from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest

from engines import onnx_session
from engines.onnx_session import SHAPE_OPERATORS, RuntimeOptions, open_session
from hrm.errors import EngineError, MissingError

OPTIONS = RuntimeOptions(threads=1)
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture(scope="module")
def graphs(demo_result):
    """The demo's engines by module, of both topologies."""
    return {row.module: Path(row.path) for row in demo_result.engines}


@pytest.fixture
def told(monkeypatch):
    """Sessions that say where their nodes are; returns what they were opened with."""
    opened = []

    def answer(placed, providers=(CUDA, CPU)):
        parts = [SimpleNamespace(ep_name=name, get_nodes=lambda kinds=kinds: nodes(kinds)) for name, kinds in placed]

        def session(path, settings, asked, **more):
            opened.append((settings, asked, more))
            return SimpleNamespace(
                get_providers=lambda: list(providers), get_provider_graph_assignment_info=lambda: parts
            )

        monkeypatch.setattr(onnxruntime, "InferenceSession", session)
        return opened

    return answer


def nodes(kinds):
    return [SimpleNamespace(op_type=kind) for kind in kinds]


def test_on_cuda_float32_stays_float32_and_places_are_recorded(told, tmp_path):
    opened = told([(CUDA, ["MatMul", "Reshape"]), (CPU, ["Shape"]), (CPU, ["Concat"])])
    open_session(tmp_path / "graph.onnx", RuntimeOptions(threads=3, deterministic=True), "cuda")
    ((settings, asked, more),) = opened
    assert asked == [(CUDA, {"device_id": "0", "use_tf32": "0"})]
    assert more == {"enable_fallback": 0}
    assert settings.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
    assert (settings.intra_op_num_threads, settings.use_deterministic_compute) == (3, True)


def test_on_a_cpu_nothing_is_recorded(told, tmp_path):
    opened = told([])
    open_session(tmp_path / "graph.onnx", OPTIONS)
    ((settings, asked, _),) = opened
    assert asked == [(CPU, {})]
    with pytest.raises(RuntimeError):
        settings.get_session_config_entry("session.record_ep_graph_assignment_info")


def test_what_has_no_kernel_for_cuda_is_named(told, tmp_path):
    told([(CUDA, ["MatMul"]), (CPU, ["Shape", "MatMulIntegerToFloat"]), (CPU, ["Attention"])])
    with pytest.raises(EngineError, match=r"graph\.onnx does not run on CUDA alone") as refused:
        open_session(tmp_path / "graph.onnx", OPTIONS, "cuda")
    assert "compute Attention, MatMulIntegerToFloat on the CPU" in refused.value.why


@pytest.mark.parametrize("placed", [[], [(CPU, ["Shape"])]])
def test_nothing_on_cuda_is_nothing_gained(told, tmp_path, placed):
    told(placed)
    with pytest.raises(EngineError) as refused:
        open_session(tmp_path / "graph.onnx", OPTIONS, "cuda")
    assert "all of it" in refused.value.why


def test_a_provider_that_did_not_load_is_not_replaced_by_the_cpu(told, tmp_path):
    told([(CPU, ["MatMul"])], providers=(CPU,))
    with pytest.raises(MissingError, match="cannot compute on CUDA here"):
        open_session(tmp_path / "graph.onnx", OPTIONS, "cuda")


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA")
def test_without_cuda_a_real_session_is_refused(graphs):
    with pytest.raises(MissingError, match="cannot compute on CUDA here"):
        open_session(graphs["planner"], OPTIONS, "cuda")


def test_a_real_session_tells_its_places(graphs, monkeypatch):
    monkeypatch.setattr(onnx_session, "_CUDA", CPU)
    monkeypatch.setitem(onnx_session._PROVIDERS, "cuda", (CPU, {}))
    session = open_session(graphs["planner"], OPTIONS, "cuda")
    kinds = {node.op_type for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()}
    assert kinds > {"MatMul", "MultiHeadAttention"}


@pytest.mark.parametrize("module", ["encoder", "segment", "executor", "planner"])
def test_sizes_are_computed_by_what_may_stay_on_the_cpu(graphs, module):
    graph = onnx.shape_inference.infer_shapes(onnx.load(graphs[module])).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    sizes = {node.op_type for node in graph.node if types.get(node.output[0]) == onnx.TensorProto.INT64}
    assert sizes <= SHAPE_OPERATORS


def test_a_refusal_says_nothing_on_stdout(tmp_path, capfd):
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"not an onnx file")
    with pytest.raises(EngineError, match=r"refuses graph\.onnx"):
        open_session(graph, OPTIONS)
    assert capfd.readouterr() == ("", "")
