"""One plan from one graph, with the evidence beside it; the builder runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engines.tensorrt import evidence
from engines.tensorrt.library import LIBRARIES, needs
from engines.tensorrt.listing import parse_listing
from engines.tensorrt.options import check_options
from engines.tensorrt.request import Answer, Request
from engines.tensorrt.shapes import input_shapes
from engines.tensorrt.sidecar import Sidecar, sidecar_path
from export.metadata import read_graph, read_metadata
from hrm.errors import EngineError, MissingError
from hrm.files import atomic_path, sha256_file

if TYPE_CHECKING:
    from engines.bundle import Profile
    from engines.tensorrt.options import BuilderOptions
    from engines.tensorrt.request import Refusal

_WORKER = (sys.executable, "-P", "-m", "engines.tensorrt.worker")
_LAST = 3
"""Lines of what a dying builder wrote that are told."""


def build_plan(
    graph: Path,
    plan: Path,
    *,
    runtime: str,
    target: str,
    profile: Profile,
    options: BuilderOptions,
    fused_attentions: int | None = None,
) -> Sidecar:
    """Build ``graph`` into ``plan`` and write its sidecar beside it; on any failure neither is there.

    Args:
        graph: an exported or quantised ONNX file; what it is typed in is what the plan computes in.
        plan: where the plan goes; its sidecar gets ``.json`` behind the same name.
        runtime: ``tensorrt`` or ``tensorrt-rtx``.
        target: the GPU's architecture, like ``sm_120``.
        profile: the batches and sequence lengths that it must take.
        options: how the builder works.
        fused_attentions: how many attentions the unquantised engine fuses; all of the graph's where it is not known.

    Raises:
        BundleError: the graph is not one of hrm-trt's.
        EngineError: the builder refuses it, dies, or builds less than the graph asks for.
        MissingError: this machine cannot build for ``target``.
        StorageError: the disk is full or failing.
        UsageError: an option that this library does not have.
    """
    _check_machine(runtime, target, options)
    shapes = input_shapes(read_metadata(graph), profile)
    with tempfile.TemporaryDirectory() as folder, atomic_path(sidecar_path(plan)) as said, atomic_path(plan) as scratch:
        words = Path(folder) / "words.txt"
        request = Request(
            runtime=runtime, target=target, graph=graph, plan=scratch, words=words, shapes=shapes, options=options
        )
        answer = _ask(request, Path(folder))
        _check_answer(answer, graph, profile, runtime)
        sidecar = _sidecar(request, answer, profile, fused_attentions)
        said.write_text(sidecar.model_dump_json(indent=1) + "\n", "utf-8")
    return sidecar


def _check_machine(runtime: str, target: str, options: BuilderOptions) -> None:
    check_options(options, runtime)
    obstacle = needs(runtime, target)
    if obstacle is not None:
        raise MissingError(
            f"{runtime} cannot build for {target} here",
            why=obstacle,
            hint="`hrm-trt pack` writes a kit, and `hrm-trt build KIT` finishes it on a machine that can",
        )


def _ask(request: Request, folder: Path) -> Answer:
    """Run the builder.

    Raises:
        EngineError: it did not live to answer.
    """
    asked, answered = folder / "request.json", folder / "answer.json"
    asked.write_text(request.model_dump_json(), "utf-8")
    # An interrupt ends it as well: subprocess.run kills what it waits for.
    done = subprocess.run(  # noqa: S603  (our own module)
        [*_WORKER, str(asked), str(answered)], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise _died(request, done)
    return Answer.model_validate_json(answered.read_bytes())


def _died(request: Request, done: subprocess.CompletedProcess[bytes]) -> EngineError:
    what = f"the builder died on {request.graph.name}"
    last = " | ".join(done.stderr.decode(errors="replace").strip().splitlines()[-_LAST:])
    if done.returncode == -signal.SIGKILL:
        return EngineError(
            what,
            why=f"it was killed by signal {signal.SIGKILL:d}: most likely the system had no memory left for it",
            hint="close other programs, or build on a machine with more memory; smaller profiles need less",
        )
    end = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return EngineError(
        what,
        why=f"it ended with {end}; its last words: {last or 'none'}",
        hint="smaller profiles need less memory; `hrm-trt doctor` shows the version, another may take this graph",
    )


def _check_answer(answer: Answer, graph: Path, profile: Profile, runtime: str) -> None:
    """Turn a refusal into an error."""
    if answer.disk_fault is not None:
        raise OSError(answer.disk_fault, os.strerror(answer.disk_fault))  # told of the plan that could not be written
    library = f"{LIBRARIES[runtime].package} {answer.version}"
    if answer.refusals:
        raise EngineError(
            f"{library} cannot read {graph.name}",
            why="; ".join(map(_refused, answer.refusals)),
            hint="export the graph again; another version of the library may know the operator",
        )
    if answer.fault is not None:
        raise EngineError(
            f"{library} refuses {graph.name}",
            why=f"{answer.fault} (batches {_range(profile.batch)}, sequences {_range(profile.sequence)})",
            hint="check `profile` in the recipe against the checkpoint, and the precision against the target",
        )


def _refused(refusal: Refusal) -> str:
    return f"{refusal.operator or 'the file'} at node {refusal.node or '(none)'}: {refusal.reason}"


def _range(sizes: object) -> str:
    return " / ".join(str(getattr(sizes, end)) for end in ("min", "opt", "max"))


def _sidecar(request: Request, answer: Answer, profile: Profile, fused_attentions: int | None) -> Sidecar:
    """What was built, held against what was asked for.

    Raises:
        EngineError: it is less.
    """
    listing = parse_listing(request.words.read_text("utf-8"))
    metadata, graph = read_metadata(request.graph), read_graph(request.graph).graph
    gemms = evidence.compare(graph, listing.layers, metadata.quantised)
    evidence.check(graph, listing.layers, gemms, fused_attentions)
    cache = request.options.timing_cache
    return Sidecar(
        runtime=request.runtime,
        version=answer.version,
        target=request.target,
        module=metadata.module,
        graph=sha256_file(request.graph),
        inputs=metadata.inputs,
        outputs=metadata.outputs,
        profile=profile,
        shapes=request.shapes,
        options=request.options.model_copy(update={"timing_cache": cache and Path(cache.name)}),
        counts=evidence.count(listing.layers),
        gemms=gemms,
        layers=listing.layers,
        tensors=listing.tensors,
        weight_bytes=listing.weight_bytes,
        activation_bytes=listing.activation_bytes,
        plan_bytes=request.plan.stat().st_size,
        peak_build_bytes=answer.peak_bytes,
        seconds=answer.seconds,
        timing_cache_before=answer.timing_cache_before,
        timing_cache_after=answer.timing_cache_after,
    )
