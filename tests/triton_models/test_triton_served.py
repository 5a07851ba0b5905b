"""What a real tritonserver answers from a published repository, compared value by value with the same engines here.

The server's ``onnxruntime`` backend is a stand-in in Python (see ``backends``): this proves the repository, its
configurations and its versions, and nothing about Triton's compiled backend.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import server
import tritonclient.grpc
import tritonclient.http
from tiny_bundles import tiny_bundle
from tiny_graphs import HIDDEN
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from engines.onnx_runtime import OnnxRuntimeEngine
from engines.onnx_session import RuntimeOptions
from hrm.data.dataset import read_split
from hrm_trt.cli import edge
from triton_models.preflight import check_model
from triton_models.publish import publish
from triton_models.repository import open_published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from export.contract import Module
    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

pytestmark = pytest.mark.triton
Array = np.ndarray
ONE_THREAD = RuntimeOptions(threads=1)
"""As in the server: the same sums in the same order give the same bits."""
SUDOKU = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
NAME = SUDOKU.name
TOKENS = 17
PUZZLES = 4


class Client:
    """Sends arrays to a server over one protocol."""

    def __init__(self, protocol: Any, address: str) -> None:
        self._protocol = protocol
        self.raw = protocol.InferenceServerClient(address)

    def infer(self, model: str, feeds: Mapping[str, Array], version: int | None = None) -> Any:
        """The server's answer: an ``InferResult``."""
        inputs = []
        for name, value in feeds.items():
            tensor = self._protocol.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
            tensor.set_data_from_numpy(value)
            inputs.append(tensor)
        return self.raw.infer(model, inputs, model_version="" if version is None else str(version))


@dataclass(frozen=True)
class Serving:
    """A server and the repository that it serves."""

    repository: Path
    clients: dict[str, Client]

    def load(self, *models: str) -> None:
        """Have the server read these models again."""
        for model in models:
            self.clients["grpc"].raw.load_model(model)


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, demo_workdir: Workdir, demo_result: BuildResult
) -> Iterator[Serving]:
    """A server on a copy of the repository that the demo's build published; tests publish more to it."""
    del demo_result
    home = tmp_path_factory.mktemp("serving")
    shutil.copytree(demo_workdir.repository, home / "repository")
    with ExitStack() as stack:
        running = stack.enter_context(server.running(home / "repository", home))
        clients = {
            "http": Client(tritonclient.http, running.http),
            "grpc": Client(tritonclient.grpc, running.grpc),
        }
        for client in clients.values():
            stack.callback(client.raw.close)
        found = Serving(home / "repository", clients)
        found.load(*(f"{NAME}_{module}" for module in ("encoder", "executor", "planner", "segment")))
        yield found


@pytest.fixture(params=["http", "grpc"])
def client(serving: Serving, request: pytest.FixtureRequest) -> Client:
    return serving.clients[request.param]


def feeds_for(engine: OnnxRuntimeEngine, batch: int, tokens: int) -> dict[str, Array]:
    generator = np.random.default_rng(batch)
    sizes: dict[int | str, int] = {"batch": batch, "tokens": tokens, "sequence": tokens - 1}
    feeds = {}
    for spec in engine.inputs:
        shape = [sizes.get(size, size) for size in spec.shape]
        if spec.dtype == "int32":
            high = 1 if spec.name == "puzzle_identifiers" else 6
            feeds[spec.name] = generator.integers(0, high, size=shape, dtype=np.int32)
        else:
            feeds[spec.name] = generator.normal(size=shape).astype(spec.dtype)
    return feeds


