"""Which bundles may be published together, and whether they may be at all."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from engines.bundle import MODULES, BundleManifest, read_manifest, verify_files
from engines.targets import TARGETS
from hrm.errors import BundleError, GateError
from triton_models.config import PLATFORMS, unservable
from triton_models.manifest import REFERENCE_POLICY
from triton_models.ownership import check_name
from triton_models.release import Release, Source
from triton_models.solver_model import checked_queue, chosen_slots, solver_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def plan(
    bundles: Sequence[Path],
    name: str,
    *,
    slots: int | None,
    queue: int,
    allow_ungated: bool,
    allow_emulated: bool,
) -> Release:
    """Read the bundles and decide whether they may be published.

    Raises:
        BundleError: not a bundle, changed since it was built, not like the others, or nothing that Triton can run.
        GateError: a bundle has no passing verdict under ``fixed`` for its bytes, and ``allow_ungated`` is False; or
            none on its own target, and ``allow_emulated`` is False.
        RepositoryError: no model can have this name.
        UsageError: the engines don't take batches of ``slots``, or nothing could wait in the queue.
    """
    check_name(name)
    sources = tuple(sorted((Source(path, read_manifest(path)) for path in bundles), key=_order))
    for source in sources:
        verify_files(source.directory, source.manifest)
        _check_servable(source.manifest)
    _check_alike([source.manifest for source in sources])
    ungated = [source for source in sources if REFERENCE_POLICY not in source.manifest.passed()]
    if ungated and not allow_ungated:
        raise _refusal(ungated[0].manifest)
    for source in sources if not (allow_emulated or allow_ungated) else ():
        if REFERENCE_POLICY not in source.manifest.passed(emulated=False):
            raise _only_emulated(source.manifest)
    return Release(
        name=name,
        sources=sources,
        gated=not ungated,
        slots=chosen_slots(slots, sources[0].manifest.profile),
        queue=checked_queue(queue),
        code=solver_code(),
    )


def _order(source: Source) -> tuple[int, int]:
    manifest = source.manifest
    targets = list(TARGETS)
    place = targets.index(manifest.target) if manifest.target in targets else len(targets)
    return place, list(MODULES).index(manifest.topology)


def _check_servable(manifest: BundleManifest) -> None:
    reason = unservable(manifest.runtime)
    if reason is not None:
        raise BundleError(
            f"Triton cannot serve the bundle {manifest.name}",
            why=reason,
            hint=f"build it for a runtime that Triton has ({', '.join(PLATFORMS)}), with `hrm-trt pack` on the machine "
            "with the GPU, and publish that",
        )


def _check_alike(bundles: Sequence[BundleManifest]) -> None:
    """One set has one carry, one encoder for each target, each topology once there, and the same ones everywhere."""
    for one, other in combinations(bundles, 2):
        if _common(one) != _common(other) or not _together(one, other):
            raise _stranger(one, other)
    topologies = [[each.topology for each in bundles if each.target == one.target] for one in bundles]
    for one, other, ours, theirs in zip(bundles, bundles[1:], topologies, topologies[1:], strict=False):
        if ours != theirs:
            raise _stranger(one, other)


def _together(one: BundleManifest, other: BundleManifest) -> bool:
    if one.target != other.target:
        return True
    return one.topology != other.topology and one.engine("encoder").sha256 == other.engine("encoder").sha256


def _common(manifest: BundleManifest) -> tuple[object, ...]:
    table = manifest.puzzle_table and manifest.puzzle_table.sha256
    checkpoint: Any = manifest.origin.get("checkpoint")
    digest = checkpoint.get("sha256") if isinstance(checkpoint, dict) else checkpoint
    kind = (manifest.precision, manifest.runtime, manifest.profile, manifest.architecture)
    return digest, manifest.carry.sha256, table, *kind


def _stranger(one: BundleManifest, other: BundleManifest) -> BundleError:
    return BundleError(
        f"the bundles {one.name} and {other.name} cannot be published under one name",
        why="they must share checkpoint, carry, precision, runtime and profile, and those of one target the encoder; "
        "each target needs the same topologies, each of them once",
        hint="publish them one by one, each under its own --name",
    )


def _only_emulated(manifest: BundleManifest) -> GateError:
    return GateError(
        f"the bundle {manifest.name} may not be published",
        why=f"it passed on a CPU that emulated {manifest.target}, and its engines have not run on one",
        hint="gate it there (`hrm-trt pack`), or pass --allow-emulated; the manifest says which evidence there is",
    )


def _refusal(manifest: BundleManifest) -> GateError:
    verdicts = [f"{gate.verdict} ({gate.reason})" for gate in manifest.gates if gate.policy == REFERENCE_POLICY]
    return GateError(
        f"the bundle {manifest.name} may not be published",
        why=f"no passing verdict under `{REFERENCE_POLICY}` for these bytes; found: {', '.join(verdicts) or 'none'}",
        hint="`hrm-trt build` gates it; --allow-ungated publishes it all the same and stamps the version",
    )
