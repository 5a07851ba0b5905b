#!/usr/bin/env python3
"""Asks a published solver for answers, many puzzles at once: an example of a client, with what a real one needs.

    pip install numpy 'tritonclient[grpc]'
    python examples/solve_client.py sudoku-6x6 4..3........5.1.4...26........1...5.
    python examples/solve_client.py sudoku-6x6 --dataset data/sudoku-6x6 --count 100

A puzzle is text, a symbol for each cell; `.` or 0 is an empty one. From a data set in the official layout come test
puzzles, and their answers are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = np.ndarray[Any, Any]
SUDOKU = " .123456789"
"""What the tokens of a Sudoku are written as; 0 is padding."""
PASSING = ("the queue is full", "failed to connect", "Socket closed")
"""Of what an UNAVAILABLE server says: what may be over in a moment. A deadline that has passed is not."""


@dataclass(frozen=True)
class Puzzle:
    """One puzzle, and its right answer where that is known."""

    tokens: Array
    """int32 [cells]"""
    identifier: int = 0
    label: Array | None = None


@dataclass(frozen=True)
class Answer:
    """What a solver makes of a puzzle."""

    solution: Array
    """int32 [cells]"""
    depth: int
    halted: bool
    """Whether it stopped by itself; otherwise it ran out of segments."""
    confidence: float
    version: str
    seconds: float

    def is_right(self, puzzle: Puzzle) -> bool:
        """Whether every cell is; padding does not count."""
        label = puzzle.label
        return label is not None and bool((self.solution == label)[label != 0].all())


@dataclass(frozen=True)
class Solver:
    """A published model, and how it is asked."""

    client: Any
    model: str
    policy: str | None
    max_depth: int | None
    timeout: float
    """Seconds after which the server need not answer any more: it looks between two segments."""
    priority: int
    """1 goes first, 3 last."""
    retries: int

    async def solve(self, puzzle: Puzzle) -> Answer:
        """Ask until there is an answer. Cancelling the task tells the server, which gives the puzzle's slot to another.

        Raises:
            InferenceServerException: the server refuses, the deadline has passed, or its queue is still full.
        """
        pause, left = 0.05, self.retries
        while True:
            try:
                return await self._ask(puzzle)
            except InferenceServerException as error:
                if not left or not any(sign in error.message() for sign in PASSING):
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # or all would come at the same time again
            pause, left = 2 * pause, left - 1

    async def _ask(self, puzzle: Puzzle) -> Answer:
        began = time.perf_counter()
        result = await self.client.infer(
            self.model,
            list(self._inputs(puzzle)),
            parameters=self._parameters(),
            timeout=int(self.timeout * 1e6),
            client_timeout=self.timeout + 5,  # where the server itself is gone
        )
        values = {name: result.as_numpy(name)[0] for name in ("solution", "depth", "halted", "confidence")}
        return Answer(
            solution=values["solution"],
            depth=int(values["depth"][0]),
            halted=bool(values["halted"][0]),
            confidence=float(values["confidence"][0]),
            version=result.get_response().model_version,
            seconds=time.perf_counter() - began,
        )

    def _parameters(self) -> dict[str, str | int]:
        """What holds for all puzzles of a request."""
        return {"queue_priority": self.priority} | ({} if self.policy is None else {"policy": self.policy})

    def _inputs(self, puzzle: Puzzle) -> Iterator[InferInput]:
        """Tensors with a batch axis; only the first must be sent."""
        yield _tensor("inputs", puzzle.tokens[None].astype(np.int32))
        yield _tensor("puzzle_identifiers", np.array([[puzzle.identifier]], np.int32))
        if self.max_depth is not None:
            yield _tensor("max_depth", np.array([[self.max_depth]], np.int32))


def _tensor(name: str, values: Array) -> InferInput:
    tensor = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    tensor.set_data_from_numpy(values)
    return tensor


def parse(text: str, symbols: str) -> Puzzle:
    """The puzzle that ``text`` is."""
    unknown = set(text.replace("0", ".")) - set(symbols)
    if unknown:
        sys.exit(f"{text!r} has {sorted(unknown)[0]!r}; cells are written as {symbols!r}")
    return Puzzle(np.array([symbols.index(symbol) for symbol in text.replace("0", ".")], np.int32))


def read_test(dataset: Path, count: int) -> list[Puzzle]:
    """The first test puzzles of a data set in the official layout."""
    puzzles: list[Puzzle] = []
    for path in sorted((dataset / "test").glob("*__inputs.npy")):
        fields = ("inputs", "labels", "puzzle_identifiers", "puzzle_indices")
        arrays = {each: np.load(path.with_name(path.name.replace("inputs", each)), mmap_mode="r") for each in fields}
        identifiers = np.repeat(arrays["puzzle_identifiers"], np.diff(arrays["puzzle_indices"]))
        rows = zip(arrays["inputs"], identifiers, arrays["labels"], strict=True)
        puzzles += [Puzzle(tokens.astype(np.int32), int(identifier), label) for tokens, identifier, label in rows]
    return puzzles[:count]


def drawn(tokens: Array, symbols: str) -> str:
    """Tokens as text, in a square where they fill one."""
    text = [symbols[token] if token < len(symbols) else "?" for token in tokens]
    side = math.isqrt(len(text))
    width = side if side**2 == len(text) else len(text)
    return "\n".join(" ".join(text[start : start + width]) for start in range(0, len(text), width))


async def run(options: argparse.Namespace, puzzles: Sequence[Puzzle]) -> int:
    """Ask for all answers; how many puzzles have none."""
    found: list[tuple[Puzzle, Answer]] = []
    at_once = asyncio.Semaphore(options.at_once)
    async with InferenceServerClient(options.server) as client:
        names = ("model", "policy", "max_depth", "timeout", "priority", "retries")
        solver = Solver(client, **{name: getattr(options, name) for name in names})

        async def one(puzzle: Puzzle) -> None:
            async with at_once:
                try:
                    answer = await solver.solve(puzzle)
                except InferenceServerException as error:
                    print(f"no answer: {error.message()}", file=sys.stderr)
                    return
            found.append((puzzle, answer))
            show(puzzle, answer, options.symbols)

        began = time.perf_counter()
        try:
            async with asyncio.timeout(options.give_up), asyncio.TaskGroup() as tasks:
                for puzzle in puzzles:
                    tasks.create_task(one(puzzle))
        except TimeoutError:
            print(f"gave up after {options.give_up:g} s; what was under way is cancelled", file=sys.stderr)
        summarise(found, len(puzzles), time.perf_counter() - began)
    return len(puzzles) - len(found)


def show(puzzle: Puzzle, answer: Answer, symbols: str) -> None:
    """Print one answer."""
    verdict = "" if puzzle.label is None else ", right" if answer.is_right(puzzle) else ", wrong"
    print(drawn(answer.solution, symbols))
    print(
        f"depth {answer.depth}{'' if answer.halted else ' (ran out of segments)'}, confidence {answer.confidence:.3f}, "
        f"version {answer.version}, {answer.seconds * 1e3:.0f} ms{verdict}\n"
    )


def summarise(found: Sequence[tuple[Puzzle, Answer]], count: int, seconds: float) -> None:
    """Print what all answers come to."""
    if found:
        depth = sum(answer.depth for _, answer in found) / len(found)
        right = sum(answer.is_right(puzzle) for puzzle, answer in found)
        known = any(puzzle.label is not None for puzzle, _ in found)
        print(
            f"{len(found)} of {count} answered{f', {right} right' if known else ''}; mean depth {depth:.2f}, "
            f"{len(found) / seconds:.0f} puzzles/s"
        )


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what was published, such as sudoku-6x6")
    parser.add_argument("puzzles", nargs="*", help="puzzles as text")
    parser.add_argument("--server", default="localhost:8001", help="its gRPC service (%(default)s)")
    parser.add_argument("--dataset", type=Path, help="a data set; its test puzzles are asked")
    parser.add_argument("--count", type=int, default=10, help="how many of them (%(default)s)")
    parser.add_argument("--policy", help="one that was gated: fixed, adaptive, confidence")
    parser.add_argument("--max-depth", type=int, help="segments at most")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for each puzzle (%(default)s)")
    parser.add_argument("--priority", type=int, default=2, choices=(1, 2, 3), help="1 goes first")
    parser.add_argument("--retries", type=int, default=5, help="when the server's queue is full (%(default)s)")
    parser.add_argument("--at-once", type=int, default=32, help="requests under way at most (%(default)s)")
    parser.add_argument("--give-up", type=float, help="seconds for all; what is under way then is cancelled")
    parser.add_argument("--symbols", default=SUDOKU, help="what tokens are written as, from 0 on")
    options = parser.parse_args()
    puzzles = [parse(text, options.symbols) for text in options.puzzles]
    if options.dataset is not None:
        puzzles += read_test(options.dataset, options.count)
    if not puzzles:
        parser.error("no puzzle: give some as text, or a --dataset")
    sys.exit(1 if asyncio.run(run(options, puzzles)) else 0)


if __name__ == "__main__":
    main()
