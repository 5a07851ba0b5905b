"""What `--model` names: a built bundle, or one in a Triton model repository, opened to be run in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.act import Policy
from engines.bundle import MANIFEST, BundleManifest, read_manifest, verify_files
from hrm.config import HRMConfig
from hrm.errors import BundleError, UsageError
from hrm.files import is_file
from hrm_trt.pipeline import demo

if TYPE_CHECKING:
    from engines.act import PolicyName
    from engines.onnx_session import RuntimeOptions
    from engines.stepper import EngineStepper
    from engines.torch_runtime import DeviceName
    from hrm_trt.pipeline.workdir import Workdir


@dataclass(frozen=True)
class Model:
    """A bundle, and the directory that its files are relative to."""

    name: str
    """As `--model` takes it."""
    root: Path
    manifest: BundleManifest
    workdir: Workdir
    published: bool

    @property
    def config(self) -> HRMConfig:
        """The architecture."""
        return HRMConfig.from_dict(self.manifest.architecture)

    @property
    def split(self) -> str:
        """The split that the bundle was gated on."""
        return str(self.manifest.origin.get("dataset", {}).get("split", "test"))

    def policy(self, name: PolicyName, threshold: float | None = None) -> Policy:
        """A policy with the threshold that it was gated with, unless another is given.

        Raises:
            UsageError: the model is published, and does not offer this policy.
        """
        offered = self.manifest.passed()
        if self.published and name not in offered:
            raise UsageError(
                f"{self.name} does not offer the policy {name}",
                why=f"it was published with: {', '.join(offered) or 'none'}",
                hint="leave --policy out, or gate this one with `hrm-trt build --policy`",
            )
        gated = next((gate.threshold for gate in self.manifest.gates if gate.policy == name), None)
        chosen = next((value for value in (threshold, gated) if value is not None), None)
        depth = self.config.halt_max_steps
        return Policy.of(name, depth, chosen)

    def default_policy(self) -> PolicyName:
        """`adaptive` where it passed its gate, else `fixed`."""
        return "adaptive" if "adaptive" in self.manifest.passed() else "fixed"

    def dataset(self, given: Path | None) -> Path:
        """The data set to use: ``given``, or the one that the bundle was gated on in this work directory.

        Raises:
            BundleError: the bundle was never gated, or its puzzles are not here.
        """
        if given is not None:
            return given
        digest = self.manifest.origin.get("dataset", {}).get("sha256")
        known = None if digest is None else self.workdir.dataset(digest)
        if known is None or not known.is_dir():
            raise BundleError(
                f"the puzzles of {self.name} are not known here",
                why="it was never gated"
                if digest is None
                else f"it was gated on the data set {digest[:12]}… elsewhere",
                hint="pass --dataset DIR",
            )
        return known.resolve()

    def open(self, options: RuntimeOptions, resident: DeviceName | None = None) -> EngineStepper:
        """The engines, checked against their digests and loaded.

        Args:
            options: what they may use of the machine.
            resident: where ONNX engines compute and their carry stays, in tensors; None for where they were built to,
                with numpy arrays.

        Raises:
            BundleError: a file is missing or is not the one that was built.
            EngineError: the runtime refuses an engine.
            MissingError: this machine lacks the runtime, or the GPU that the engines are for.
        """
        from engines.loading import load_engines, load_resident

        verify_files(self.root, self.manifest)
        if resident is None:
            return load_engines(self.root, self.manifest, options)
        return load_resident(self.root, self.manifest, options, resident)


def find_model(given: str | None, workdir: Workdir) -> Model:
    """The bundle that ``given`` names; the demo's for None.

    Args:
        given: a bundle's directory, its name in the work directory, or REPOSITORY/NAME.
        workdir: where names are looked up.

    Raises:
        BundleError: there is none.
        RepositoryError: the repository has no such model.
    """
    from triton_models.repository import is_published, open_published

    name = demo.BUNDLE if given is None else given
    for directory in (Path(name), workdir.bundle(name)):
        if is_file(directory / MANIFEST):
            return Model(name, directory, read_manifest(directory), workdir, published=False)
    if is_published(Path(name)):
        return Model(name, *open_published(Path(name)), workdir, published=True)
    known = ", ".join(workdir.bundles()) or "none yet"
    raise BundleError(
        f"no bundle called {name}",
        why=f"there is no such directory, and the work directory {workdir.root} has: {known}",
        hint="`hrm-trt build` makes the demo's; pass --workdir if yours lies elsewhere",
    )
