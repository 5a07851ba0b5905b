"""The examples, run as a user runs them, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import server
from pending import until
from scrape import scrape
from solver_serving import serving

from hrm.data.dataset import read_split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from solver_serving import Solver

    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

pytestmark = pytest.mark.triton
ROOT = Path(__file__).parents[2]
SUDOKU = ROOT / "checkpoints/sudoku-4x4"
PUZZLE = "4..1..2.....1..."
PUZZLES = ["11.", "1.1", ".11", "222", "2.2", "22.", ".22", "3.3", "33.", ".33"]


@pytest.fixture(scope="module")
def sample(
    tmp_path_factory: pytest.TempPathFactory, demo_workdir: Workdir, demo_result: BuildResult
) -> Iterator[server.Server]:
    """A server on what the demo's build has published."""
    del demo_result
    home = tmp_path_factory.mktemp("examples")
    with server.running(demo_workdir.repository, home, {"load-model": "*"}) as running:
        yield running


def client(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, ROOT / "examples/solve_client.py", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def label() -> np.ndarray:
    puzzles = read_split(SUDOKU / "dataset", "test", 1)
    assert [".1234"[token - 1] for token in puzzles.inputs[0]] == list(PUZZLE)
    return puzzles.labels[0]


def test_the_client_solves_the_samples_puzzle(sample: server.Server) -> None:
    code, out, err = ended(client(SUDOKU.name, PUZZLE, "--server", sample.grpc, "--priority", 1, "--policy", "fixed"))
    assert (code, err) == (0, "")
    symbols = [str(token - 1) for token in label()]
    assert out.splitlines()[:4] == [" ".join(symbols[row : row + 4]) for row in range(0, 16, 4)]
    assert out.splitlines()[4].startswith("depth 8 (ran out of segments), confidence 1.000, version ")


def test_the_client_solves_puzzles_of_a_data_set(sample: server.Server) -> None:
    dataset = ("--dataset", SUDOKU / "dataset", "--count", 40)
    code, out, _ = ended(client(SUDOKU.name, *dataset, "--server", sample.grpc))
    assert code == 0
    assert out.splitlines()[-1].startswith("40 of 40 answered, 40 right; mean depth ")
    assert out.count(", right\n") == 40


def test_what_the_server_refuses_is_said(sample: server.Server) -> None:
    code, out, err = ended(client(SUDOKU.name, PUZZLE, "--server", sample.grpc, "--policy", "confidence"))
    assert (code, out) == (1, "")
    assert err == "no answer: policy 'confidence' was not gated for this model; there is fixed, adaptive\n"
    code, _, err = ended(client(SUDOKU.name, PUZZLE, "--server", sample.grpc, "--timeout", 0.0001))
    assert code == 1
    assert "timeout" in err.lower()
    code, _, err = ended(client(SUDOKU.name, "x", "--server", sample.grpc))
    assert (code, err) == (1, "'x' has 'x'; cells are written as ' .123456789'\n")


def test_curl_gets_the_same_answer_from_both_calls(sample: server.Server) -> None:
    command = [ROOT / "examples/curl.sh", SUDOKU.name, PUZZLE, f"http://{sample.http}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    generated, inferred = map(json.loads, found.stdout.splitlines())
    outputs = {output["name"]: output["data"] for output in inferred["outputs"]}
    assert generated["solution"] == outputs["solution"] == label().tolist()
    assert (generated["halted"], outputs["depth"]) == (True, [8])


def test_curl_ends_with_the_servers_reason(sample: server.Server) -> None:
    command = [ROOT / "examples/curl.sh", SUDOKU.name, PUZZLE.replace("4", "9"), f"http://{sample.http}"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode != 0
    assert found.stdout == '{"error":"inputs has 10; values must be from 0 to 5"}'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solver]:
    """A solver with two slots and room for two more requests, whose engine can be held."""
    with serving(tmp_path_factory.mktemp("small"), "segment", slots=2, queue=2) as (solver,):
        yield solver


def asked(solver: Solver, *how: object) -> subprocess.Popen[str]:
    return client(solver.name, *PUZZLES, "--server", solver.server.grpc, *how)


def counted(solver: Solver, sample: str) -> float:
    return scrape(solver.server, solver.name)[sample]


def test_a_full_queue_is_asked_again(small: Solver) -> None:
    before = counted(small, "hrm_requests_total queue_full")
    with small.held([0]):
        patient = asked(small, "--retries", 8)
        until(lambda: counted(small, "hrm_requests_total queue_full") > before)
    code, out, err = ended(patient)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith(f"{len(PUZZLES)} of {len(PUZZLES)} answered; mean depth ")


def test_a_full_queue_is_an_error_in_the_end(small: Solver) -> None:
    with small.held([0]):
        hasty = asked(small, "--retries", 0, "--give-up", 5)
        code, _, err = ended(hasty)
    assert code == 1
    assert "no answer: " in err
    assert "the queue is full" in err


def test_what_the_client_gives_up_the_server_drops(small: Solver) -> None:
    before = counted(small, "hrm_requests_total cancelled")
    with small.held([0]):
        code, _, err = ended(asked(small, "--give-up", 1))
    assert code == 1
    assert err.endswith("gave up after 1 s; what was under way is cancelled\n")
    until(lambda: counted(small, "hrm_requests_total cancelled") > before)
    until(lambda: counted(small, "hrm_slots_in_use") == 0)
