"""What preflight asks of every model, engine or solver: its configuration's fields, its directories, its files.

Parsing a configuration finds unknown fields and bad types. It misses what is checked here: numbers that make no sense,
names, directories and files, and tensors that the model doesn't have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triton_models.config import CONFIG, DYNAMIC, tensor_of
from triton_models.repository import SCRATCH, damaged, is_version_name, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from triton_models.config import Tensor
    from triton_models.manifest import VersionManifest

Finding = tuple[str, str]
"""What is wrong, and what to do about it."""
PUBLISH = "publish the bundle again: `hrm-trt publish` writes complete models"
EDIT = f"correct {CONFIG}, or publish the bundle again"


def config_findings(config: Any, name: str) -> Iterator[Finding]:
    """What no configuration of ours may say."""
    if config.name != name:
        yield f"the configuration names the model {config.name!r}; its directory is {name!r}", EDIT
    if config.max_batch_size < 1:
        yield f"max_batch_size is {config.max_batch_size}; the engines take batches, so it must be at least 1", EDIT
    for kind, messages in (("input", config.input), ("output", config.output)):
        if not messages:
            yield f"there is no {kind}", EDIT
        for each in map(tensor_of, messages):
            if each.data_type == "TYPE_INVALID":
                yield f"{kind} {each.name!r} has no data_type", EDIT
            if not each.dims or any(size < 1 and size != DYNAMIC for size in each.dims):
                yield f"{kind} {each.name!r} has dims {list(each.dims)}; sizes are positive, or -1 for any", EDIT


def directory_findings(config: Any, directory: Path) -> Iterator[Finding]:
    """What is missing among the version directories, or is none."""
    for path in sorted(directory.iterdir()):
        if path.is_dir() and path.name != SCRATCH and not is_version_name(path.name):
            yield f"the directory {path.name!r} is not named by a version number", f"remove {path}"
    present, served = dict(numbered(directory)), set(config.version_policy.specific.versions)
    if not served:
        yield "version_policy names no version to serve", EDIT
    for number in sorted(served - set(present)):
        yield f"version {number} is to be served and has no directory", PUBLISH


def manifest_findings(directory: Path, manifest: VersionManifest) -> Iterator[Finding]:
    """What differs between a version directory and its manifest: the number, and the files that lie here."""
    if str(manifest.version) != directory.name:
        yield f"its manifest is version {manifest.version}'s", PUBLISH
    place = f"{directory.parent.name}/{manifest.version}/"
    # A renamed directory is looked into under its own name.
    ours = {file.file.removeprefix(place): file for file in manifest.files if file.file.startswith(place)}
    here = (file.model_copy(update={"file": name}) for name, file in ours.items())
    for _, what in damaged(directory, here):
        yield what, PUBLISH


def tensor_findings(owner: str, kind: str, messages: Iterable[Any], wanted: Iterable[Tensor]) -> Iterator[Finding]:
    """How the inputs or outputs of a configuration differ from those that its ``owner`` has."""
    configured = {each.name: each for each in map(tensor_of, messages)}
    for each in wanted:
        found = configured.pop(each.name, None)
        if found is None:
            yield f"the {owner}'s {kind} {each.name!r} is not in the configuration", EDIT
        elif found != each:
            yield f"{kind} {each.name!r} is {found}; the {owner}'s is {each}", EDIT
    for name in configured:
        yield f"{kind} {name!r} is not one of the {owner}'s", EDIT
