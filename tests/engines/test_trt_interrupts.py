"""A build that is broken off takes its builder with it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import trt_graphs

BUILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
from pathlib import Path
from trt_graphs import PROFILE
from engines.tensorrt.build import build_plan
from engines.tensorrt.options import BuilderOptions
home = Path(sys.argv[1])
while True:
    build_plan(home / "executor.onnx", home / "executor.plan", runtime="tensorrt-rtx", target="sm_120", profile=PROFILE,
               options=BuilderOptions())
    (home / "executor.plan").unlink()
"""
WORKER = "engines.tensorrt.worker"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_builder_does_not_outlive_what_waits_for_it(tmp_path, number):
    trt_graphs.save(trt_graphs.executor(), tmp_path)
    program = [sys.executable, "-c", BUILD, str(tmp_path)]
    with subprocess.Popen(program, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL) as parent:
        try:
            worker = _worker(psutil.Process(parent.pid))
            _await_library(worker)
            parent.send_signal(number)
            parent.wait(30)
        finally:
            parent.kill()
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running()
    assert not (tmp_path / "executor.plan").exists()


def _worker(parent):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in parent.children():
            if WORKER in child.cmdline():
                return child
        time.sleep(0.01)
    raise AssertionError("no builder was started")


def _await_library(worker):
    """Until it has come as far as to load TensorRT: what it was told of interrupts holds from before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any("tensorrt_rtx" in each.path for each in worker.memory_maps()):
        time.sleep(0.005)
