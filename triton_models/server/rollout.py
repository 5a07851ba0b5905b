"""Bringing a running server from one version of a set to another, with no request lost on the way.

A solver calls engines of its own version, so the order is: load the engines in both versions; load the solver in the
new one, which takes the requests from then on; wait until the old one has answered its last; and only then let the
engines of the old version go. Whatever fails before a real answer of the new version has been looked at is undone, and
the old solver takes the requests again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hrm.errors import HrmTrtError, OtherRepositoryError, RolloutError, ServerError
from triton_models.server.control import PROMPT_SECONDS
from triton_models.server.loading import engines_called, engines_of_set

if TYPE_CHECKING:
    from triton_models.manifest import VersionManifest
    from triton_models.publication import Publication
    from triton_models.server.loading import Loading
    from triton_models.server.probe import Health


def roll_out(loading: Loading, work: Publication) -> Health:
    """Have the server serve ``work.version`` in place of ``work.previous``, commit it on disk, and tidy up.

    Args:
        loading: the server, which must have model control.
        work: a version that lies in the repository and is not current yet.

    Returns:
        the version's first answer.

    Raises:
        RolloutError: the server could not be brought to serve the version; it serves, and the repository names, what
            they did before.
        OtherRepositoryError: the server reads another repository; nothing has changed.
        ServerError: the version is being served, and what it replaced could not be cleared away.
    """
    steps = _Steps(loading, work, engines_of_set(work.repository, work.version.name))
    try:
        replaced = steps.answering()
        health = steps.switch()
    except OtherRepositoryError:  # the server's models are to be left alone
        work.abandon()
        raise
    except HrmTrtError as error:
        raise _not_rolled_out(work.version, error, steps.undo()) from error
    except BaseException:
        steps.undo()
        raise
    try:
        steps.clear(replaced)
    except ServerError as error:
        raise _not_cleared(work.version, error) from error
    return health


@dataclass(frozen=True)
class _Steps:
    """What a roll-out consists of."""

    loading: Loading
    work: Publication
    engines: tuple[str, ...]
    """Every engine of the set, old and new."""

    def answering(self) -> set[int]:
        """The versions that the new one replaces, if they answer; a solver whose process has died never ends."""
        served = set(self.loading.control.ready(self._name)) - {self.work.version.version}
        return served if served and self.loading.answers(self._name) else set()

    def switch(self) -> Health:
        """Have the new version take the requests, and look at an answer."""
        self._check_new()
        if not self.work.side_by_side:
            self.loading.stop(self._name)
        self.loading.engines(self.work.version)
        self.work.commit()
        return self.loading.solver(self.work.version)

    def clear(self, replaced: set[int]) -> None:
        """Let go what the new version replaced, once that has answered its last request."""
        self.loading.wait_for_end(self._name, replaced)
        self.work.tidy()
        self._refresh()

    def undo(self) -> str:
        """Have the old version take the requests again; returns what is being served now."""
        previous = self.work.previous if self.work.side_by_side else None
        # What does not answer may not end either.
        briefly = replace(self.loading, seconds=min(self.loading.seconds, PROMPT_SECONDS))
        if previous is None:
            with contextlib.suppress(ServerError):
                briefly.stop(self._name)
        self.work.abandon()
        try:
            if self.work.previous is None:
                self._refresh()
                return "nothing of it is loaded"
            if previous is None:
                self.loading.engines(self.work.previous)
            self.loading.solver(self.work.previous)
            with contextlib.suppress(ServerError):
                briefly.wait_for_end(self._name, {self.work.version.version} - {self.work.previous.version})
            self._refresh()
        except HrmTrtError as error:
            return f"what was served before could not be brought back: {error.what} ({error.why})"
        return f"version {self.work.previous.version} is being served again"

    def _check_new(self) -> None:
        version = self.work.version.version
        for engine in engines_called(self.work.version):
            if self.work.new and version in self.loading.control.ready(engine):
                raise self.loading.elsewhere(f"it serves a version {version} of {engine} already, and here that is new")

    def _refresh(self) -> None:
        self.loading.refresh(self.work.repository, self._name, self.engines)

    @property
    def _name(self) -> str:
        return self.work.version.name


def _not_rolled_out(version: VersionManifest, error: HrmTrtError, state: str) -> HrmTrtError:
    kind = RolloutError if isinstance(error, ServerError) else type(error)
    return kind(
        f"version {version.version} of {version.name} was not rolled out; {state}",
        why=f"{error.what}: {error.why}",
        hint=error.hint,
    )


def _not_cleared(version: VersionManifest, error: ServerError) -> ServerError:
    return ServerError(
        f"version {version.version} of {version.name} is being served, but what it replaced is not cleared away",
        why=f"{error.what}: {error.why}",
        hint="the next `hrm-trt publish` clears it away",
    )
