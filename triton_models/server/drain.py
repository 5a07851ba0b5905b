"""Before a server is stopped: let it finish what it has admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.errors import RepositoryError, ServerError
from triton_models.server.control import UNLOADING, versions_of
from triton_models.server.probe import solvers
from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from triton_models.server.control import Control


def drain(control: Control, names: Sequence[str], seconds: float) -> tuple[str, ...]:
    """Unload the solvers called ``names``, or all, and wait until every request that they have is answered.

    A solver that is being unloaded takes no more requests and answers those in its queue and its slots; a server that
    gets SIGTERM at work fails them.

    Args:
        control: the server.
        names: of solvers; all that are loaded if empty.
        seconds: how long the requests may take.

    Returns:
        the solvers that were unloaded; none where none was loaded.

    Raises:
        RepositoryError: the server has no model of that name.
        MissingError: the server does not unload on request.
        ServerError: requests are unanswered after ``seconds``.
    """
    control.require_model_control()
    index = control.index()
    known = {held.model for held in index}
    unknown = sorted(set(names) - known)
    if unknown:
        raise RepositoryError(
            f"the server at {control.url} has no model {unknown[0]}",
            why=f"its repositories hold: {', '.join(sorted(known)) or 'nothing'}",
            hint="leave --name out to drain all solvers",
        )
    loaded = {name: control.ready(name) for name in names or solvers(control)}
    ending = {name: versions_of(index, name, UNLOADING) for name in names or known}
    for name in (name for name, versions in loaded.items() if versions):
        control.unload(name)
    # What was ending before may be a solver whose process has died, and never end: it counts where nothing else does.
    drained = {name: versions for name, versions in (loaded if any(loaded.values()) else ending).items() if versions}
    for name, versions in drained.items():
        wait_until_gone(control, name, versions, seconds)
    return tuple(drained)


def wait_until_gone(control: Control, model: str, versions: Collection[int], seconds: float) -> None:
    """Wait until ``versions`` of ``model`` have answered their last request.

    Raises:
        ServerError: some have not after ``seconds``.
    """

    def left() -> set[int]:
        return set(versions) & set(control.busy(model))

    if not wait_until(lambda: not left(), seconds):
        raise ServerError(
            f"{model} version {', '.join(map(str, sorted(left())))} still has requests after {seconds:g} seconds",
            why=f"the server at {control.url} lets a version go only when its last request is answered",
            hint="run the same command again to wait longer, or with a larger --timeout",
        )
