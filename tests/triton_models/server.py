"""A real tritonserver on this machine's CPU, for the tests: nvidia-pytriton's, in an environment of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_BACKENDS = Path(__file__).parent / "backends"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
INSTALL = "make .venv/triton-server/ready"


@dataclass(frozen=True)
class Server:
    """A running server."""

    http: str
    grpc: str
    log: Path


def environment() -> Path:
    """The virtual environment that holds the server: ``HRM_TRT_TRITON_ENV``, or ``.venv/triton-server``."""
    place = Path(os.environ.get("HRM_TRT_TRITON_ENV", _ROOT / ".venv" / "triton-server"))
    if not _wheel(place).is_dir():
        raise FileNotFoundError(f"no tritonserver in {place}; make it with: {INSTALL}")
    return place.absolute()


@contextlib.contextmanager
def running(repository: Path, scratch: Path) -> Iterator[Server]:
    """Serve ``repository`` as in production: complete configurations, models loaded on request only."""
    http, grpc = _free_ports(2)
    shared_memory = f"hrm_trt_{uuid.uuid4().hex[:8]}"
    log = scratch / "tritonserver.log"
    with log.open("wb") as output:
        process = _start(repository, scratch, http, grpc, shared_memory, output.fileno())
    try:
        _wait_until_ready(process, http, log)
        yield Server(http=f"127.0.0.1:{http}", grpc=f"127.0.0.1:{grpc}", log=log)
    finally:
        _stop(process)
        for region in Path("/dev/shm").glob(f"{shared_memory}*"):
            region.unlink(missing_ok=True)


def _start(
    repository: Path, scratch: Path, http: int, grpc: int, shared_memory: str, output: int
) -> subprocess.Popen[bytes]:
    place = environment()
    options = {
        "model-repository": repository,
        "backend-directory": _backends(place, scratch / "backends"),
        "model-control-mode": "explicit",
        "http-address": "127.0.0.1",
        "http-port": http,
        "grpc-address": "127.0.0.1",
        "grpc-port": grpc,
        "allow-metrics": "false",
        "allow-gpu-metrics": "false",
        "exit-timeout-secs": 5,
        "backend-config": f"python,shm-region-prefix-name={shared_memory}",
    }
    variables = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{_packages(place) / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}",
    }
    program = _wheel(place) / "bin" / "tritonserver"
    arguments = ["--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())]
    return subprocess.Popen([program, *arguments], env=os.environ | variables, stdout=output, stderr=subprocess.STDOUT)


def _backends(place: Path, directory: Path) -> Path:
    """The Python backend and ours beside it; real copies, for the server refuses links."""
    shutil.copytree(_wheel(place) / "backends" / "python", directory / "python")
    minor = _packages(place).parent.name.removeprefix("python")
    shutil.copy(_wheel(place) / "python_backend_stubs" / minor / "triton_python_backend_stub", directory / "python")
    shutil.copytree(_BACKENDS, directory, dirs_exist_ok=True)
    return directory


def _packages(place: Path) -> Path:
    return next(iter(place.glob("lib/python3.*/site-packages")), place / "lib" / "site-packages")


def _wheel(place: Path) -> Path:
    return _packages(place) / "pytriton" / "tritonserver"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"tritonserver did not start; its log:\n{log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
