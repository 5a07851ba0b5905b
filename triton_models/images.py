"""Which Triton image carries which TensorRT: a plan loads in the TensorRT that built it and in no other.

Second-hand, from NVIDIA's release notes as of November 2026; what a running server says of itself is worth more.
"""

from __future__ import annotations

_IMAGES = (
    ("10.11", "25.07-py3"),
    ("10.13", "25.10-py3"),
    ("10.14", "25.11-py3"),
    ("10.16", "26.03-py3"),
    ("11.0.0", "26.06-py3"),
    ("11.1.0", "26.07-py3"),
    ("11.2.1", "26.08-py3"),
)
"""TensorRT by the beginning of its version, and the newest tritonserver image that has it."""

KIT_TENSORRT = "11.1.0.106"
"""The TensorRT of containers/convert.Dockerfile, in which kits are built."""


def image_for(tensorrt: str) -> str | None:
    """The ``tritonserver`` image that loads plans of this TensorRT version; None where none is known."""
    known = (tag for prefix, tag in _IMAGES if f"{tensorrt}.".startswith(f"{prefix}."))
    tag = next(known, None)
    return None if tag is None else f"tritonserver:{tag}"
