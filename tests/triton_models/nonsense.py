"""Requests that make no sense, for a solver of tiny bundles and its engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from load import request
from soak import malformed
from tiny_graphs import HIDDEN, PUZZLES, VOCAB
from tritonclient.grpc import service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from solver_serving import Solver


class Letter(NamedTuple):
    """A request over HTTP."""

    what: str
    body: bytes
    headers: dict[str, str]
    path: str = "infer"


def over_grpc(solver: Solver) -> dict[str, bytes]:
    """Serialised requests, each of which must be refused."""
    name, good = solver.name, {"inputs": solver.inputs[:1]}
    found = {errand.what: errand.request for errand in malformed(name, solver.inputs[:1], VOCAB)}
    engine, encoder, carry = f"{name}_segment", f"{name}_encoder", _carry()
    unknown = {"inputs": solver.inputs[:1] + 99, "puzzle_identifiers": np.zeros((1, 1), np.int32)}
    return found | {
        "identifier just unknown": request(name, good | {"puzzle_identifiers": np.array([[PUZZLES]], np.int32)}),
        "policy not gated": request(name, good, policy="confidence"),
        "policy like a book": request(name, good, policy="a" * 10**5),
        "policy as a tensor": _changed(solver, lambda m: m.raw_input_contents.append(b"\x05\0\0\0fixed")),
        "priority without an end": request(name, good, queue_priority=2**63 - 1),
        "negative depth": request(name, good | {"max_depth": np.array([[-1]], np.int32)}),
        "least depth": request(name, good | {"max_depth": np.array([[-(2**31)]], np.int32)}),
        "depths for two": request(name, good | {"max_depth": np.array([[1], [1]], np.int32)}),
        "unknown output": request(name, good, outputs=["answer"]),
        "unknown version": request(name, good, version=99),
        "unknown model": request("nobody", good),
        "strings cut short": _changed(solver, lambda m: m.raw_input_contents.append(b"\x09\0\0\0fix")),
        "strings without an end": _changed(solver, lambda m: m.raw_input_contents.append(b"\xff\xff\xff\xff")),
        "no strings": _changed(solver, lambda m: m.raw_input_contents.append(b"")),
        "less data than declared": _changed(solver, _lacking),
        "shape without an end": _changed(solver, lambda m: m.inputs[0].shape.__setitem__(0, 2**62)),
        "shape below zero": _changed(solver, lambda m: m.inputs[0].shape.__setitem__(0, -1)),
        "no protocol": b"\xff" * 64,
        "half a message": request(name, good)[:-5],
        "engine: carry too narrow": request(engine, carry | {"z_H": carry["z_H"][:, :, 1:]}, outputs=()),
        "engine: carry too short": request(engine, carry | {"z_H": carry["z_H"][:, 1:]}, outputs=()),
        "engine: carry is missing": request(engine, {"z_H": carry["z_H"]}, outputs=()),
        "engine: token unknown": request(encoder, unknown, outputs=()),
    }


def poison(solver: Solver) -> bytes:
    """NaN as the carry, sent to the engine itself, which has no way to refuse it."""
    return request(f"{solver.name}_segment", _carry(), outputs=["q_halt"])


def over_http(solver: Solver) -> list[Letter]:
    """Letters, each of which must be refused."""
    inputs = {"name": "inputs", "shape": [1, 3], "datatype": "INT32", "data": solver.inputs[0].tolist()}

    def letter(what: str, **document: Any) -> Letter:
        return Letter(what, json.dumps({"inputs": [inputs], **document}).encode(), {})

    def changed(what: str, **tensor: Any) -> Letter:
        return letter(what, inputs=[inputs | tensor])

    strings = {"name": "policy", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 7}}
    text = json.dumps({"inputs": [inputs, strings]}).encode()
    inputs_with_policy = {"inputs": [inputs], "parameters": {"policy": "odd"}}
    return [
        changed("token above the vocabulary", data=[1, 2, VOCAB]),
        changed("negative token", data=[1, 2, -1]),
        changed("too few cells", shape=[1, 2], data=[1, 2]),
        changed("nested wrong", data=[[[1]], [2]]),
        changed("fractions", data=[1, 2, 2.5]),
        changed("words", data=["a", "b", "c"]),
        changed("nothing", data=None),
        changed("no such type", datatype="INT33"),
        changed("no such input", name="puzzle"),
        changed("empty batch", shape=[0, 3], data=[]),
        letter("unknown policy", parameters={"policy": "until-lunch"}),
        letter("a number for a policy", parameters={"policy": 5}),
        letter("a list for a policy", parameters={"policy": ["fixed"]}),
        Letter("a policy that is no text", json.dumps(inputs_with_policy).encode().replace(b"odd", b"\xff\xfe"), {}),
        changed("a puzzle of strings", datatype="BYTES", data=["1", "2", "3"]),
        letter("a half for a priority", parameters={"queue_priority": 1.5}),
        letter("more than there is for a priority", parameters={"queue_priority": 2**70}),
        letter("the same input twice", inputs=[inputs, inputs]),
        letter("no inputs", inputs=[]),
        letter("timeout below zero", parameters={"timeout": -1}),
        letter("timeout in words", parameters={"timeout": "soon"}),
        letter("unknown output", outputs=[{"name": "answer"}]),
        Letter("no JSON", b"\x00\x01{", {}),
        Letter("half of a document", json.dumps({"inputs": [inputs]}).encode()[:-9], {}),
        Letter("JSON without an end", b"[" * 5000, {}),
        Letter("empty", b"", {}),
        Letter("strings cut short", text + b"\x05\0\0\0fix", {"Inference-Header-Content-Length": str(len(text))}),
        Letter("header longer than all", text, {"Inference-Header-Content-Length": "1000000"}),
        Letter("header in words", text, {"Inference-Header-Content-Length": "long"}),
        Letter("compressed, it says", text, {"Content-Encoding": "gzip"}),
        Letter("no such action", json.dumps({"inputs": [inputs]}).encode(), {}, "solve"),
        Letter("too much to generate", json.dumps({"inputs": [1, 2, 3, 4]}).encode(), {}, "generate"),
    ]


def _carry() -> dict[str, np.ndarray]:
    state = np.full((1, 4, HIDDEN), np.nan, np.float32)
    return {"z_H": state, "z_L": state, "input_embeddings": state}


def _changed(solver: Solver, change: Callable[[Any], Any]) -> bytes:
    """A good request with a tensor of strings, but for its bytes, changed."""
    message = pb.ModelInferRequest.FromString(request(solver.name, {"inputs": solver.inputs[:1]}))
    message.inputs.add(name="policy", datatype="BYTES", shape=[1, 1])
    change(message)
    return bytes(message.SerializeToString())


def _lacking(message: Any) -> None:
    message.raw_input_contents[0] = message.raw_input_contents[0][:-4]
    message.raw_input_contents.append(b"\x05\0\0\0fixed")
