"""Having a server load versions of a set, engines before the solver that calls them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.config import HRMConfig
from hrm.errors import OtherRepositoryError, ServerError
from triton_models.manifest import model_name
from triton_models.repository import read_marker
from triton_models.server.control import PROMPT_SECONDS
from triton_models.server.drain import wait_until_gone
from triton_models.server.probe import Limits, probe
from triton_models.server.waiting import wait_until
from triton_models.solver_model import solver_bundle

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from triton_models.manifest import VersionManifest
    from triton_models.server.control import Control
    from triton_models.server.probe import Health

Tell = Callable[[str], None]
"""Called with each thing that is about to be done."""


@dataclass(frozen=True)
class Loading:
    """A server, and how its models are loaded."""

    control: Control
    seconds: float
    """How long each step may take."""
    tell: Tell

    def engines(self, version: VersionManifest) -> None:
        """Load the engines that the solver of ``version`` calls, in every version that the repository says.

        Raises:
            OtherRepositoryError: the server reads another repository.
            ServerError: it cannot load one of them.
        """
        engines = engines_called(version)
        unseen = {*engines, version.name} - {held.model for held in self.control.index()}
        if unseen:
            raise self.elsewhere(f"it sees no {min(unseen)}")
        for engine in engines:
            self.tell(f"loading {engine} version {version.version}")
            self.control.load(engine, self.seconds)
            if version.version not in self.control.ready(engine):
                raise self.elsewhere(f"it has loaded {engine}, and that has no version {version.version} there")

    def solver(self, version: VersionManifest) -> Health:
        """Load the solver of ``version``, whose engines are loaded, and look at an answer.

        Raises:
            OtherRepositoryError: the server reads another repository.
            ServerError: it cannot load the solver, or gets no sound answer from it.
        """
        name = version.name
        self.tell(f"loading {name} version {version.version}")
        self.control.load(name, self.seconds)
        if not wait_until(lambda: self.control.ready(name) == (version.version,), PROMPT_SECONDS):
            raise self.elsewhere(f"it has loaded {name}, and that is not version {version.version} there")
        self.tell(f"asking {name} version {version.version} for an answer")
        return probe(self.control, name, self.seconds, limits_of(version))

    def answers(self, name: str) -> bool:
        """Whether a solver is loaded and gives sound answers, in whichever version."""
        try:
            return bool(self.control.ready(name) and probe(self.control, name, min(self.seconds, PROMPT_SECONDS)))
        except ServerError:
            return False

    def stop(self, name: str) -> None:
        """Unload the solver ``name``, if it is loaded, and wait until it has answered its last request.

        Raises:
            ServerError: it has not in time.
        """
        versions = self.control.ready(name)
        if versions:
            self.tell(f"unloading {name}")
            self.control.unload(name)
            self.wait_for_end(name, versions)

    def wait_for_end(self, name: str, versions: Collection[int]) -> None:
        """Wait until ``versions`` of the solver ``name``, which take no more requests, have answered their last.

        Raises:
            ServerError: some have not in time.
        """
        if versions:
            self.tell(f"waiting until version {', '.join(map(str, versions))} has answered its last request")
            wait_until_gone(self.control, name, versions, self.seconds)

    def refresh(self, repository: Path, name: str, engines: Iterable[str]) -> None:
        """Drop those versions of the loaded ``engines`` of the set ``name`` that the repository does not ask for.

        Raises:
            ServerError: one cannot be loaded again.
        """
        there = read_marker(repository).sets.get(name, ())
        for engine in filter(self.control.busy, engines):
            self.tell(f"having {engine} drop what the repository does not ask for")
            if engine in there:
                self.control.load(engine, self.seconds)
            else:
                self.control.unload(engine)

    def elsewhere(self, why: str) -> OtherRepositoryError:
        """The error for a server that reads another repository."""
        return OtherRepositoryError(
            f"the server at {self.control.url} does not read this repository",
            why=why,
            hint="give its --model-repository, or the URL of the server that reads this one",
        )


def engines_of_set(repository: Path, name: str) -> tuple[str, ...]:
    """The engines of the set ``name``, in whichever version."""
    solver = model_name(name, "solver")
    return tuple(model for model in read_marker(repository).sets.get(name, ()) if model != solver)


def engines_called(version: VersionManifest) -> tuple[str, ...]:
    """The engines that the solver of ``version`` calls."""
    return tuple(model_name(version.name, engine.module) for engine in solver_bundle(version).engines)


def limits_of(version: VersionManifest) -> Limits:
    """What answers of ``version`` stay within."""
    config = HRMConfig.from_dict(solver_bundle(version).architecture)
    return Limits(version.version, config.vocab_size, config.halt_max_steps)
