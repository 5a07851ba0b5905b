"""The orchestrator on a real tritonserver, against the in-process runner with the same engines, bit for bit."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import server
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from engines.act import Policy
from engines.bundle import read_manifest
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm.data.dataset import read_split
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.stepper import EngineStepper
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

pytestmark = pytest.mark.triton
SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
PUZZLES = 64
BUNDLES = {"segment": "sudoku-4x4-cpu-fp32", "planner-executor": "sudoku-4x4-cpu-fp32-planner-executor"}


@dataclass(frozen=True)
class Served:
    """A solver on a server, and the same engines here."""

    name: str
    client: grpc.InferenceServerClient
    http: str
    model: EngineStepper


@pytest.fixture(scope="module")
def puzzles() -> PuzzleSet:
    return read_split(SAMPLE / "dataset", "test", PUZZLES)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, demo_workdir: Workdir, demo_result: BuildResult
) -> Iterator[tuple[server.Server, grpc.InferenceServerClient]]:
    del demo_result
    home = tmp_path_factory.mktemp("solver")
    for topology, bundle in BUNDLES.items():
        publish([demo_workdir.bundle(bundle)], home / "repository", topology, keep=1, slots=16)
    with server.running(home / "repository", home) as started:
        client = grpc.InferenceServerClient(started.grpc)
        for name in sorted(path.name for path in (home / "repository").iterdir() if path.is_dir())[::-1]:
            if name not in BUNDLES:
                client.load_model(name)
        for name in BUNDLES:
            client.load_model(name)
        yield started, client
        client.close()


@pytest.fixture(params=list(BUNDLES), scope="module")
def served(
    running: tuple[server.Server, grpc.InferenceServerClient], demo_workdir: Workdir, request: pytest.FixtureRequest
) -> Served:
    started, client = running
    directory = demo_workdir.bundle(BUNDLES[request.param])
    model = load_engines(directory, read_manifest(directory), RuntimeOptions(threads=1))
    return Served(request.param, client, started.http, model)


def tensor(name: str, values: list[int] | np.ndarray) -> grpc.InferInput:
    array = np.asarray(values, dtype=np.int32)
    array = array if name == "inputs" else array.reshape(-1, 1)
    made = grpc.InferInput(name, list(array.shape), "INT32")
    made.set_data_from_numpy(array)
    return made


def ask(
    served: Served, inputs: np.ndarray, parameters: dict[str, object] | None = None, **options: list[int]
) -> dict[str, np.ndarray]:
    sent = [tensor(name, values) for name, values in {"inputs": inputs, **options}.items()]
    answer = served.client.infer(served.name, sent, client_timeout=60, parameters=parameters)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


@pytest.mark.parametrize("policy", ["fixed", "adaptive"])
def test_many_clients_get_the_bits_of_the_in_process_runner(served: Served, puzzles: PuzzleSet, policy: str) -> None:
    expected = solve(served.model, puzzles.inputs, puzzles.puzzle_identifiers, Policy(policy, 8), batch=16)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda row: ask(served, row[None], {"policy": policy}), puzzles.inputs))
    for name, values in {
        "solution": expected.tokens,
        "depth": expected.depth,
        "confidence": expected.confidence,
        "q_halt": expected.q_halt,
    }.items():
        found = np.concatenate([answer[name] for answer in answers])
        assert found.size > 0
        np.testing.assert_array_equal(found.reshape(values.shape), values, err_msg=name)
    assert [bool(answer["halted"]) for answer in answers] == (
        [False] * PUZZLES if policy == "fixed" else [bool(row) for row in expected.q_halt > expected.q_continue]
    )
    assert all(answer["entropy"] >= 0 for answer in answers)


def test_puzzles_of_one_request_go_their_own_ways(served: Served, puzzles: PuzzleSet) -> None:
    inputs = puzzles.inputs[:4]
    depths = [3, 8, 5, 1]
    answer = ask(served, inputs, {"policy": "fixed"}, max_depth=depths, puzzle_identifiers=[0] * 4)
    for row in range(4):
        alone = solve(
            served.model,
            inputs[row : row + 1],
            np.zeros(1, np.int32),
            Policy("fixed", depths[row]),
            batch=1,
        )
        assert answer["solution"][row].tolist() == alone.tokens[0].tolist()
        assert answer["depth"][row] == alone.depth[0]
        assert answer["confidence"][row] == alone.confidence[0]


def test_adaptive_is_what_a_client_gets_that_does_not_choose(served: Served, puzzles: PuzzleSet) -> None:
    inputs = puzzles.inputs[:1]
    assert ask(served, inputs)["depth"] == ask(served, inputs, {"policy": "adaptive"})["depth"]


def test_http_and_generate_answer_too(served: Served, puzzles: PuzzleSet) -> None:
    expected = ask(served, puzzles.inputs[:1])["solution"][0].tolist()
    url = f"http://{served.http}/v2/models/{served.name}"
    tensor = {"name": "inputs", "shape": [1, 16], "datatype": "INT32", "data": puzzles.inputs[0].tolist()}
    answer = json.load(post(f"{url}/infer", {"inputs": [tensor]}))
    assert next(o["data"] for o in answer["outputs"] if o["name"] == "solution") == expected
    assert json.load(post(f"{url}/generate", {"inputs": puzzles.inputs[0].tolist()}))["solution"] == expected


def post(url: str, document: object):
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(document).encode()), timeout=60)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"parameters": {"policy": "confidence"}},
            "policy 'confidence' was not gated for this model; there is fixed, adaptive",
        ),
        ({"max_depth": [9]}, "max_depth is 9; it must be from 1 to 8"),
        ({"puzzle_identifiers": [1]}, "puzzle_identifiers has 1; values must be from 0 to 0"),
    ],
)
def test_what_was_not_gated_is_refused_with_the_reason(
    served: Served, puzzles: PuzzleSet, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(InferenceServerException, match=why):
        ask(served, puzzles.inputs[:1], **options)
