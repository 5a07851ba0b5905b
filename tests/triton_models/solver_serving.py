"""Small sets on a real server: orchestrators over engines that wait, fail or give NaN when a test says so."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import server
import tritonclient.grpc as grpc
from google.protobuf import text_format
from pending import PATIENCE, Answer, Pending, until
from tiny_bundles import TINY, write_bundle
from tiny_graphs import HIDDEN, PUZZLES, VOCAB, tiny_graph
from traffic import OUTPUTS, Traffic
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import np_to_triton_dtype

from engines.act import Policy
from engines.bundle import MODULES, read_manifest
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from triton_models.config import CONFIG, parse_config
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engines.bundle import Topology
    from triton_models.config import ModelConfig

CELLS, MAX_DEPTH = TINY.seq_len, 8
_SEED = 10
"""Puzzles of these weights halt after one segment or after six."""
_PUPPET = {"segment": "segment", "planner-executor": "executor"}


@dataclass(frozen=True)
class Solver:
    """A set that is served, all puzzles that it can be asked, and what the in-process runner answers to them."""

    server: server.Server
    client: grpc.InferenceServerClient
    repository: Path
    topology: Topology
    inputs: np.ndarray
    identifiers: np.ndarray
    expected: dict[str, Answer]
    """By policy; every array has a row for each puzzle."""

    @property
    def name(self) -> str:
        """The set's."""
        return self.topology

    @property
    def puppet(self) -> str:
        """The engine that takes orders."""
        return f"{self.name}_{_PUPPET[self.topology]}"

    @property
    def engines(self) -> list[str]:
        """Their models' names."""
        return [f"{self.name}_{module}" for module in MODULES[self.topology]]

    def begin(self, puzzles: Sequence[int], policy: str = "adaptive", *, level: int = 2, **how: Any) -> Pending:
        """Ask for ``puzzles`` in one request; ``level`` is its priority, ``how`` as for tritonclient's ``infer``."""
        tensors = {"inputs": self.inputs[puzzles], "puzzle_identifiers": self.identifiers[puzzles, None]}
        return self.send(tensors, parameters={"policy": policy, "queue_priority": level}, **how)

    def send(self, tensors: dict[str, np.ndarray], model: str | None = None, **how: Any) -> Pending:
        """Send whatever ``tensors`` are."""
        sent = []
        for name, values in tensors.items():
            sent.append(grpc.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype)))
            sent[-1].set_data_from_numpy(values)
        pending = Pending()
        context = self.client.async_infer(
            self.name if model is None else model, sent, pending.finish, client_timeout=PATIENCE, **how
        )
        pending.cancel = context.cancel
        return pending

    def check(self, answer: Answer, puzzles: Sequence[int], policy: str = "adaptive") -> None:
        """Bit for bit what the in-process runner gives."""
        for name, values in self.expected[policy].items():
            assert answer[name].dtype == values.dtype
            np.testing.assert_array_equal(answer[name], values[puzzles], err_msg=name)

    def ask(self, puzzles: Sequence[int], policy: str = "adaptive", **how: Any) -> None:
        """Ask for ``puzzles``, and see that the answer is right."""
        self.check(self.begin(puzzles, policy, **how).answer(), puzzles, policy)

    def order(self, word: str) -> None:
        """Tell the puppet engine what to do from its next call on."""
        path = self.repository / self.puppet / "order"
        path.with_suffix(".new").write_text(word)
        path.with_suffix(".new").replace(path)

    @contextlib.contextmanager
    def held(self, puzzles: Sequence[int] = (0,), **how: Any) -> Iterator[Pending]:
        """Hold the engine within a segment of ``puzzles`` until the end of the block, at the latest."""
        holding = self.repository / self.puppet / "held"
        self.order("hold")
        try:
            first = self.begin(puzzles, **how)
            until(holding.exists)
            yield first
        finally:
            self.order("")
            until(lambda: not holding.exists())

    def load(self, *models: str) -> None:
        """Have the server read these models, or all of the set, engines first."""
        for model in models or (*self.engines, self.name):
            self.client.load_model(model)

    def traffic(self, clients: int = 4) -> Traffic:
        """Clients that go on asking."""
        return Traffic(self.server.grpc, self.name, clients, until_refused=False)

    def wrong(self, traffic: Traffic) -> list[tuple[int, int]]:
        """Versions and puzzles of what was answered wrong."""
        columns = [[row.tobytes() for row in self.expected["adaptive"][name][::PUZZLES]] for name in OUTPUTS]
        return traffic.mixed({1: list(zip(*columns, strict=True))})


