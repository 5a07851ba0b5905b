"""Mixed load on a served solver: good requests, and between them cancelled, hurried and malformed ones.

Every good request must be answered right, whatever its neighbours were; a malformed one must be refused; one that was
cancelled or late may be answered, but then right.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import grpc
import grpc.aio
import numpy as np
import psutil
from load import INFER, OUTPUTS, raw_outputs, request
from server import model_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load import Array, Puzzles
    from server import Server

Kind = Literal["good", "cancelled", "hurried", "malformed"]
SHARES: dict[Kind, float] = {"good": 0.8, "cancelled": 0.08, "hurried": 0.06, "malformed": 0.06}
_LATE = re.compile("deadline|time[d ]?.?out", re.IGNORECASE)
_ANSWER_SECONDS = 60.0
_SHOWN = 20
_MIB = 2**20


class Errand(NamedTuple):
    """A request that can be sent again and again."""

    what: str
    request: bytes
    answer: tuple[bytes, ...] = ()
    """Solution and depth; nothing where it must be refused."""


@dataclass(frozen=True)
class Mix:
    """What the clients of a soak choose from."""

    good: Sequence[Errand]
    hurried: Sequence[Errand]
    malformed: Sequence[Errand]
    longest_wait: float
    """Seconds after which a request is cancelled, at most."""


@dataclass
class Report:
    """What came back."""

    outcomes: dict[Kind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in SHARES})
    failures: list[str] = field(default_factory=list)
    """The first of what should not have happened."""
    failed: int = 0
    per_second: Counter[int] = field(default_factory=Counter)
    """Requests that ended in each second of the soak."""

    def record(self, kind: Kind, errand: Errand, outcome: str, detail: str = "") -> None:
        """Count one errand's end."""
        self.outcomes[kind][outcome] += 1
        if outcome in _ALLOWED[kind]:
            return
        self.failed += 1
        if len(self.failures) < _SHOWN:
            self.failures.append(f"{kind} ({errand.what}): {outcome} {detail}".strip())


_ALLOWED: dict[Kind, set[str]] = {
    "good": {"right"},
    "cancelled": {"right", "cancelled"},
    "hurried": {"right", "late"},
    "malformed": {"refused"},
}


def make_mix(model: str, puzzles: Puzzles, *, vocabulary: int, longest_wait: float, seed: int = 0) -> Mix:
    """Requests of every kind; ``vocabulary`` is the number of token ids."""
    generator = random.Random(seed)
    answers = puzzles.answers
    singles = [
        Errand("one puzzle", request(model, {"inputs": row[None]}, **_priority(index)), answer)
        for index, (row, answer) in enumerate(zip(puzzles.inputs, answers, strict=True))
    ]
    several = [_several(model, puzzles, generator.sample(range(len(puzzles)), count)) for count in (2, 3, 4) * 8]
    hurried = [
        Errand(f"{limit} µs", request(model, {"inputs": row[None]}, timeout=limit), answer)
        for row, answer in zip(puzzles.inputs, answers, strict=True)
        for limit in [int(1e6 * generator.uniform(0.0002, longest_wait))]
    ]
    return Mix([*singles, *several], hurried, malformed(model, puzzles.inputs[:1], vocabulary), longest_wait)


