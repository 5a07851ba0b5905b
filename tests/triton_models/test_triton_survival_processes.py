"""Processes that die, engines that go away or break, under traffic: errors while it lasts, and right answers before
and after, without a new server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest
from pending import until
from scrape import scrape
from solver_serving import Solver, serving

from hrm.errors import ServerError
from triton_models.server.control import connect
from triton_models.server.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.triton
SOME = 50
"""Answers, before something is done and after it."""


@pytest.fixture(scope="module")
def solvers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Solver]]:
    with serving(tmp_path_factory.mktemp("processes"), "segment", "planner-executor") as started:
        yield started


@pytest.fixture(params=[0, 1], ids=["segment", "planner-executor"])
def solver(solvers: list[Solver], request: pytest.FixtureRequest) -> Solver:
    return solvers[request.param]


def kill(solver: Solver, model: str) -> None:
    """Kill the processes that run ``model``; the server does not collect them."""
    stubs = solver.server.stubs(model)
    assert stubs
    for stub in stubs:
        stub.kill()
    until(lambda: all(stub.status() == psutil.STATUS_ZOMBIE for stub in stubs))


def probed(solver: Solver) -> str:
    """What a probe says; nothing where all is well."""
    try:
        probe(connect(f"http://{solver.server.http}"), solver.name, 5.0)
    except ServerError as error:
        return str(error.why)
    return ""


def disturb(solver: Solver, harm: Callable[[], object], mend: Callable[[], object], why: str) -> None:
    """Harm a solver under traffic, and mend it: nobody is left without an answer, and none is wrong."""
    with solver.traffic() as traffic:
        traffic.wait_for(SOME)
        assert not traffic.errors
        harm()
        until(lambda: bool(traffic.errors))
        assert why in probed(solver)
        mend()
        assert probed(solver) == ""
        traffic.wait_for(len(traffic.answers) + SOME)
    assert solver.wrong(traffic) == []
    assert all(why in error for error in traffic.errors), traffic.errors
    until(lambda: scrape(solver.server, solver.name)["hrm_slots_in_use"] == 0)


def test_an_engine_whose_process_is_killed_is_loaded_again(solver: Solver) -> None:
    def mend() -> None:
        solver.client.unload_model(solver.puppet)  # Triton keeps what is loaded as it is, dead or alive
        solver.load(solver.puppet)

    disturb(solver, lambda: kill(solver, solver.puppet), mend, f"{solver.puppet} version 1: ")


def test_an_engine_that_is_unloaded_is_loaded_again(solver: Solver) -> None:
    disturb(
        solver,
        lambda: solver.client.unload_model(solver.puppet),
        lambda: solver.load(solver.puppet),
        f"{solver.puppet} version 1: ",
    )


def test_an_encoder_that_is_unloaded_is_loaded_again(solver: Solver) -> None:
    encoder = f"{solver.name}_encoder"
    disturb(
        solver,
        lambda: solver.client.unload_model(encoder),
        lambda: solver.load(encoder),
        f"{encoder} version 1: ",
    )


@pytest.mark.parametrize(
    ("order", "why"), [("fail", "this engine was told to fail"), ("nan", "the model gave NaN or infinity in segment ")]
)
def test_an_engine_that_breaks_for_a_while(solver: Solver, order: str, why: str) -> None:
    before = scrape(solver.server, solver.name)
    disturb(solver, lambda: solver.order(order), lambda: solver.order(""), why)
    outcome = {"fail": "error", "nan": "not_finite"}[order]
    after = scrape(solver.server, solver.name)
    assert after[f"hrm_requests_total {outcome}"] > before[f"hrm_requests_total {outcome}"]


def test_what_was_published_runs_and_not_what_is_installed(solvers: list[Solver]) -> None:
    solver = solvers[0]
    code = solver.repository / solver.name / "1/triton_models/solver/requests.py"
    code.write_text(code.read_text().replace("values must be", "values have to be"))
    solver.client.unload_model(solver.name)
    solver.load(solver.name)
    wrong = solver.send({"inputs": solver.inputs[:1] + 99})
    assert "values have to be from 0 to 4" in wrong.error()


def test_a_solver_whose_process_is_killed_is_loaded_again_and_the_probe_says_so(solvers: list[Solver]) -> None:
    solver, neighbour = solvers
    with neighbour.traffic() as traffic:
        with solver.held([0]) as lost:
            kill(solver, solver.name)
            late = solver.begin([1])
        assert "not healthy" in late.error()
        assert "not healthy" in probed(solver)
        assert solver.client.is_model_ready(solver.name)  # so says Triton
        assert not lost.done  # nor will it be: Triton forgets it, and a client needs a timeout of its own
        solver.client.unload_model(solver.name)
        solver.load(solver.name)
        assert probed(solver) == ""
        solver.ask([0, 1])
        until(lambda: scrape(solver.server, solver.name)["hrm_slots_in_use"] == 0)
        traffic.wait_for(SOME)
    assert not traffic.errors
    assert neighbour.wrong(traffic) == []
