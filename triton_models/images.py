"""Which Triton image carries which TensorRT: a plan loads in the TensorRT that built it and in no other.

Second-hand, from NVIDIA's release notes and release branches as of November 2026; what a running server says of itself
is worth more, but Triton's metadata name its own version alone.
"""

from __future__ import annotations

from typing import NamedTuple

from hrm.errors import UsageError


class Image(NamedTuple):
    """One release of the ``tritonserver`` image; those with other names carry another TensorRT."""

    tag: str
    triton: str
    """What the server in it says its version is."""
    tensorrt: str
    """As much of the version as is known."""


_IMAGES = (
    Image("25.06-py3", "2.59.0", "10.11"),
    Image("25.07-py3", "2.59.1", "10.11"),
    Image("25.08-py3", "2.60.0", "10.13"),
    Image("25.09-py3", "2.61.0", "10.13"),
    Image("25.10-py3", "2.62.0", "10.13"),
    Image("25.11-py3", "2.63.0", "10.14"),
    Image("26.03-py3", "2.67.0", "10.16"),
    Image("26.06-py3", "2.70.0", "11.0.0.114"),
    Image("26.07-py3", "2.71.0", "11.1.0.106"),
    Image("26.08-py3", "2.72.0", "11.2.1"),
)
"""Oldest first."""

KIT_TENSORRT = "11.1.0.106"
"""The TensorRT of containers/convert.Dockerfile, in which kits are built."""
_ASK = "pass --tensorrt VERSION; `docker run --rm IMAGE printenv TRT_VERSION` says which one an image has"


def image_for(tensorrt: str) -> str | None:
    """The newest ``tritonserver`` image that loads plans of this TensorRT version; None where none is known."""
    known = (image.tag for image in reversed(_IMAGES) if f"{tensorrt}.".startswith(f"{image.tensorrt}."))
    tag = next(known, None)
    return None if tag is None else f"tritonserver:{tag}"


def checked_tensorrt(version: str) -> str:
    """``version``, if it is one of TensorRT or its beginning.

    Raises:
        UsageError: it is none.
    """
    if not all(part.isascii() and part.isdecimal() for part in version.split(".")):
        raise UsageError(
            f"{version!r} is no version of TensorRT",
            why="versions are numbers with dots between them, such as 11.1.0.106 or 11.1",
            hint=_ASK,
        )
    return version


def tensorrt_in_image(image: str) -> str:
    """The TensorRT of an image (``nvcr.io/nvidia/tritonserver:26.07-py3``, or its tag alone), as far as it is known.

    Raises:
        UsageError: it is not known.
    """
    tag = image.rpartition(":")[2]
    for known in _IMAGES:
        if known.tag == tag:
            return known.tensorrt
    raise UsageError(
        f"it is not known which TensorRT {image} carries",
        why=f"known are: {', '.join(known.tag for known in _IMAGES)}",
        hint=_ASK,
    )


def tensorrt_in_server(triton: str) -> str:
    """The TensorRT of a server that says its version is ``triton``, if NVIDIA's image of that version runs there.

    Raises:
        UsageError: it is not known.
    """
    for known in _IMAGES:
        if known.triton == triton:
            return known.tensorrt
    raise UsageError(
        f"it is not known which TensorRT a Triton {triton} carries",
        why=f"a server names its own version alone; known are: {', '.join(known.triton for known in _IMAGES)}",
        hint=_ASK,
    )
