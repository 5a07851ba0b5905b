"""Whether a plan fits what would run it, known from its sidecar before any library is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engines.tensorrt.request import Shape
    from engines.tensorrt.sidecar import Sidecar

_AMPERE = 80


def misfit(sidecar: Sidecar, version: str, gpu: str) -> str | None:
    """Why the plan cannot run with the library's ``version`` on ``gpu``; None where it can."""
    if not loads(sidecar.version, version, version_compatible=sidecar.options.version_compatible):
        return f"it was built by {sidecar.runtime} {sidecar.version}, and {version} is installed"
    if gpu != sidecar.target and not (sidecar.options.hardware_compatible and _number(gpu) >= _AMPERE):
        return f"it was built for {sidecar.target}, and this machine has {gpu}"
    return None


def loads(built: str, present: str, *, version_compatible: bool) -> bool:
    """Whether a library of the version ``present`` loads a plan that ``built`` has built.

    Of ``present`` only the beginning may be known (``10.13``): then what follows may be anything.
    """
    wanted, there = _parts(built), _parts(present)
    known = wanted[: len(there)]
    return known == there or (version_compatible and known[0] == there[0] and known < there)


def oversize(sidecar: Sidecar, shapes: Mapping[str, Shape]) -> str | None:
    """Why the plan does not take inputs of ``shapes``; None where it does."""
    for tensor in sidecar.shapes:
        shape, least, most = shapes.get(tensor), sidecar.shapes[tensor].min, sidecar.shapes[tensor].max
        if shape is None:
            return f"{tensor} is missing"
        inside = len(shape) == len(least) and all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))
        if not inside:
            return f"{tensor} is {list(shape)}, and the plan was built for {list(least)} to {list(most)}"
    return None


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _number(gpu: str) -> int:
    return int(gpu.removeprefix("sm_"))
