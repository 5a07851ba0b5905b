"""Find out what a path or a name stands for, and what there is to say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.bundle import MANIFEST, BundleManifest, GateRecord
from hrm.files import is_file, sha256_file
from hrm_trt.pipeline.models import find_model

if TYPE_CHECKING:
    from export.contract import TensorSpec
    from hrm_trt.pipeline.workdir import Workdir

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What something is, as names and values, tables and verdicts."""

    kind: str
    facts: Row
    tables: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    gates: tuple[GateRecord, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as one document."""
        tables = {title: [dict(row) for row in rows] for title, rows in self.tables.items()}
        gates = [gate.model_dump(mode="json") for gate in self.gates]
        return {**self.facts, **tables, **({"gates": gates} if gates else {})}


def inspect(what: str, workdir: Workdir) -> Finding:
    """Say what ``what`` is: a path, ``hf://…``, or the name of a bundle in the work directory.

    Raises:
        UsageError: it is nothing that hrm-trt knows, or is damaged.
    """
    from triton_models.config import CONFIG
    from triton_models.repository import MARKER, is_published

    path = Path(what)
    if path.suffix == ".onnx":
        return _graph(path)
    if path.suffix == ".plan":
        return _plan(path)
    if is_file(path / MARKER):
        return _repository(path)
    if is_published(path) or any(is_file(place / MANIFEST) for place in (path, workdir.bundle(what))):
        model = find_model(what, workdir)
        return _bundle(model.root, model.manifest)
    if is_file(path.parent / MARKER) and is_file(path / CONFIG):
        return _served(path)
    return _checkpoint(what)


def _graph(path: Path) -> Finding:
    from export.metadata import read_metadata
    from triton_models.specs import engine_specs

    specs, metadata = engine_specs(path), read_metadata(path)
    facts = {
        "module": metadata.module,
        "variant": metadata.variant,
        "attention": metadata.attention,
        "checkpoint": metadata.source_digest,
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
    }
    tensors = [("input", spec) for spec in specs.inputs] + [("output", spec) for spec in specs.outputs]
    return Finding("graph", facts, {"tensors": _tensors(tensors), "operators": _operators(path)})


def _plan(path: Path) -> Finding:
    """A TensorRT engine, by what its builder said of it: every product with a weight, as asked for and as built."""
    from engines.tensorrt.sidecar import read_sidecar

    sidecar = read_sidecar(path)
    counts = sidecar.counts
    facts = {
        "module": sidecar.module,
        "target": sidecar.target,
        "built by": f"{sidecar.runtime} {sidecar.version}, in {sidecar.seconds:.1f} s",
        "products": f"{counts.fp4_gemms} FP4×FP4, {counts.fp8_gemms} FP8×FP8, {counts.fp16_gemms} FP16",
        "fused attentions": counts.fused_attentions,
        "batch": f"{sidecar.profile.batch.min} to {sidecar.profile.batch.max}",
        "sequence": sidecar.profile.sequence.max,
        "plan bytes": sidecar.plan_bytes,
        "weight bytes": sidecar.weight_bytes,
        "activation bytes": sidecar.activation_bytes,
        "graph": sidecar.graph,
        "sha256": sha256_file(path),
    }
    products = tuple(
        {"node": gemm.node, "layer": gemm.site, "asked": gemm.asked, "got": gemm.got} for gemm in sidecar.gemms
    )
    tensors = [("input", spec) for spec in sidecar.inputs] + [("output", spec) for spec in sidecar.outputs]
    return Finding("engine", facts, {"products with weights": products, "tensors": _tensors(tensors)})


def _tensors(tensors: list[tuple[str, TensorSpec]]) -> tuple[Row, ...]:
    return tuple({"": kind, "name": spec.name, "type": spec.dtype, "shape": list(spec.shape)} for kind, spec in tensors)


def _operators(path: Path) -> tuple[Row, ...]:
    from export.metadata import read_graph

    counts = Counter(node.op_type for node in read_graph(path).graph.node)
    return tuple({"operator": name, "count": count} for name, count in counts.most_common())


def _bundle(root: Path, manifest: BundleManifest) -> Finding:
    facts = {
        "name": manifest.name,
        "topology": manifest.topology,
        "target": manifest.target,
        "precision": manifest.precision,
        "runtime": manifest.runtime,
        "policies": ", ".join(manifest.passed()) or "none passed its gate",
        "batch": f"{manifest.profile.batch.min} to {manifest.profile.batch.max}",
        "sequence": manifest.profile.sequence.max,
        "checkpoint": manifest.origin["checkpoint"]["name"],
        "attention": manifest.origin["checkpoint"]["attention"],
        "versions": ", ".join(f"{name} {version}" for name, version in manifest.origin["versions"].items()),
        "directory": str(root.resolve()),
    }
    engines = tuple(
        {"module": one.module, "precision": one.precision, "file": one.file, "bytes": one.bytes, "sha256": one.sha256}
        for one in manifest.engines
    )
    return Finding("bundle", facts, {"engines": engines}, manifest.gates)


def _served(path: Path) -> Finding:
    """One model of a repository, as Triton serves it."""
    from triton_models.repository import numbered, read_version

    manifests = [read_version(directory) for _, directory in sorted(numbered(path))]
    newest = manifests[-1]
    model = next(one for one in newest.models if one.name == path.name)
    facts = {
        "set": newest.name,
        "module": model.module,
        "runtime": model.runtime,
        "largest batch": model.max_batch,
        "versions": ", ".join(str(manifest.version) for manifest in manifests),
        "gated": newest.gated,
        "policies": ", ".join(newest.policies),
    }
    tensors = [("input", spec) for spec in model.inputs] + [("output", spec) for spec in model.outputs]
    return Finding("published model", facts, {"tensors": _tensors(tensors)}, newest.bundles[0].gates)


def _repository(path: Path) -> Finding:
    from triton_models.repository import list_published

    rows = tuple(
        {
            "name": version.name,
            "version": version.version,
            "gated": version.gated,
            "policies": ", ".join(version.policies),
            "models": ", ".join(model.name for model in version.models),
            "published": version.published.isoformat(timespec="seconds"),
        }
        for version in list_published(path)
    )
    return Finding("repository", {"directory": str(path.resolve())}, {"versions": rows})


def _checkpoint(what: str) -> Finding:
    from hrm.checkpoint import locate

    located = locate(what)
    from hrm.checkpoint.loading import load

    loaded = load(located)
    facts = {
        "weights": str(located.weights.resolve()),
        "revision": located.revision,
        "sha256": located.digest(),
        "parameters": sum(tensor.numel() for tensor in loaded.tensors.values()),
        **loaded.config.to_dict(),
    }
    rows = tuple(
        {"tensor": name, "type": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
        for name, tensor in loaded.tensors.items()
    )
    return Finding("checkpoint", facts, {"tensors": rows})
