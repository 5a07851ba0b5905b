"""Clients that go on asking a served set of tiny bundles while something is done to the server."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
import numpy as np
from load import INFER, request
from tiny_bundles import TINY
from tritonclient.grpc import service_pb2 as pb

from engines.act import Policy
from engines.bundle import read_manifest
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS = {"solution": np.int32, "depth": np.int32, "confidence": np.float32, "q_halt": np.float32}
PUZZLES = np.array(list(itertools.product(range(TINY.vocab_size), repeat=TINY.seq_len)), np.int32)
_ASK_SECONDS = 60.0

Answer = tuple[bytes, ...]
"""The outputs for one puzzle, byte by byte, in the order of ``OUTPUTS``."""


def answers_of(bundle: Path) -> list[Answer]:
    """What the engines of a bundle answer to each puzzle in this process."""
    model = load_engines(bundle, read_manifest(bundle), RuntimeOptions(threads=1))
    policy = Policy("fixed", TINY.halt_max_steps)
    found = solve(model, PUZZLES, np.zeros(len(PUZZLES), np.int32), policy, batch=1)
    values = {"solution": found.tokens, "depth": found.depth, "confidence": found.confidence, "q_halt": found.q_halt}
    columns = [[row.astype(kind).tobytes() for row in values[name]] for name, kind in OUTPUTS.items()]
    return list(zip(*columns, strict=True))


@dataclass
class Traffic:
    """Clients of the solver ``name``; each asks its next puzzle when it has the answer to the last one."""

    address: str
    """of the server's gRPC service"""
    name: str
    clients: int
    until_refused: bool
    """Whether a client stops at its first error."""
    answers: list[tuple[int, int, Answer]] = field(default_factory=list)
    """Version, puzzle, and what was answered."""
    errors: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def wait_for(self, answers: int) -> None:
        """Wait until so many answers have come."""
        assert wait_until(lambda: len(self.answers) >= answers, _ASK_SECONDS)

    def versions(self) -> Counter[int]:
        """How many answers came from each version."""
        return Counter(version for version, _, _ in self.answers)

    def mixed(self, expected: dict[int, list[Answer]]) -> list[tuple[int, int]]:
        """Answers, as version and puzzle, that are not wholly what the version that gave them would answer."""
        return [(version, puzzle) for version, puzzle, answer in self.answers if answer != expected[version][puzzle]]

    async def _run(self) -> None:
        async with grpc.aio.insecure_channel(self.address) as channel:
            call = channel.unary_unary(INFER)
            await asyncio.gather(*(self._client(call, first) for first in range(self.clients)))

    async def _client(self, call: Any, first: int) -> None:
        for puzzle in itertools.cycle(np.roll(np.arange(len(PUZZLES)), -first).tolist()):
            if self._stopped.is_set():
                return
            asked = request(self.name, {"inputs": PUZZLES[puzzle : puzzle + 1]}, outputs=list(OUTPUTS))
            try:
                response = pb.ModelInferResponse.FromString(await call(asked, timeout=_ASK_SECONDS))
            except grpc.aio.AioRpcError as error:
                self.errors[f"{error.code().name}: {error.details()}"] += 1
                if self.until_refused:
                    return
            else:
                self.answers.append((int(response.model_version), puzzle, _outputs(response)))


def _outputs(response: Any) -> Answer:
    raw = dict(zip((each.name for each in response.outputs), response.raw_output_contents, strict=True))
    return tuple(raw[name] for name in OUTPUTS)
