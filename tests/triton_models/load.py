"""Closed-loop clients of a served solver: each sends its next puzzle when it has the answer to the last one.

A client shares the cores with the server, so it must cost little: requests are serialised once, a channel carries all
clients, and answers are looked at when the clock has stopped. Of six ways to write it (tritonclient with threads,
callbacks and asyncio, the same calls with ready messages, streams) this one took the least time of the processor among
those that send a call of its own for every request.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import grpc
import grpc.aio
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import np_to_triton_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
Array = np.ndarray
INFER = "/inference.GRPCInferenceService/ModelInfer"
OUTPUTS = ("solution", "depth")
_HOUR = 3600.0
_QUIET_SECONDS = 2.0
"""No call takes so long: those who still wait are too few to fill a gang."""


@dataclass(frozen=True, eq=False)
class Puzzles:
    """N puzzles and what the in-process runner answers to them."""

    inputs: Array
    """int32 [N, S]"""
    solutions: Array
    """int32 [N, S]"""
    depths: Array
    """int32 [N]"""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def answers(self) -> list[tuple[bytes, bytes]]:
        """What a response must hold for each: solution and depth, byte by byte."""
        solutions, depths = self.solutions.astype(np.int32), self.depths.astype(np.int32)
        return [(row.tobytes(), depth.tobytes()) for row, depth in zip(solutions, depths, strict=True)]


class Exchange(NamedTuple):
    """One request and its answer."""

    puzzle: int
    sent: float
    arrived: float
    answer: bytes
    """A serialised response, or nothing where an error came."""
    error: str


@dataclass(frozen=True)
class Load:
    """What is to be sent, by how many, and for how long."""

    address: str
    """of the server's gRPC service"""
    requests: Sequence[bytes]
    """One for each puzzle; see ``request``."""
    clients: int
    seconds: float = _HOUR
    warm_up: float = 0.0
    """Seconds before the clock starts; it starts when every client has had an answer."""
    limit: int | None = None
    """Stop after so many requests; all of them count, from the first one sent to the last answer."""


@dataclass(frozen=True)
class Window(Generic[T]):
    """What arrived while the clock ran."""

    exchanges: Sequence[Exchange]
    seconds: float
    processor_seconds: float
    """What the clients took of the processor meanwhile."""
    observed: tuple[T, T]
    """What ``observe`` saw at both ends."""


@dataclass(frozen=True, eq=False)
class Checked:
    """Exchanges compared with the in-process answers."""

    answered: int
    wrong: int
    """Another solution."""
    other_depth: int
    """The right solution from another segment."""
    errors: Counter[str]
    right: Array
    """int: the puzzle of every right answer"""
    milliseconds: Array
    """float64 [answered]"""


def request(
    model: str,
    tensors: Mapping[str, Array],
    *,
    version: int | None = None,
    identity: str = "",
    outputs: Sequence[str] = OUTPUTS,
    **parameters: int | str,
) -> bytes:
    """A serialised inference request.

    Args:
        model: its name.
        tensors: inputs with their batch axis.
        version: the newest if None.
        identity: the request's id.
        outputs: what the response is to hold.
        parameters: Triton's ``timeout`` in µs, the solver's ``policy`` and ``queue_priority``.
    """
    message = pb.ModelInferRequest(model_name=model, model_version="" if version is None else str(version), id=identity)
    for name, value in tensors.items():
        message.inputs.add(name=name, datatype=np_to_triton_dtype(value.dtype), shape=value.shape)
        message.raw_input_contents.append(value.tobytes())
    for name in outputs:
        message.outputs.add(name=name)
    for name, chosen in parameters.items():
        setattr(message.parameters[name], "string_param" if isinstance(chosen, str) else "int64_param", chosen)
    return bytes(message.SerializeToString())


def raw_outputs(answer: bytes) -> dict[str, bytes]:
    """The output tensors of a serialised response, byte by byte."""
    message = pb.ModelInferResponse.FromString(answer)
    names = (output.name for output in message.outputs)
    return dict(zip(names, message.raw_output_contents, strict=True))


def run(load: Load, observe: Callable[[], T]) -> Window[T]:
    """Put ``load`` on a server; ``observe`` is called, in a thread, when the clock starts and when it stops."""
    return asyncio.run(_run(load, observe))