@contextlib.contextmanager
def serving(
    home: Path, *topologies: Topology, slots: int = 4, queue: int = 1024, logging: bool = False
) -> Iterator[list[Solver]]:
    """Publish a set of tiny engines for each of ``topologies``, called like it, and serve them.

    Args:
        home: an empty directory for everything.
        topologies: of the sets.
        slots: how many puzzles run at once.
        queue: how many puzzles may wait.
        logging: whether every request has a line in the log.
    """
    repository, (inputs, identifiers) = home / "repository", _puzzles()
    bundles = {topology: _bundle(home / topology, topology) for topology in topologies}
    for topology, bundle in bundles.items():
        publish([bundle], repository, topology, keep=1, slots=slots, queue=queue)
        for module in MODULES[topology]:
            configure(repository / f"{topology}_{module}", _one_instance)
        _make_puppet(repository / f"{topology}_{_PUPPET[topology]}")
        configure(repository / topology, lambda config: log_requests(config, logging))
    with server.running(repository, home) as started, grpc.InferenceServerClient(started.grpc) as client:
        solvers = [
            Solver(started, client, repository, topology, inputs, identifiers, _expected(bundle, inputs, identifiers))
            for topology, bundle in bundles.items()
        ]
        for solver in solvers:
            solver.load()
        yield solvers


def configure(model: Path, change: Callable[[ModelConfig], None]) -> None:
    """Change the configuration in a model's directory."""
    config = parse_config((model / CONFIG).read_text())
    change(config)
    (model / CONFIG).write_text(text_format.MessageToString(config))


def log_requests(config: ModelConfig, wanted: bool) -> None:
    """Have every request, or failures alone, written to the log."""
    config.parameters["log_requests"].string_value = "true" if wanted else "false"


def _bundle(directory: Path, topology: Topology) -> Path:
    engines = {module: tiny_graph(module, _SEED) for module in MODULES[topology]}
    z_H, z_L = np.random.default_rng(_SEED).normal(size=(2, HIDDEN)).astype(np.float32)
    config, verdicts = replace(TINY, halt_max_steps=MAX_DEPTH), {"fixed": "pass", "adaptive": "pass"}
    return write_bundle(directory, topology, engines, {"z_H": z_H, "z_L": z_L}, config, verdicts=verdicts, max_batch=64)


def _puzzles() -> tuple[np.ndarray, np.ndarray]:
    """All there are, the two identifiers by turns."""
    cells = np.array(list(itertools.product(range(VOCAB), repeat=CELLS)), dtype=np.int32)
    return np.repeat(cells, PUZZLES, axis=0), np.tile(np.arange(PUZZLES, dtype=np.int32), len(cells))


def _expected(bundle: Path, inputs: np.ndarray, identifiers: np.ndarray) -> dict[str, Answer]:
    model = load_engines(bundle, read_manifest(bundle), RuntimeOptions(threads=1))
    found: dict[str, Answer] = {}
    for policy in ("fixed", "adaptive"):
        answers = solve(model, inputs, identifiers, Policy(policy, MAX_DEPTH), batch=len(inputs))
        halted = answers.q_halt > answers.q_continue
        found[policy] = {
            "solution": answers.tokens,
            "depth": answers.depth[:, None],
            "halted": (halted if policy == "adaptive" else np.zeros_like(halted))[:, None],
            "confidence": answers.confidence[:, None],
            "q_halt": answers.q_halt[:, None],
        }
    return found


def _one_instance(config: ModelConfig) -> None:
    config.ClearField("instance_group")
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)


def _make_puppet(model: Path) -> None:
    def change(config: ModelConfig) -> None:
        config.ClearField("platform")
        config.ClearField("default_model_filename")
        config.backend = "python"

    configure(model, change)
    shutil.copy(Path(__file__).with_name("puppet_engine.py"), model / "1" / "model.py")
