"""The model that Triton's Python backend loads: requests in, puzzles into slots, responses out."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from engines.slots import Slots, embed
from engines.stepper import EngineStepper
from triton_models.solver.arrays import DeviceArrays
from triton_models.solver.bls import BlsEngine
from triton_models.solver.flow import Flow
from triton_models.solver.loop import Loop
from triton_models.solver.metrics import TritonReporter
from triton_models.solver.options import read_options
from triton_models.solver.reply import TritonReply
from triton_models.solver.requests import INPUTS, rows_of
from triton_models.solver.settings import SETTINGS, Settings, read_settings
from triton_models.solver.work import Work

SENDERS = 2
"""Threads that send responses."""


class TritonPythonModel:
    """One version of the orchestrator."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings, and start the loop."""
        config = json.loads(args["model_config"])
        home = Path(args["model_repository"]) / args["model_version"]
        self._settings = read_settings(home / SETTINGS)
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        capacity, queue = int(parameters["slots"]), int(parameters["queue"])
        device = DeviceArrays(int(args["model_instance_device_id"])) if args["model_instance_kind"] == "GPU" else None
        stepper = _stepper(home, self._settings, device)
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        slots: Slots[Work] = Slots(stepper, capacity)
        log_requests = parameters["log_requests"] == "true"
        self._reporter = TritonReporter(self._settings, capacity, log_requests=log_requests)
        self._loop = Loop(Flow(slots, partial(embed, stepper), queue, self._reporter, run=self._senders.submit))
        self._loop.start()

    def execute(self, requests: list[Any]) -> list[None]:
        """Let the requests in; their responses are sent by the loop. Nothing here waits: Triton's batcher would too."""
        works = [self._work(request) for request in requests]
        self._loop.submit([work for work in works if work.outcome is None])
        return [None] * len(requests)

    def finalize(self) -> None:
        """Answer everything that was let in."""
        self._loop.close()
        self._senders.shutdown()
        self._reporter.close()

    def _work(self, request: Any) -> Work:
        now = time.monotonic()
        timeout = request.timeout()  # microseconds, 0 for none
        deadline = now + timeout / 1e6 if timeout else None
        work = Work(TritonReply(request), _identity(request), now, deadline)
        try:
            options = read_options(request.parameters())
            work.level = options.level
            work.rows = rows_of(_tensors(request), options, self._settings, work)
        except ValueError as error:
            work.fail("invalid", str(error))
            self._reporter.answered(work, 0.0)
        return work


def _identity(request: Any) -> str:
    """The client's name for the request; Triton lets names through that are no text, and there are others beside it."""
    try:
        return str(request.request_id())
    except UnicodeDecodeError:
        return ""


def _tensors(request: Any) -> dict[str, Any]:
    found = {name: pb_utils.get_input_tensor_by_name(request, name) for name in INPUTS}
    return {name: tensor.as_numpy() for name, tensor in found.items() if tensor is not None}


def _stepper(home: Path, settings: Settings, device: DeviceArrays | None) -> EngineStepper:
    with np.load(home / settings.carry, allow_pickle=False) as stored:
        carry = stored["z_H"], stored["z_L"]
    table = None
    if settings.puzzle_table is not None:
        table = np.load(home / settings.puzzle_table, mmap_mode="r", allow_pickle=False)
    engines = {module: BlsEngine(module, settings, device) for module in settings.models}
    return EngineStepper(engines, carry, settings, table, device)