def check(exchanges: Sequence[Exchange], puzzles: Puzzles) -> Checked:
    """Compare answers with those of the in-process runner."""
    expected = puzzles.answers
    errors = Counter(exchange.error for exchange in exchanges if exchange.error)
    answered = [exchange for exchange in exchanges if not exchange.error]
    found = [tuple(raw_outputs(exchange.answer).get(name, b"") for name in OUTPUTS) for exchange in answered]
    pairs = [(exchange, got, expected[exchange.puzzle]) for exchange, got in zip(answered, found, strict=True)]
    right = [exchange.puzzle for exchange, got, wanted in pairs if got[0] == wanted[0]]
    return Checked(
        answered=len(answered),
        wrong=len(answered) - len(right),
        other_depth=sum(got[0] == wanted[0] and got[1] != wanted[1] for _, got, wanted in pairs),
        errors=errors,
        right=np.array(right, dtype=np.intp),
        milliseconds=np.array([1e3 * (exchange.arrived - exchange.sent) for exchange in answered]),
    )


class _Clients:
    """The clients of one load, in one event loop."""

    def __init__(self, load: Load, call: Callable[..., Any]) -> None:
        self.exchanges: list[Exchange] = []
        self._load = load
        self._call = call
        self._order = itertools.cycle(np.random.default_rng(0).permutation(len(load.requests)).tolist())
        self._left = itertools.repeat(None) if load.limit is None else itertools.repeat(None, load.limit)
        self._waiting = load.clients
        self.warm = asyncio.Event()
        self.ended = False

    async def client(self) -> None:
        """Send and wait, over and over."""
        first = True
        for _ in self._left:
            if self.ended:
                return
            puzzle = next(self._order)
            sent = time.perf_counter()
            answer, error = await self._exchange(self._load.requests[puzzle])
            self.exchanges.append(Exchange(puzzle, sent, time.perf_counter(), answer, error))
            if first:
                first = False
                self._waiting -= 1
                if not self._waiting:
                    self.warm.set()

    async def _exchange(self, request: bytes) -> tuple[bytes, str]:
        try:
            return await self._call(request, timeout=_HOUR), ""
        except grpc.aio.AioRpcError as error:
            await asyncio.sleep(0.01)  # whoever is refused at once should not ask at once again
            return b"", f"{error.code().name}: {error.details()}"


async def _run(load: Load, observe: Callable[[], T]) -> Window[T]:
    async with grpc.aio.insecure_channel(load.address) as channel:
        clients = _Clients(load, channel.unary_unary(INFER))
        if load.limit is not None:
            return await _run_all(load, clients, observe)
        async with asyncio.TaskGroup() as running:
            tasks = [running.create_task(clients.client()) for _ in range(load.clients)]
            await asyncio.gather(clients.warm.wait(), asyncio.sleep(load.warm_up))
            before, began, processor = await asyncio.to_thread(observe), time.perf_counter(), time.process_time()
            await asyncio.sleep(load.seconds)
            ended, processor = time.perf_counter(), time.process_time() - processor
            after = await asyncio.to_thread(observe)
            clients.ended = True
            await _leave(tasks)
    return Window(*_whole_bursts(clients.exchanges, began, ended), processor, (before, after))


async def _leave(clients: Iterable[asyncio.Task[None]]) -> None:
    """Let whoever waits have an answer yet, or it would be the next measurement's load; who gets none hangs up."""
    waiting = set(clients)
    while waiting:
        answered, waiting = await asyncio.wait(waiting, timeout=_QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answered:
            break
    for task in waiting:
        task.cancel()


def _whole_bursts(exchanges: Sequence[Exchange], began: float, ended: float) -> tuple[Sequence[Exchange], float]:
    """What arrived, and in how many seconds, with the clock set to the last arrival before each end.

    A batch that ends together brings its answers in one burst. Between two bursts' ends lies a whole number of them.
    """
    start = max((exchange.arrived for exchange in exchanges if exchange.arrived < began), default=began)
    inside = [exchange for exchange in exchanges if start < exchange.arrived < ended]
    return inside, max((exchange.arrived for exchange in inside), default=ended) - start


async def _run_all(load: Load, clients: _Clients, observe: Callable[[], T]) -> Window[T]:
    """A given number of requests, from the first to the last."""
    before, began, processor = await asyncio.to_thread(observe), time.perf_counter(), time.process_time()
    await asyncio.gather(*(clients.client() for _ in range(load.clients)))
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return Window(clients.exchanges, seconds, processor, (before, await asyncio.to_thread(observe)))
