"""What would keep a server from loading one engine's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrm.errors import BundleError, EngineError, RepositoryError
from triton_models.checks.common import EDIT, PUBLISH, Finding, manifest_findings, tensor_findings
from triton_models.config import PLATFORMS, tensor
from triton_models.repository import numbered, read_version
from triton_models.serving import describe
from triton_models.specs import engine_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from export.contract import TensorSpec
    from triton_models.manifest import VersionManifest


def engine_findings(config: Any, directory: Path) -> Iterator[Finding]:
    """What is wrong with the model in ``directory``, beside what is asked of every model.

    Raises:
        MissingError: onnx is not installed.
    """
    if config.platform not in {known.platform for known in PLATFORMS.values()}:
        yield f"platform {config.platform!r} is none that hrm-trt publishes for", EDIT
    if not config.default_model_filename:
        yield "default_model_filename is missing", EDIT
        return
    for number, path in sorted(numbered(directory)):
        for what, hint in _version_findings(config, path):
            yield f"version {number}: {what}", hint


def _version_findings(config: Any, directory: Path) -> Iterator[Finding]:
    files = sorted({config.default_model_filename, *config.cc_model_filenames.values()})
    missing = [file for file in files if not (directory / file).is_file()]
    if missing:
        yield f"there is no {', '.join(missing)}", PUBLISH
        return
    try:
        manifest = read_version(directory)
        signatures = [engine_specs(directory / file) for file in files]
    except (RepositoryError, BundleError, EngineError) as error:
        yield f"{error.what} ({error.why})", PUBLISH
        return
    yield from manifest_findings(directory, manifest)
    yield from _limit_findings(config, directory, manifest, files)
    for inputs, outputs in dict.fromkeys(signatures):
        yield from _axis_findings("input", inputs)
        yield from _axis_findings("output", outputs)
        yield from tensor_findings("engine", "input", config.input, map(tensor, inputs))
        yield from tensor_findings("engine", "output", config.output, map(tensor, outputs))


def _limit_findings(config: Any, directory: Path, manifest: VersionManifest, files: Sequence[str]) -> Iterator[Finding]:
    name = directory.parent.name
    stored = {file.file for file in manifest.files}
    for file in files:
        if f"{name}/{manifest.version}/{file}" not in stored:
            yield f"{file} is not in its manifest", PUBLISH
    if manifest.model(name) is not None:
        wanted, found = dict(describe(name, [manifest]).filenames), dict(config.cc_model_filenames)
        if wanted != found:
            yield f"cc_model_filenames is {found}; its engines are {wanted}", EDIT
    limit = min(bundle.profile.batch.max for bundle in manifest.bundles)
    if config.max_batch_size > limit:
        yield f"max_batch_size is {config.max_batch_size}; the engine was built for {limit}", EDIT


def _axis_findings(kind: str, specs: Sequence[TensorSpec]) -> Iterator[Finding]:
    for spec in specs:
        if not spec.shape or isinstance(spec.shape[0], int):
            yield f"the engine's {kind} {spec.name!r} has no free batch axis: {list(spec.shape)}", PUBLISH
