"""What `--model` names: a built bundle, or one in a Triton model repository, opened to be run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.bundle import MANIFEST, BundleManifest, read_manifest
from hrm.config import HRMConfig
from hrm.errors import BundleError
from hrm_trt.pipeline import demo

if TYPE_CHECKING:
    from engines.onnx_runtime import RuntimeOptions
    from engines.stepper import EngineStepper
    from hrm_trt.pipeline.workdir import Workdir


@dataclass(frozen=True)
class Model:
    """A bundle, and the directory that its files are relative to."""

    name: str
    """As `--model` takes it."""
    root: Path
    manifest: BundleManifest

    @property
    def config(self) -> HRMConfig:
        """The architecture."""
        return HRMConfig.from_dict(self.manifest.architecture)

    def dataset(self, given: Path | None) -> Path:
        """The data set to use: ``given``, or the one that the bundle was gated on.

        Raises:
            BundleError: the bundle names none, or it is not on this machine.
        """
        if given is not None:
            return given
        known = self.manifest.origin.get("dataset", {}).get("path")
        if known is None or not Path(known).is_dir():
            raise BundleError(
                f"the puzzles of {self.name} are not here",
                why=f"it was gated on {known}" if known else "it was never gated, so it names no data set",
                hint="pass --dataset DIR",
            )
        return Path(known)

    def open(self, options: RuntimeOptions) -> EngineStepper:
        """The engines, loaded.

        Raises:
            EngineError: the runtime refuses an engine.
        """
        from engines.stepper import load_engines

        return load_engines(self.root, self.manifest, options)


def find_model(given: str | None, workdir: Workdir) -> Model:
    """The bundle that ``given`` names; the demo's for None.

    Args:
        given: a bundle's directory, its name in the work directory, or REPOSITORY/NAME.
        workdir: where names are looked up.

    Raises:
        BundleError: there is none.
        RepositoryError: the repository has no such model.
    """
    name = demo.BUNDLE if given is None else given
    for directory in (Path(name), workdir.bundle(name)):
        if (directory / MANIFEST).is_file():
            return Model(name, directory, read_manifest(directory))
    if given is not None and Path(given).parent.is_dir():
        from triton_models.repository import is_published, open_published

        if is_published(Path(given)):
            return Model(given, *open_published(Path(given)))
    known = ", ".join(workdir.bundles()) or "none yet"
    raise BundleError(
        f"no bundle called {name}",
        why=f"there is no such directory, and the work directory {workdir.root} has: {known}",
        hint="`hrm-trt build` makes the demo's; pass --workdir if yours lies elsewhere",
    )
