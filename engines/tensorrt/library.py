"""The libraries that make engines for GPUs, as data: what they are called, and what this machine lacks for them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from engines.tensorrt.gpu import has_bindings, present
from hrm.errors import missing_package

if TYPE_CHECKING:
    from engines.tensorrt.api import Api


@dataclass(frozen=True)
class Library:
    """One library that builds engines."""

    runtime: str
    package: str
    """What pip calls the package that says its version."""
    modules: tuple[str, ...]
    """To import, in this order; the last one has the interface."""
    extra: str
    """What brings it: ``pip install 'hrm-trt[extra]'``."""
    ahead_of_time: frozenset[str] = frozenset()
    """The targets that it builds for on any machine, and no others; without them, those whose GPU is there."""
    unsupported: frozenset[str] = frozenset()
    """Options of the builder that it does not have."""
    plans: bool = True
    """Whether its engines are plans, which cuda-python runs; else PyTorch runs what it compiled."""


LIBRARIES = {
    library.runtime: library
    for library in (
        Library("tensorrt", "tensorrt", ("tensorrt",), "tensorrt"),
        Library(
            "tensorrt-rtx",
            "tensorrt-rtx-cu13-bindings",
            ("tensorrt_rtx_libs", "tensorrt_rtx_bindings"),
            "rtx",
            ahead_of_time=frozenset({"sm_75", "sm_80", "sm_86", "sm_89", "sm_120", "sm_121"}),
            unsupported=frozenset({"hardware_compatible", "version_compatible", "timing_cache"}),
        ),
        Library(
            "torch-tensorrt",
            "torch-tensorrt",
            ("torch_tensorrt",),
            "torch-tensorrt",
            unsupported=frozenset({"hardware_compatible", "version_compatible", "timing_cache", "workspace_mib"}),
            plans=False,
        ),
    )
}


def load(runtime: str) -> Api:
    """Import the library of ``runtime``.

    Raises:
        MissingError: it is not installed.
    """
    library = LIBRARIES[runtime]
    if missing(runtime) is not None:
        raise missing_package(library.package, library.extra, f"the runtime {runtime}")
    return cast("Api", [importlib.import_module(name) for name in library.modules][-1])


def version(runtime: str) -> str | None:
    """The version that is installed; None where none is."""
    if missing(runtime) is not None:
        return None
    try:
        return metadata.version(LIBRARIES[runtime].package)
    except metadata.PackageNotFoundError:  # a container's own build, put there without pip
        return load(runtime).__version__


def missing(runtime: str) -> str | None:
    """Why the library of ``runtime`` cannot be imported here; None where it can. Imports nothing."""
    library = LIBRARIES[runtime]
    for name in library.modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # type stubs alone leave a folder without a module
            return f"{library.package} is not installed (`pip install 'hrm-trt[{library.extra}]'`)"
    return None


def needs(runtime: str, target: str) -> str | None:
    """Why this machine cannot build for ``target`` with ``runtime``; None where it can."""
    absent = missing(runtime)
    known = LIBRARIES[runtime].ahead_of_time
    if absent is not None or target in known:
        return absent
    if known:
        return f"{runtime} does not build for {target}; for {', '.join(sorted(known))} it does"
    return _without(target, f"{runtime} builds on the GPU that it builds for")


def lacks(runtime: str, target: str) -> str | None:
    """Why this machine cannot run engines of ``runtime`` for ``target``; None where it can."""
    absent = missing(runtime)
    if absent is None and LIBRARIES[runtime].plans and not has_bindings():
        absent = f"cuda-bindings is not installed (`pip install 'hrm-trt[{LIBRARIES[runtime].extra}]'`)"
    return absent or _without(target, "engines run on the GPU that they were built for")


def _without(target: str, rule: str) -> str | None:
    gpu = present()
    if gpu == target:
        return None
    return f"{rule}, and this machine has {'no NVIDIA GPU' if gpu is None else gpu} where {target} is needed"
