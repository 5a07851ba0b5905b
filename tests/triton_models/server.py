"""A real tritonserver on this machine's CPU, for tests and benchmarks: nvidia-pytriton's, in its own environment."""

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

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROOT = Path(__file__).parents[2]
_BACKENDS = Path(__file__).parent / "backends"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "hrm_trt"
INSTALL = "make .venv/triton-server/ready"


@dataclass(frozen=True)
class Server:
    """A running server: the addresses of its services, its log, and its process."""

    http: str
    grpc: str
    metrics: str
    log: Path
    pid: int

    def stubs(self, model: str | None = None) -> list[psutil.Process]:
        """The processes that run Python models: all of them, or those of ``model``."""
        found = []
        for process in _children(self.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                served = model_of(process)
                if served and model in (None, served):
                    found.append(process)
        return found


def environment() -> Path:
    """The virtual environment that holds the server: ``HRM_TRT_TRITON_ENV``, or ``.venv/triton-server``."""
    place = Path(os.environ.get("HRM_TRT_TRITON_ENV", _ROOT / ".venv" / "triton-server"))
    if not _wheel(place).is_dir():
        raise FileNotFoundError(f"no tritonserver in {place}; make it with: {INSTALL}")
    return place.absolute()


def libraries() -> Path:
    """The shared libraries that the server's wheel brings."""
    return _packages(environment()) / "nvidia_pytriton.libs"


def program() -> Path:
    """The server's executable; it needs ``variables``."""
    return _wheel(environment()) / "bin" / "tritonserver"


def variables() -> dict[str, str]:
    """What the server's process must find in its environment."""
    return {
        "PATH": f"{environment() / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{libraries()}:{sysconfig.get_config_var('LIBDIR')}",
    }


@contextlib.contextmanager
def running(repository: Path, scratch: Path, options: Mapping[str, object] | None = None) -> Iterator[Server]:
    """Serve ``repository`` as in production: complete configurations, models loaded on request only.

    Args:
        repository: the model repository.
        scratch: an empty directory for backends and the log.
        options: tritonserver's own (``{"exit-timeout-secs": 30}``), beside or in place of the usual ones.
    """
    _remove_leftovers()
    ports = dict(zip(("http", "grpc", "metrics"), free_ports(3), strict=True))
    shared_memory = f"{_PREFIX}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    log = scratch / "tritonserver.log"
    arguments = _options(repository, scratch, ports, shared_memory) | dict(options or {})
    with log.open("wb") as output:
        process = _start(arguments, scratch, output.fileno())
    try:
        _wait_until_ready(process, ports["http"], log)
        addresses = {service: f"127.0.0.1:{port}" for service, port in ports.items()}
        yield Server(**addresses, log=log, pid=process.pid)
    finally:
        _stop(process)
        _remove_shared_memory(shared_memory)


def _options(repository: Path, scratch: Path, ports: Mapping[str, int], shared_memory: str) -> dict[str, object]:
    addresses = {f"{service}-address": "127.0.0.1" for service in ports}
    return {
        **addresses,
        **{f"{service}-port": port for service, port in ports.items()},
        "model-repository": repository.absolute(),
        "backend-directory": backends(scratch.absolute() / "backends"),
        "model-control-mode": "explicit",
        "allow-gpu-metrics": "false",
        "allow-cpu-metrics": "false",
        "exit-timeout-secs": 5,
        "backend-config": f"python,shm-region-prefix-name={shared_memory}",
    }


def _start(options: Mapping[str, object], scratch: Path, output: int) -> subprocess.Popen[bytes]:
    """Start it away from our sources: the current directory is the first place where Python models import from."""
    arguments = ["--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())]
    return subprocess.Popen(
        [program(), *arguments], cwd=scratch, env=os.environ | variables(), stdout=output, stderr=subprocess.STDOUT
    )


def backends(directory: Path) -> Path:
    """The Python backend and ours beside it, put in ``directory``; real copies, for the server refuses links."""
    place = environment()
    shutil.copytree(_wheel(place) / "backends" / "python", directory / "python")
    minor = _packages(place).parent.name.removeprefix("python")
    shutil.copy(_wheel(place) / "python_backend_stubs" / minor / "triton_python_backend_stub", directory / "python")
    shutil.copytree(_BACKENDS, directory, dirs_exist_ok=True)
    return directory


def _packages(place: Path) -> Path:
    return next(iter(place.glob("lib/python3.*/site-packages")), place / "lib" / "site-packages")


def _wheel(place: Path) -> Path:
    return _packages(place) / "pytriton" / "tritonserver"


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
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
    """End the server and whatever it started; a server that was killed leaves its stubs behind."""
    children = _children(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(children, timeout=1)
    for child in alive:
        child.kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def model_of(process: psutil.Process) -> str | None:
    """The model that a stub runs: its first argument is ``<repository>/<model>/<version>/model.py``."""
    program, *arguments = process.cmdline() or [""]
    return Path(arguments[0]).parts[-3] if program.endswith("triton_python_backend_stub") else None


def _remove_shared_memory(prefix: str) -> None:
    for region in _SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _remove_leftovers() -> None:
    """What servers of killed test runs have left: a server's regions carry the id of the process that started it."""
    for region in _SHARED_MEMORY.glob(f"{_PREFIX}_*_*"):
        owner = region.name.removeprefix(f"{_PREFIX}_").partition("_")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            region.unlink(missing_ok=True)
