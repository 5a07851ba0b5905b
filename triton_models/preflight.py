"""What would keep a server from loading our models, found without a server.

Parsing a configuration finds unknown fields and bad types. It misses what is checked here: numbers that make no sense,
names, directories and files, and tensors that the engines don't have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrm.errors import BundleError, EngineError, RepositoryError
from hrm.files import sha256_file
from triton_models.config import CONFIG, DYNAMIC, PLATFORMS, parse_config, tensor, tensor_of
from triton_models.repository import SCRATCH, VersionManifest, is_version_name, numbered, read_marker, read_version
from triton_models.specs import engine_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from export.contract import TensorSpec

_PUBLISH = "publish the bundle again: `hrm-trt publish` writes complete models"
_EDIT = f"correct {CONFIG}, or publish the bundle again"


@dataclass(frozen=True)
class Problem:
    """Something that keeps a model from being loaded or from answering rightly."""

    model: str
    what: str
    hint: str


def preflight(repository: Path) -> tuple[Problem, ...]:
    """Check every model that hrm-trt wrote to ``repository``; others are left alone.

    Raises:
        RepositoryError: not a repository of ours.
        MissingError: onnx or tritonclient is not installed.
    """
    models = sorted(model for models in read_marker(repository).sets.values() for model in models)
    return tuple(problem for model in models for problem in check_model(repository / model))


def check_model(directory: Path) -> tuple[Problem, ...]:
    """Check one model directory: its configuration, its versions, and the one against the others.

    Raises:
        MissingError: onnx or tritonclient is not installed.
    """
    try:
        config = parse_config((directory / CONFIG).read_text())
    except OSError as error:
        return (Problem(directory.name, f"{CONFIG} cannot be read: {error.strerror}", _PUBLISH),)
    except ValueError as error:
        return (Problem(directory.name, f"{CONFIG} is not a configuration: {error}", _EDIT),)
    findings = (*_config_findings(config, directory.name), *_version_findings(config, directory))
    return tuple(Problem(directory.name, what, hint) for what, hint in findings)


def _config_findings(config: Any, name: str) -> Iterator[tuple[str, str]]:
    if config.name != name:
        yield f"the configuration names the model {config.name!r}; its directory is {name!r}", _EDIT
    if config.platform not in {known.platform for known in PLATFORMS.values()}:
        yield f"platform {config.platform!r} is none that hrm-trt publishes for", _EDIT
    if not config.default_model_filename:
        yield "default_model_filename is missing", _EDIT
    if config.max_batch_size < 1:
        yield f"max_batch_size is {config.max_batch_size}; the engines take batches, so it must be at least 1", _EDIT
    for kind, messages in (("input", config.input), ("output", config.output)):
        if not messages:
            yield f"there is no {kind}", _EDIT
        for each in map(tensor_of, messages):
            if each.data_type == "TYPE_INVALID":
                yield f"{kind} {each.name!r} has no data_type", _EDIT
            if not each.dims or any(size < 1 and size != DYNAMIC for size in each.dims):
                yield f"{kind} {each.name!r} has dims {list(each.dims)}; sizes are positive, or -1 for any", _EDIT


def _version_findings(config: Any, directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.iterdir()):
        if path.is_dir() and path.name != SCRATCH and not is_version_name(path.name):
            yield f"the directory {path.name!r} is not named by a version number", f"remove {path}"
    present = dict(numbered(directory))
    served = list(config.version_policy.specific.versions)
    if not served:
        yield "version_policy names no version to serve", _EDIT
    for number in sorted(set(served) - set(present)):
        yield f"version {number} is to be served and has no directory", _PUBLISH
    for number in sorted(present) if config.default_model_filename else ():
        for what, hint in _engine_findings(config, present[number]):
            yield f"version {number}: {what}", hint


def _engine_findings(config: Any, directory: Path) -> Iterator[tuple[str, str]]:
    engine = directory / config.default_model_filename
    if not engine.is_file():
        yield f"there is no {engine.name}", _PUBLISH
        return
    try:
        manifest, specs = read_version(directory), engine_specs(engine)
    except (RepositoryError, BundleError, EngineError) as error:
        yield f"{error.what} ({error.why})", _PUBLISH
        return
    yield from _manifest_findings(config, directory, manifest, engine)
    yield from _tensor_findings("input", config.input, specs.inputs)
    yield from _tensor_findings("output", config.output, specs.outputs)


def _manifest_findings(
    config: Any, directory: Path, manifest: VersionManifest, engine: Path
) -> Iterator[tuple[str, str]]:
    if str(manifest.version) != directory.name:
        yield f"its manifest is version {manifest.version}'s", _PUBLISH
    place = f"{directory.parent.name}/{manifest.version}/"
    stored = {file.file: file.sha256 for bundle in manifest.bundles for file in bundle.files}
    for file, digest in stored.items():
        path = directory / file.removeprefix(place)
        if file.startswith(place) and not path.is_file():
            yield f"there is no {path.name}", _PUBLISH
        elif file.startswith(place) and sha256_file(path) != digest:
            yield f"{path.name} is not the file that was published", _PUBLISH
    if place + engine.name not in stored:
        yield f"{engine.name} is not in its manifest", _PUBLISH
    limit = min(bundle.profile.batch.max for bundle in manifest.bundles)
    if config.max_batch_size > limit:
        yield f"max_batch_size is {config.max_batch_size}; the engine was built for {limit}", _EDIT


def _tensor_findings(kind: str, messages: Sequence[Any], specs: Sequence[TensorSpec]) -> Iterator[tuple[str, str]]:
    configured = {each.name: each for each in map(tensor_of, messages)}
    for spec in specs:
        if not spec.shape or isinstance(spec.shape[0], int):
            yield f"the engine's {kind} {spec.name!r} has no free batch axis: {list(spec.shape)}", _PUBLISH
        wanted, found = tensor(spec), configured.pop(spec.name, None)
        if found is None:
            yield f"the engine's {kind} {spec.name!r} is not in the configuration", _EDIT
        elif found != wanted:
            yield f"{kind} {spec.name!r} is {found}; the engine's is {wanted}", _EDIT
    for name in configured:
        yield f"{kind} {name!r} is not one of the engine's", _EDIT
