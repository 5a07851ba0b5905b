"""Health by inference: Triton calls itself ready while the process behind a model is dead or answers nonsense.

What is sent is no puzzle of anybody's task: every cell is token 1, which every vocabulary has, and a solver answers any
input. What comes back must be whole: of the right shapes and types, finite, and in range.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrm.errors import ServerError
from triton_models.server.control import READY, RELOAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triton_models.server.control import Answer, Control

_INPUT, _SOLUTION = "inputs", "solution"
_TYPES = {
    _SOLUTION: "int32",
    "depth": "int32",
    "halted": "bool",
    "confidence": "float32",
    "entropy": "float32",
    "q_halt": "float32",
}
"""A solver's outputs, by which a server's solvers are known."""


@dataclass(frozen=True)
class Limits:
    """What answers stay within; a server does not tell, a repository does."""

    version: int
    vocab_size: int
    max_depth: int


@dataclass(frozen=True)
class Health:
    """A solver that answered as it should."""

    name: str
    version: int
    depth: int
    halted: bool
    confidence: float
    seconds: float


def solvers(control: Control) -> tuple[str, ...]:
    """The names of the solvers of hrm-trt that the server has loaded.

    Raises:
        ServerError: the server does not answer.
    """
    loaded = sorted({held.model for held in control.index() if held.state == READY})
    return tuple(name for name in loaded if set(_TYPES) <= set(control.signature(name).outputs))


def probe(control: Control, name: str, seconds: float, limits: Limits | None = None) -> Health:
    """Send one puzzle to the solver ``name``, as a client would, and look at every value of its answer.

    Args:
        control: the server.
        name: the solver's.
        seconds: how long the answer may take.
        limits: the version that must answer, and what its answers stay within; unchecked if None.

    Raises:
        ServerError: no answer in time, or a wrong one.
    """
    if not control.ready(name):
        raise ServerError(f"{name} is not being served at {control.url}", why="it is not loaded", hint=RELOAD)
    sequence = control.signature(name).inputs[_INPUT][-1]
    began = time.perf_counter()
    answer = control.infer(name, {_INPUT: np.ones((1, sequence), np.int32)}, seconds)
    took = time.perf_counter() - began
    faults = tuple(_faults(answer, sequence, limits))
    if faults:
        raise ServerError(
            f"{name} version {answer.version} at {control.url} answers wrongly",
            why="; ".join(faults),
            hint=_hint(answer),
        )
    values = {output: value.item() for output, value in answer.outputs.items() if value is not None and value.size == 1}
    return Health(
        name=name,
        version=answer.version,
        depth=values["depth"],
        halted=values["halted"],
        confidence=values["confidence"],
        seconds=took,
    )


def probe_all(
    control: Control, names: Sequence[str], seconds: float, expected: Mapping[str, Limits]
) -> tuple[Health, ...]:
    """Probe the solvers called ``names``, or all that the server has loaded.

    Args:
        control: the server.
        names: the solvers'.
        seconds: how long each answer may take.
        expected: for those of which more is known, what must answer.

    Raises:
        ServerError: there is none, or one at least is not healthy; all of those are named.
    """
    asked = tuple(names) or solvers(control)
    if not asked:
        raise ServerError(
            f"the server at {control.url} serves no solver of hrm-trt",
            why="none of its loaded models has a solver's outputs",
            hint="`hrm-trt repository load REPOSITORY --server URL` loads what a repository holds",
        )
    healthy, failed = [], []
    for name in asked:
        try:
            healthy.append(probe(control, name, seconds, expected.get(name)))
        except ServerError as error:
            failed.append(error)
    if failed:
        raise _unhealthy(control, len(asked), failed)
    return tuple(healthy)


def _unhealthy(control: Control, asked: int, failed: Sequence[ServerError]) -> ServerError:
    if asked == 1:
        return failed[0]
    return ServerError(
        f"{len(failed)} of {asked} solvers at {control.url} are not healthy",
        why="; ".join(f"{error.what}: {error.why}" for error in failed),
        hint=failed[0].hint,
    )


def _faults(answer: Answer, sequence: int, limits: Limits | None) -> Iterator[str]:
    """What is wrong with an answer to one puzzle."""
    malformed = [fault for name in _TYPES if (fault := _malformed(answer, name, sequence))]
    if malformed:
        yield from malformed
        return
    values = {name: value.ravel() for name, value in answer.outputs.items() if value is not None}
    for name in ("confidence", "entropy", "q_halt"):
        if not np.isfinite(values[name]).all():
            yield f"{name} is {values[name].item()}"
    if values["confidence"].item() <= 0 or values["confidence"].item() > 1:
        yield f"confidence is {values['confidence'].item()}, and no probability"
    if values["entropy"].item() < 0:
        yield f"entropy is {values['entropy'].item()}, below 0"
    if values["depth"].item() < 1:
        yield f"depth is {values['depth'].item()}; a puzzle takes a segment at least"
    if values[_SOLUTION].min() < 0:
        yield f"the solution holds the token {values[_SOLUTION].min()}"
    if limits is not None:
        yield from _beyond(answer.version, int(values["depth"].item()), int(values[_SOLUTION].max()), limits)


def _malformed(answer: Answer, name: str, sequence: int) -> str | None:
    value = answer.outputs.get(name)
    if value is None or value.size == 0:
        return f"{name} is empty"
    shape = (1, sequence if name == _SOLUTION else 1)
    if value.shape != shape or value.dtype != _TYPES[name]:
        return f"{name} is {value.dtype} {list(value.shape)} instead of {_TYPES[name]} {list(shape)}"
    return None


def _beyond(version: int, depth: int, token: int, limits: Limits) -> Iterator[str]:
    if version != limits.version:
        yield f"version {version} answers, and version {limits.version} should"
    if depth > limits.max_depth:
        yield f"depth is {depth} of at most {limits.max_depth}"
    if token >= limits.vocab_size:
        yield f"the solution holds the token {token}; there are {limits.vocab_size}"


def _hint(answer: Answer) -> str:
    if any(value is None or value.size == 0 for value in answer.outputs.values()):
        return "the server's Python backend needs numpy<2: with numpy 2 every tensor that it returns is empty"
    return RELOAD