def _priority(index: int) -> dict[str, int]:
    """None for half of them, and each of the three."""
    return {} if index % 2 else {"queue_priority": 1 + index // 2 % 3}


def _several(model: str, puzzles: Puzzles, chosen: Sequence[int]) -> Errand:
    solutions, depths = puzzles.solutions[chosen].astype(np.int32), puzzles.depths[chosen].astype(np.int32)
    answer = (solutions.tobytes(), depths.tobytes())
    return Errand(f"{len(chosen)} puzzles", request(model, {"inputs": puzzles.inputs[chosen]}), answer)


def malformed(model: str, inputs: Array, vocabulary: int) -> list[Errand]:
    """Requests that a solver must refuse, one by one; ``inputs`` [1, S] is a good puzzle."""

    def with_token(value: int) -> Array:
        return np.concatenate([inputs[:, :-1], np.full((1, 1), value, np.int32)], axis=1)

    def option(name: str, value: float, dtype: Any = np.int32) -> dict[str, Array]:
        return {"inputs": inputs, name: np.array([[value]], dtype=dtype)}

    wrong = {
        "too few cells": {"inputs": inputs[:, :-1]},
        "too many cells": {"inputs": np.concatenate([inputs, inputs], axis=1)},
        "no batch axis": {"inputs": inputs[0]},
        "floating point": {"inputs": inputs.astype(np.float32)},
        "wide integers": {"inputs": inputs.astype(np.int64)},
        "token above the vocabulary": {"inputs": with_token(vocabulary)},
        "negative token": {"inputs": with_token(-1)},
        "huge token": {"inputs": with_token(2**31 - 1)},
        "unknown identifier": option("puzzle_identifiers", 10**6),
        "negative identifier": option("puzzle_identifiers", -1),
        "no segment": option("max_depth", 0),
        "too many segments": option("max_depth", 10**6),
        "huge batch": {"inputs": np.repeat(inputs, 5000, axis=0)},
        "no puzzle": {"inputs": inputs[:0]},
        "no inputs": {},
        "unknown input": option("z_H", np.nan, np.float32),
    }
    parameters: dict[str, dict[str, int | str]] = {
        "unknown policy": {"policy": "until-lunch"},
        "a number for a policy": {"policy": 5},
        "unknown priority": {"queue_priority": 0},
        "words for a priority": {"queue_priority": "high"},
    }
    return [
        *(Errand(what, request(model, tensors)) for what, tensors in wrong.items()),
        *(Errand(what, request(model, {"inputs": inputs}, **each)) for what, each in parameters.items()),
    ]


def soak(address: str, mix: Mix, *, clients: int, seconds: float, seed: int = 0) -> Report:
    """Keep ``clients`` busy with ``mix``; ``address`` is the server's gRPC service."""
    return asyncio.run(_soak(address, mix, clients, seconds, seed))


async def _soak(address: str, mix: Mix, clients: int, seconds: float, seed: int) -> Report:
    report, began = Report(), time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as running:
        call = channel.unary_unary(INFER)
        for number in range(clients):
            generator = random.Random(seed * clients + number)
            running.create_task(_client(call, mix, generator, report, began, seconds))
    return report


async def _client(call: Any, mix: Mix, generator: random.Random, report: Report, began: float, seconds: float) -> None:
    kinds, weights = list(SHARES), list(SHARES.values())
    while (passed := time.monotonic() - began) < seconds:
        (kind,) = generator.choices(kinds, weights)
        errand = generator.choice(mix.good if kind == "cancelled" else getattr(mix, kind))
        wait = generator.uniform(0, mix.longest_wait) if kind == "cancelled" else None
        report.record(kind, errand, *await _outcome(call, errand, wait))
        report.per_second[int(passed)] += 1


async def _outcome(call: Any, errand: Errand, cancel_after: float | None) -> tuple[str, str]:
    """One errand's end, and what the server said where it said something."""
    sent = call(errand.request, timeout=_ANSWER_SECONDS)
    if cancel_after is not None:
        await asyncio.sleep(cancel_after)
        sent.cancel()  # nothing happens where the answer is there
    try:
        answer = raw_outputs(await sent)
    except asyncio.CancelledError:
        return "cancelled", ""
    except grpc.aio.AioRpcError as error:
        return _refusal(errand, error), f"{error.code().name}: {error.details()}"
    return ("right" if tuple(answer[name] for name in OUTPUTS) == errand.answer else "wrong"), ""


def _refusal(errand: Errand, error: grpc.aio.AioRpcError) -> str:
    if not errand.answer:
        return "refused" if error.code() in _POLITE else "failed"
    return "late" if _LATE.search(error.details() or "") else "failed"


_POLITE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.NOT_FOUND}
"""What Triton answers to requests that make no sense; a Python model's own errors are INTERNAL unless it says more."""


def resident(server: Server) -> dict[str, float]:
    """MiB of resident memory: of the server itself, and of each model's stub."""
    found = {"server": psutil.Process(server.pid).memory_info().rss / _MIB}
    for stub in server.stubs():
        found[model_of(stub)] = stub.memory_info().rss / _MIB
    return found


def growth(series: Sequence[float]) -> float:
    """Median of the last fifth over that of the second fifth, less one: the first may still be warming up."""
    fifth = max(1, len(series) // 5)
    return statistics.median(series[-fifth:]) / statistics.median(series[fifth : 2 * fifth]) - 1