def as_served(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """A [B] tensor is [B, 1] to Triton's clients."""
    return {name: value[:, None] if value.ndim == 1 else value for name, value in feeds.items()}


def assert_same(answer: Any, expected: Mapping[str, Array]) -> None:
    """Bit for bit: a server whose Python has the wrong numpy answers 200 with empty tensors."""
    for name, value in as_served(expected).items():
        assert value.size > 0
        assert answer.as_numpy(name).dtype == value.dtype
        np.testing.assert_array_equal(answer.as_numpy(name), value, err_msg=name)


@pytest.mark.parametrize("module", ["encoder", "executor", "planner", "segment"])
@pytest.mark.parametrize("batch", [1, 4])
def test_served_engines_give_the_bits_that_they_give_here(
    serving: Serving, client: Client, module: Module, batch: int
) -> None:
    engine = OnnxRuntimeEngine(serving.repository / f"{NAME}_{module}/1/model.onnx", ONE_THREAD)
    feeds = feeds_for(engine, batch, TOKENS)
    assert_same(client.infer(f"{NAME}_{module}", as_served(feeds)), engine.run(feeds))


def test_a_client_gets_the_numbers_that_the_command_line_gets(
    serving: Serving, client: Client, demo_workdir: Workdir, tmp_path: Path
) -> None:
    outputs, dataset = tmp_path / "outputs.npz", SUDOKU / "dataset"
    what = ["--model", serving.repository / NAME, "--dataset", dataset, "--workdir", demo_workdir.root]
    how = ["--limit", PUZZLES, "--batch", PUZZLES, "--threads", 1, "--save-outputs", outputs, "--json"]
    assert edge.run(["evaluate", *map(str, (*what, *how))]) == 0
    with np.load(outputs) as stored:
        expected = dict(stored)

    puzzles = read_split(dataset, "test", PUZZLES)
    feeds = {"inputs": puzzles.inputs, "puzzle_identifiers": puzzles.puzzle_identifiers[:, None]}
    embeddings = client.infer(f"{NAME}_encoder", feeds).as_numpy("input_embeddings")
    root, manifest = open_published(serving.repository / NAME, "segment")
    with np.load(root / manifest.carry.file) as carry:
        z_H, z_L = (np.broadcast_to(carry[name], embeddings.shape) for name in ("z_H", "z_L"))
    for segment in range(manifest.architecture["halt_max_steps"]):
        answer = client.infer(f"{NAME}_segment", {"z_H": z_H, "z_L": z_L, "input_embeddings": embeddings})
        z_H, z_L = answer.as_numpy("z_H_out"), answer.as_numpy("z_L_out")
        assert_same(answer, {name: expected[name][segment] for name in ("logits", "q_halt", "q_continue")})
    np.testing.assert_array_equal(answer.as_numpy("logits").argmax(axis=-1), puzzles.labels)


def wrong_width(feeds: dict[str, Array]) -> dict[str, Array]:
    return feeds | {"z_L": feeds["z_L"][:, :, :-1]}


def too_many_rows(feeds: dict[str, Array]) -> dict[str, Array]:
    return {name: np.concatenate([value] * 65) for name, value in feeds.items()}  # 260; the profile ends at 256


def fewer_tokens(feeds: dict[str, Array]) -> dict[str, Array]:
    return feeds | {"z_L": feeds["z_L"][:, :-1]}


@pytest.mark.parametrize("damage", [wrong_width, too_many_rows, fewer_tokens])
def test_wrong_shapes_get_an_error_and_the_next_request_an_answer(
    serving: Serving, client: Client, damage: Callable[[dict[str, Array]], dict[str, Array]]
) -> None:
    engine = OnnxRuntimeEngine(serving.repository / f"{NAME}_executor/1/model.onnx", ONE_THREAD)
    feeds = feeds_for(engine, 4, TOKENS)
    with pytest.raises(InferenceServerException):
        client.infer(f"{NAME}_executor", damage(feeds))
    assert_same(client.infer(f"{NAME}_executor", feeds), engine.run(feeds))


def test_both_versions_answer_when_a_second_one_is_published(serving: Serving, tmp_path: Path) -> None:
    feeds = {"z_H": np.ones((2, 4, HIDDEN), np.float32), "z_L": np.ones((2, 4, HIDDEN), np.float32)}
    feeds["input_embeddings"] = np.zeros((2, 4, HIDDEN), np.float32)
    expected = {}
    for version in (1, 2, 3):
        bundle = tiny_bundle(tmp_path / str(version), seed=version)
        assert publish([bundle], serving.repository, "tiny", keep=2).version == version
        serving.load("tiny_encoder", "tiny_segment")
        expected[version] = OnnxRuntimeEngine(bundle / "segment.onnx", ONE_THREAD).run(feeds)
        for client in serving.clients.values():
            for kept in (max(1, version - 1), version):
                assert_same(client.infer("tiny_segment", feeds, kept), expected[kept])
            assert_same(client.infer("tiny_segment", feeds), expected[version])
    assert check_model(serving.repository / "tiny_segment") == ()
    assert not np.array_equal(expected[2]["logits"], expected[3]["logits"])
    with pytest.raises(InferenceServerException):
        serving.clients["grpc"].infer("tiny_segment", feeds, 1)


def test_what_a_killed_publisher_left_does_not_keep_a_model_from_loading(serving: Serving, tmp_path: Path) -> None:
    publish([tiny_bundle(tmp_path / "first")], serving.repository, "left", keep=2)
    unfinished = serving.repository / "left_encoder/.hrm-trt/new/left_segment/2"
    unfinished.mkdir(parents=True)
    (unfinished / "model.onnx").write_bytes(b"half of")
    shutil.copytree(serving.repository / "left_segment/1", serving.repository / "left_segment/2")
    serving.load("left_encoder", "left_segment")
    client = serving.clients["grpc"].raw
    assert client.is_model_ready("left_segment", "1")
    assert not client.is_model_ready("left_segment", "2")


def test_a_missing_server_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HRM_TRT_TRITON_ENV", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make it with: make"):
        server.environment()
