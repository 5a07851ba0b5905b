"""Checkpoints and data sets on the Hugging Face Hub: downloaded once, checked against the digests that it keeps."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Literal

from hrm.errors import CheckpointError, DatasetError, missing_package
from hrm.files import sha256_file

_SCHEME = "hf://"
Kind = Literal["model", "dataset"]
_ERRORS: dict[Kind, type[CheckpointError | DatasetError]] = {"model": CheckpointError, "dataset": DatasetError}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_address(given: str | Path) -> bool:
    """Whether ``given`` is an ``hf://`` address."""
    return str(given).startswith(_SCHEME)


def repository(address: str) -> str:
    """The repository in ``hf://<repository>[@<revision>]``."""
    return address.removeprefix(_SCHEME).partition("@")[0]


def download(address: str, patterns: tuple[str, ...], kind: Kind = "model") -> tuple[Path, str]:
    """Bring the files of a repository that match ``patterns`` into the Hub's cache; ``main`` without a revision.

    With ``HF_HUB_OFFLINE=1``, or without a connection, the cache alone answers.

    Returns:
        The snapshot's directory and the commit it holds.

    Raises:
        CheckpointError: (of a data set, DatasetError) no such repository or revision, not reachable and not cached, or
            changed on the way.
        MissingError: huggingface_hub is not installed.
    """
    revision = address.partition("@")[2] or "main"
    snapshot = _fetch(address, revision, patterns, kind)
    if not snapshot.is_dir():
        raise _ERRORS[kind](
            f"nothing to use at {address}",
            why=f"the repository has none of {', '.join(patterns)}",
            hint="check the address against the repository's page on the Hub",
        )
    for path in snapshot.iterdir():
        _verify(path.resolve(), f"{address}: {path.name}", kind)
    return snapshot, snapshot.name


def _fetch(address: str, revision: str, patterns: tuple[str, ...], kind: Kind) -> Path:
    repo = repository(address)
    try:
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise missing_package("huggingface_hub", "hub", f"reading {address}") from error
    if not sys.stderr.isatty():
        disable_progress_bars()
    # A connection that breaks is an error of httpx or of httpx2: the Hub's client decides which one it uses.
    failures = (OSError, errors.HFValidationError, vars(errors)["HTTPError"])
    try:
        return Path(snapshot_download(repo, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
    except failures as error:
        why, hint = _explain(error, repo, revision)
        raise _ERRORS[kind](f"cannot get {address}", why=why, hint=hint) from error


def _explain(error: Exception, repo: str, revision: str) -> tuple[str, str]:
    """Why the Hub's client failed, and what to do next."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return (
            f"{repo!r} cannot be a repository's name",
            "write hf://<owner>/<repository>, and @<revision> if it is not main",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{repo} has no revision {revision}",
            "leave out @… for main, or pass a branch, a tag or a full commit hash",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {repo} that you may read",
            "check the spelling; for a private or gated repository run `hf auth login` first",
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            f"the Hub is not reachable from here, and revision {revision} is not in its cache",
            "connect (unset HF_HUB_OFFLINE) and run the same command once: afterwards it works offline",
        )
    return str(error).partition("\n")[0], "run the same command again: files that are whole are not fetched twice"


def _verify(blob: Path, what: str, kind: Kind) -> None:
    """The cache names large files by the SHA-256 that the Hub gave for them."""
    if not _SHA256.fullmatch(blob.name):
        return
    found = sha256_file(blob)
    if found != blob.name:
        raise _ERRORS[kind](
            f"{what} is not the file that the Hub promised",
            why=f"its SHA-256 should be {blob.name[:12]}… and is {found[:12]}…",
            hint=f"rm {shlex.quote(str(blob))} and run the same command again",
        )
