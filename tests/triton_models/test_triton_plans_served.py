"""A set for GPUs on a real tritonserver, its configurations unedited: it answers as the set for CPUs does.

The server has no GPU. Its ``tensorrt`` backend is a stand-in in Python (see ``backends``) that runs the ONNX graphs
that the plans stand for. So this proves the repository, the choice of a plan, the configurations and the solver with
its padding; it proves nothing about loading plans, CUDA graphs, or tensors in a GPU's memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
import server
import tritonclient.grpc as grpc
from plan_bundles import as_plans
from tiny_bundles import TINY, tiny_bundle

from engines.act import Policy
from engines.bundle import MODULES, read_manifest
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm_trt.cli import edge
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engines.bundle import Topology

pytestmark = pytest.mark.triton
TOPOLOGIES: tuple[Topology, ...] = ("segment", "planner-executor")
BATCHES = {"opt_batch": 6, "max_batch": 8}
IDENTIFIERS = 2**24 + 1
"""Of the puzzle table: 256 MiB, the most that an encoder may hold, and one row."""
FILLED = {0: 0.5, 7: -1.0, IDENTIFIERS - 1: 2.0}
"""Identifiers of which the table's row is not zero."""


@dataclass(frozen=True)
class Site:
    """A server with a set for CPUs and one for GPUs of each topology, and the bundles in ``home``."""

    home: Path
    started: server.Server
    client: grpc.InferenceServerClient

    def solve(self, name: str, inputs: np.ndarray, identifiers: np.ndarray) -> dict[str, np.ndarray]:
        sent = []
        for tensor, values in (("inputs", inputs), ("puzzle_identifiers", identifiers[:, None])):
            sent.append(grpc.InferInput(tensor, list(values.shape), "INT32"))
            sent[-1].set_data_from_numpy(values)
        answer = self.client.infer(name, sent)
        return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("plans")
    place = home / "repository"
    names = []
    for topology in TOPOLOGIES:
        publish([tiny_bundle(home / topology, topology, **BATCHES)], place, f"cpu-{topology}", keep=1)
        publish(plans_of(home, topology), place, f"gpu-{topology}", keep=1)
        names += [(f"{kind}-{topology}", topology) for kind in ("cpu", "gpu")]
    publish([as_plans(with_table(home), home / "table-plans", "sm_90", graphs=home / "graphs")], place, "table", keep=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HRM_TRT_TEST_GRAPHS", str(home / "graphs"))
        patch.setenv("HRM_TRT_TEST_CAPABILITY", "9.0")
        with server.running(place, home) as started:
            client = grpc.InferenceServerClient(started.grpc)
            for name, topology in [*names, ("table", "segment")]:
                for model in (*(f"{name}_{module}" for module in MODULES[topology]), name):
                    client.load_model(model)
            yield Site(home, started, client)
            client.close()


def plans_of(home: Path, topology: Topology) -> list[Path]:
    """Plans for the GPU that the server pretends to have, and for another one, which stand for other weights."""
    with np.load(home / topology / "carry.npz") as stored:
        others = tiny_bundle(home / f"{topology}-others", topology, seed=1, carry=dict(stored), **BATCHES)
    return [
        as_plans(home / topology, home / f"{topology}-sm_90", "sm_90", graphs=home / "graphs"),
        as_plans(others, home / f"{topology}-sm_120", "sm_120", graphs=home / "graphs"),
    ]


def with_table(home: Path) -> Path:
    """A bundle whose puzzle table is too large for an encoder."""
    table = np.zeros((IDENTIFIERS, 4), np.float32)
    for identifier, value in FILLED.items():
        table[identifier] = value
    architecture = TINY.to_dict() | {"num_puzzle_identifiers": IDENTIFIERS}
    return tiny_bundle(home / "table", puzzle_table=table, architecture=architecture, **BATCHES)


def puzzles(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, TINY.vocab_size, (count, TINY.seq_len)).astype(np.int32)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_plans_answer_what_the_graphs_that_they_stand_for_answer(site: Site, topology: str, rows: int) -> None:
    inputs, identifiers = puzzles(rows), np.arange(rows, dtype=np.int32) % 2
    ours = site.solve(f"gpu-{topology}", inputs, identifiers)
    theirs = site.solve(f"cpu-{topology}", inputs, identifiers)
    assert set(ours) == {"solution", "depth", "halted", "confidence", "entropy", "q_halt"}
    for name, values in theirs.items():
        assert values.size > 0
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


def test_a_server_whose_tensorrt_is_not_known_is_said_to_be_so(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge.run(["preflight", str(site.home / "repository"), "--server", f"http://{site.started.http}"]) == 2
    assert "not known which TensorRT a Triton 2.51.0 carries" in capsys.readouterr().err


def test_a_table_of_puzzles_is_looked_up_on_the_host_and_never_read_whole(site: Site) -> None:
    inputs, identifiers = puzzles(1).repeat(3, axis=0), np.array([*FILLED], np.int32)
    answer = site.solve("table", inputs, identifiers)
    model = load_engines(site.home / "table", read_manifest(site.home / "table"), RuntimeOptions(threads=1))
    expected = solve(model, inputs, identifiers, Policy("fixed", TINY.halt_max_steps), batch=3)
    np.testing.assert_array_equal(answer["solution"], expected.tokens)
    np.testing.assert_array_equal(answer["q_halt"][:, 0], expected.q_halt)
    assert len(set(expected.q_halt.tolist())) == 3
    (solver,) = site.started.stubs("table")
    assert solver.memory_info().rss < (site.home / "table/puzzle_table.npy").stat().st_size
    engines = [*(site.home / "repository").glob("table_*/1/model_*.plan"), *(site.home / "graphs").iterdir()]
    assert max(path.stat().st_size for path in engines) < 10_000
