"""What every runtime looks like from above: arrays by name in, arrays by name out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from export.contract import TensorSpec

Array = npt.NDArray[Any]


class Engine(Protocol):
    """One module, compiled or not, that a runtime can run."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What ``run`` takes, by name."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What ``run`` gives, by name."""

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: the runtime failed.
        """
