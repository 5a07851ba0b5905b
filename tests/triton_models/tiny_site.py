"""A real server, the repository that it reads, and tiny bundles to publish there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import server
from tiny_bundles import tiny_bundle
from traffic import Traffic

from triton_models.publication import publication
from triton_models.rollback import going_back
from triton_models.server.control import Control, connect
from triton_models.server.loading import Loading
from triton_models.server.rollout import roll_out
from triton_models.server.status import status
from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from triton_models.server.probe import Health

SECONDS = 60.0


@dataclass(frozen=True)
class Site:
    """A server, and what is done to it."""

    repository: Path
    bundles: Path
    started: server.Server
    control: Control

    @property
    def loading(self) -> Loading:
        return Loading(self.control, SECONDS, tell=lambda step: None)

    def bundle(self, seed: int, **options: object) -> Path:
        """A bundle of its own for each seed."""
        directory = self.bundles / "-".join(map(str, [seed, *options]))
        return directory if directory.exists() else tiny_bundle(directory, seed=seed, **options)

    def publish(self, name: str, *bundles: Path, keep: int = 2) -> Health:
        with publication(bundles, self.repository, name, keep=keep) as work:
            return roll_out(self.loading, work)

    def go_back(self, name: str, to: int | None = None) -> Health:
        with going_back(self.repository, name, to) as work:
            return roll_out(self.loading, work)

    def traffic(self, name: str, clients: int = 32, *, until_refused: bool = False) -> Traffic:
        return Traffic(self.started.grpc, name, clients, until_refused)

    def kill(self, model: str) -> None:
        """Kill the processes that run ``model``; the server does not collect them."""
        stubs = self.started.stubs(model)
        for stub in stubs:
            stub.kill()
        assert stubs
        assert wait_until(lambda: all(stub.status() == psutil.STATUS_ZOMBIE for stub in stubs), SECONDS)

    def differences(self) -> list[str]:
        """Between the server and the repository."""
        return [difference for one in status(self.repository, self.control) for difference in one.differences]

    def held(self, name: str) -> set[str]:
        """What the server has loaded of a set, or has not let go."""
        models = {held.model for held in self.control.index() if held.model.startswith(name)}
        return {f"{model} {version}" for model in models for version in self.control.busy(model)}

    def holds(self, name: str, *expected: str) -> bool:
        """Whether the server has ``expected`` and no more of a set, once engines that are let go are gone."""
        return wait_until(lambda: self.held(name) == set(expected), SECONDS)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.repository)) for path in self.repository.rglob("*"))


@contextmanager
def open_site(home: Path) -> Iterator[Site]:
    """A server on an empty repository below ``home``."""
    (home / "repository").mkdir()
    with server.running(home / "repository", home) as started:
        yield Site(home / "repository", home, started, connect(f"http://{started.http}"))
