"""Ten thousand requests that make no sense, between good ones: the bad are refused, the good are answered right."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import numpy as np
import pytest
from load import INFER, raw_outputs, request
from nonsense import Letter, over_grpc, over_http, poison
from pending import PATIENCE, until
from scrape import scrape
from solver_serving import Solver, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.triton
BY_GRPC, BY_HTTP = 8_000, 2_000
AT_ONCE = 16
OUTPUTS = ("solution", "depth", "halted", "confidence", "q_halt")


@pytest.fixture(scope="module")
def solver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solver]:
    with serving(tmp_path_factory.mktemp("malformed"), "segment", slots=16) as (started,):
        processes = [stub.pid for stub in started.server.stubs()]
        yield started
        assert [stub.pid for stub in started.server.stubs()] == processes
        until(lambda: scrape(started.server, started.name)["hrm_slots_in_use"] == 0)


def answer(solver: Solver, puzzle: int) -> tuple[bytes, ...]:
    return tuple(solver.expected["adaptive"][name][puzzle].tobytes() for name in OUTPUTS)


async def refused(call: Any, what: str, message: bytes) -> str | None:
    """What should not have happened."""
    try:
        await call(message, timeout=PATIENCE)
    except grpc.aio.AioRpcError as error:
        politely = error.code() not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
        return None if politely and error.details() else f"{what}: {error.code()} {error.details()}"
    return f"{what}: answered"


async def answered(call: Any, solver: Solver, puzzle: int) -> str | None:
    tensors = {"inputs": solver.inputs[[puzzle]], "puzzle_identifiers": solver.identifiers[[puzzle], None]}
    response = raw_outputs(await call(request(solver.name, tensors, outputs=OUTPUTS), timeout=PATIENCE))
    return None if tuple(response[name] for name in OUTPUTS) == answer(solver, puzzle) else f"puzzle {puzzle}: wrong"


async def all_refused(solver: Solver) -> list[str]:
    """Send all nonsense, many at once, every fourth time a good request with it."""
    failures: list[str] = []
    nonsense = itertools.islice(itertools.cycle(over_grpc(solver).items()), BY_GRPC)
    numbered = enumerate(nonsense)

    async def client(call: Any) -> None:
        for number, (what, message) in numbered:
            found = [await refused(call, what, message)]
            if number % 4 == 0:
                found.append(await answered(call, solver, number % len(solver.inputs)))
            failures.extend(filter(None, found))

    async with grpc.aio.insecure_channel(solver.server.grpc) as channel:
        await asyncio.gather(*(client(channel.unary_unary(INFER)) for _ in range(AT_ONCE)))
    return failures


def test_nonsense_over_grpc_is_refused_one_by_one(solver: Solver) -> None:
    assert asyncio.run(all_refused(solver)) == []


def post(connection: http.client.HTTPConnection, solver: Solver, letter: Letter) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json", **letter.headers}
    connection.request("POST", f"/v2/models/{solver.name}/{letter.path}", letter.body, headers)
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else {}


def correspond(solver: Solver, first: int) -> list[str]:
    """Send one client's share of the letters, and a good one with every fourth of them."""
    connection = http.client.HTTPConnection(solver.server.http, timeout=PATIENCE)
    letters, failures = over_http(solver), []
    for number in range(first, BY_HTTP, 4):
        letter = letters[number % len(letters)]
        status, document = post(connection, solver, letter)
        if not 400 <= status < 600 or (status != 404 and not document.get("error")):
            failures.append(f"{letter.what}: {status} {document}")
        if number % 16 < 4:
            failures += wrongly_answered(connection, solver, number % len(solver.inputs))
    connection.close()
    return failures


def wrongly_answered(connection: http.client.HTTPConnection, solver: Solver, puzzle: int) -> list[str]:
    status, document = post(connection, solver, good_letter(solver, puzzle))
    right = status == 200 and bits(document) == answer(solver, puzzle)
    return [] if right else [f"puzzle {puzzle}: {status} {document}"]


def good_letter(solver: Solver, puzzle: int) -> Letter:
    cells, identifier = solver.inputs[puzzle].tolist(), int(solver.identifiers[puzzle])
    inputs = [
        {"name": "inputs", "shape": [1, len(cells)], "datatype": "INT32", "data": cells},
        {"name": "puzzle_identifiers", "shape": [1, 1], "datatype": "INT32", "data": [identifier]},
    ]
    return Letter("good", json.dumps({"inputs": inputs}).encode(), {})


def bits(document: dict[str, Any]) -> tuple[bytes, ...]:
    types = {"INT32": np.int32, "BOOL": np.bool_, "FP32": np.float32}
    found = {each["name"]: np.array(each["data"], types[each["datatype"]]).tobytes() for each in document["outputs"]}
    return tuple(found[name] for name in OUTPUTS)


def test_nonsense_over_http_is_refused_one_by_one(solver: Solver) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda first: correspond(solver, first), range(4))) == [[]] * 4


def test_nan_sent_to_an_engine_harms_nobody_else(solver: Solver) -> None:
    async def send() -> list[str | None]:
        async with grpc.aio.insecure_channel(solver.server.grpc) as channel:
            call = channel.unary_unary(INFER)
            good = [answered(call, solver, puzzle) for puzzle in range(100)]
            bad = [call(poison(solver), timeout=PATIENCE) for _ in range(100)]
            right, nothing = await asyncio.gather(*good), await asyncio.gather(*bad)
            assert np.isnan(np.frombuffer(b"".join(raw_outputs(sent)["q_halt"] for sent in nothing), np.float32)).all()
            return right

    assert asyncio.run(send()) == [None] * 100


def test_a_name_that_is_no_text_costs_nobody_an_answer(solver: Solver) -> None:
    letter = good_letter(solver, 7)
    named = letter._replace(body=letter.body[:-1] + b', "id": "\xff\xfe"}')
    connection = http.client.HTTPConnection(solver.server.http, timeout=PATIENCE)
    connection.request("POST", f"/v2/models/{solver.name}/infer", named.body)
    text = connection.getresponse().read()
    assert bits(json.loads(text.decode(errors="replace"))) == answer(solver, 7)
    connection.close()
