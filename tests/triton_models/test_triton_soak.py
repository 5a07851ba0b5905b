"""A minute of everything at once on a real server: good, cancelled, hurried and malformed requests to the sample."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import server
import tritonclient.grpc as grpc
from load import Puzzles
from pending import until
from scrape import scrape
from soak import SHARES, growth, make_mix, resident, soak

from engines.act import Policy
from engines.bundle import MODULES
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm.data.dataset import read_split
from triton_models.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.bundle import BundleManifest

pytestmark = [pytest.mark.triton, pytest.mark.slow]
SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
NAME, SLOTS, CLIENTS = "sample", 16, 24
SECONDS, LOOK_SECONDS = 60.0, 0.5
LONGEST_WAIT = 0.1
"""Seconds until a client leaves, or has no more time, at most; about what an answer takes."""
FLAT = 0.05


@pytest.fixture
def running(tmp_path: Path, demo_bundle: tuple[Path, BundleManifest]) -> Iterator[server.Server]:
    publish([demo_bundle[0]], tmp_path / "repository", NAME, keep=1, slots=SLOTS)
    with server.running(tmp_path / "repository", tmp_path) as started:
        with grpc.InferenceServerClient(started.grpc) as client:
            for model in (*(f"{NAME}_{module}" for module in MODULES["segment"]), NAME):
                client.load_model(model)
        yield started


@pytest.fixture
def puzzles(demo_bundle: tuple[Path, BundleManifest]) -> Puzzles:
    split = read_split(SAMPLE / "dataset", "test", 200)
    model = load_engines(*demo_bundle, RuntimeOptions(threads=1))
    answers = solve(model, split.inputs, split.puzzle_identifiers, Policy("adaptive", 8), batch=SLOTS)
    return Puzzles(split.inputs.astype(np.int32), answers.tokens, answers.depth)


class Scales(threading.Thread):
    """Weighs the server's processes until it is stopped."""

    def __init__(self, started: server.Server) -> None:
        super().__init__(daemon=True)
        self.weights: list[dict[str, float]] = []
        self._server, self._stopped = started, threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self.weights.append(resident(self._server))

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def test_a_minute_of_everything_leaves_no_wrong_answer_no_taken_slot_and_no_more_memory(
    running: server.Server, puzzles: Puzzles, demo_bundle: tuple[Path, BundleManifest]
) -> None:
    vocabulary = demo_bundle[1].architecture["vocab_size"]
    mix = make_mix(NAME, puzzles, vocabulary=vocabulary, longest_wait=LONGEST_WAIT)
    scales = Scales(running)
    scales.start()
    report = soak(running.grpc, mix, clients=CLIENTS, seconds=SECONDS)
    scales.stop()

    assert report.failed == 0, report.failures
    assert report.outcomes["good"]["right"] > 1000
    assert all(report.outcomes[kind] for kind in SHARES)
    assert report.outcomes["cancelled"]["cancelled"] > 0
    assert report.outcomes["hurried"]["late"] > 0
    assert min(report.per_second[second] for second in range(int(SECONDS) - 1)) > 0

    until(lambda: scrape(running, NAME)["hrm_slots_in_use"] == 0)
    told = scrape(running, NAME)
    assert told["hrm_requests_total error"] == told["hrm_requests_total not_finite"] == 0
    # How many depends on the machine: a fast one has answered before the solver asks whether the client is still there.
    assert told["hrm_requests_total cancelled"] == told["hrm_cancelled_total"]
    assert told["hrm_requests_total ok"] >= sum(counts["right"] for counts in report.outcomes.values())

    assert len(scales.weights) > SECONDS / LOOK_SECONDS / 2
    for process in ("server", NAME):
        assert growth([weights[process] for weights in scales.weights]) < FLAT, process
