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
    if not _loads(sidecar, version):
        return f"it was built by {sidecar.runtime} {sidecar.version}, and {version} is installed"
    if gpu != sidecar.target and not (sidecar.options.hardware_compatible and _number(gpu) >= _AMPERE):
        return f"it was built for {sidecar.target}, and this machine has {gpu}"
    return None


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


def _loads(sidecar: Sidecar, version: str) -> bool:
    if version == sidecar.version:
        return True
    built, installed = _parts(sidecar.version), _parts(version)
    return sidecar.options.version_compatible and built[0] == installed[0] and built <= installed


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _number(gpu: str) -> int:
    return int(gpu.removeprefix("sm_"))
