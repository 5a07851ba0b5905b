"""The serving image: what can be said of it without docker, and its script, health check and stop on a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import server
from tiny_bundles import tiny_bundle
from traffic import Traffic, answers_of

from triton_models.images import KIT_TENSORRT, image_for, tensorrt_in_image
from triton_models.publish import publish
from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "containers"
SECONDS = 120.0
IN_NO_SERVING_IMAGE = ("torch", "onnx", "onnxruntime", "onnxscript", "onnx_graphsurgeon", "modelopt")


def instructions(name: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions, each on one line."""
    text = re.sub(r"^#.*\n", "", (CONTAINERS / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def of_kind(name: str, kind: str) -> list[str]:
    return [text for found, text in instructions(name) if found == kind]


def test_the_server_loads_the_plans_that_are_built_in_the_other_image() -> None:
    (serving,), (building,) = of_kind("serve.Dockerfile", "FROM"), of_kind("convert.Dockerfile", "FROM")
    assert tensorrt_in_image(serving) == KIT_TENSORRT
    assert serving.endswith(str(image_for(KIT_TENSORRT)))
    assert serving.rpartition(":")[2] == building.rpartition(":")[2]
    for name in ("serve.Dockerfile", "convert.Dockerfile"):
        assert any(KIT_TENSORRT in text for text in of_kind(name, "RUN")), f"{name} does not look at what it has"


@pytest.mark.parametrize("name", ["serve.Dockerfile", "convert.Dockerfile"])
def test_an_image_gets_all_of_the_package(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sources = [source for text in of_kind(name, "COPY") for source in text.split()[:-1] if not source.startswith("--")]
    assert all((ROOT / source).exists() for source in sources)
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"]} <= set(sources)


def test_the_servers_own_python_has_the_old_numpy() -> None:
    """With NumPy 2 Triton 2.51 answers empty tensors; its image of 26.07 is built with `numpy<2`."""
    (installed,) = [text for text in of_kind("serve.Dockerfile", "RUN") if "cupy" in text]
    assert '"numpy<2"' in installed
    assert "cupy-cuda13x==13.6.0" in installed


@dataclass(frozen=True)
class Container:
    """The image's first process, its environment, and the address of the server's gRPC service."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    grpc: str

    def healthy(self) -> bool:
        """What docker makes of the image's HEALTHCHECK."""
        (check,) = of_kind("serve.Dockerfile", "HEALTHCHECK")
        command = check.partition("CMD ")[2]
        return subprocess.run(command, shell=True, env=self.environment, capture_output=True).returncode == 0

    def stub(self, model: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if server.model_of(child) == model)


@contextmanager
def container(repository: Path, home: Path) -> Iterator[Container]:
    """What runs in the image, with the tests' server, in an environment that lacks what the image lacks."""
    home.mkdir()
    http, grpc, metrics = server.free_ports(3)
    prefix = f"hrm_trt_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    blocked = f"import sys; sys.modules.update(dict.fromkeys({IN_NO_SERVING_IMAGE}))"
    variables = (variable.split("=") for text in of_kind("serve.Dockerfile", "ENV") for variable in text.split())
    environment = (
        os.environ
        | dict(variables)
        | {
            "MODEL_REPOSITORY": str(repository),
            "HTTP_PORT": str(http),
            "TRITONSERVER": script(home / "tritonserver", f'exec "{server.program()}" "$@"', **server.variables()),
            "HRM_TRT": script(
                home / "hrm-trt", f'exec "{sys.executable}" -c "{blocked}; from hrm_trt.cli import main; main()" "$@"'
            ),
        }
    )
    arguments = [
        f"--grpc-port={grpc}",
        f"--metrics-port={metrics}",
        f"--backend-directory={server.backends(home / 'backends')}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        *(f"--{service}-address=127.0.0.1" for service in ("http", "grpc", "metrics")),
    ]
    with (home / "log").open("wb") as log:
        command = [CONTAINERS / "serve.sh", *arguments]
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        yield Container(process, environment, f"127.0.0.1:{grpc}")
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        for each in (*children, process):
            each.kill()
        process.wait()
        for region in Path("/dev/shm").glob(f"{prefix}*"):
            region.unlink()


def script(path: Path, line: str, **variables: str) -> str:
    exports = "".join(f'export {name}="{value}"\n' for name, value in variables.items())
    path.write_text(f"#!/bin/sh\n{exports}{line}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.slow
@pytest.mark.triton
def test_the_image_serves_a_repository_and_stops_without_losing_a_request(tmp_path: Path) -> None:
    bundle, repository = tiny_bundle(tmp_path / "bundle"), tmp_path / "repository"
    publish([bundle], repository, "tiny", keep=1)
    publish([bundle], repository, "broken", keep=1)
    (repository / "broken_segment/1/model.onnx").write_bytes(b"not a graph")
    with container(repository, tmp_path / "home") as running:
        with Traffic(running.grpc, "tiny", 1, until_refused=False) as first:
            first.wait_for(1)
        assert not running.healthy()  # for the broken set
        with Traffic(running.grpc, "tiny", 8, until_refused=True) as traffic:
            traffic.wait_for(200)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(SECONDS) == 0
    assert traffic.errors == {"NOT_FOUND: Request for unknown model: 'tiny' has no available versions": 8}
    assert traffic.mixed({1: answers_of(bundle)}) == []


@pytest.mark.slow
@pytest.mark.triton
def test_the_health_check_sees_a_dead_model_that_triton_calls_ready(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    publish([tiny_bundle(tmp_path / "bundle")], repository, "tiny", keep=1)
    with container(repository, tmp_path / "home") as running:
        assert wait_until(running.healthy, SECONDS)
        running.stub("tiny").kill()
        assert not running.healthy()
