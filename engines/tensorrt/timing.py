"""The timing cache of classic TensorRT: kernels that were timed once are chosen alike ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.files import sha256_bytes, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import tensorrt as trt


def use_timings(config: trt.IBuilderConfig, path: Path | None) -> str | None:
    """Start from the cache in ``path``, an empty one if there is none; returns its digest."""
    if path is None:
        return None
    stored = path.read_bytes() if path.is_file() else b""
    config.set_timing_cache(config.create_timing_cache(stored), ignore_mismatch=False)
    return sha256_bytes(stored)


def keep_timings(config: trt.IBuilderConfig, path: Path | None) -> None:
    """Write the cache to ``path``, unless it came from there: a pinned cache stays as it is."""
    if path is not None and not path.is_file():
        write_bytes(path, _serialised(config))


def timing_digest(config: trt.IBuilderConfig) -> str:
    """Digest of the cache as the build left it."""
    return sha256_bytes(_serialised(config))


def _serialised(config: trt.IBuilderConfig) -> bytes:
    return bytes(memoryview(config.get_timing_cache().serialize()))
