"""The solver of a set: the orchestrator that takes puzzles, calls the engines and stops each row by its policy.

Triton's Python backend runs it from its version's directory alone, in an environment that need not have hrm-trt: the
directory holds copies of what it imports, under the same import paths, its settings, the initial carry and the puzzle
table.
"""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any

from export.contract import CARRY, PUZZLE_TABLE, TensorSpec
from hrm.config import HRMConfig
from hrm.errors import UsageError
from triton_models.config import Tensor, add_tensors, config_messages, message_text, new_message, tensor
from triton_models.manifest import REFERENCE_POLICY, ServedModel, model_name

if TYPE_CHECKING:
    from engines.bundle import BundleManifest, Profile
    from triton_models.manifest import VersionManifest

BACKEND = "python"
ENTRY = "model.py"
_ENTRY_TEXT = '''"""What Triton's Python backend looks for."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # before an hrm-trt that is installed, and the server's own directory

from triton_models.solver.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''
_COPIED = {"engines": ("__init__.py", "act.py", "slots.py", "stepper.py"), "triton_models": ("__init__.py",)}
_SOLVER = "triton_models/solver"
KNOBS = ("slots", "queue", "log_requests")
"""The parameters in the configuration that an operator may change."""
_OPTIONAL = ("puzzle_identifiers", "max_depth")
_OUTPUTS = {
    "depth": "int32",
    "halted": "bool",
    "confidence": "float32",
    "entropy": "float32",
    "q_halt": "float32",
}
"""One value for each puzzle, beside its solution."""


def solver_code() -> dict[str, bytes]:
    """The files that the solver imports, by their path in a version's directory."""
    code = {ENTRY: _ENTRY_TEXT.encode()}
    for package, files in _COPIED.items():
        home = importlib.resources.files(package)
        code |= {f"{package}/{file}": (home / file).read_bytes() for file in files}
    solver = importlib.resources.files("triton_models") / "solver"
    modules = sorted(file.name for file in solver.iterdir() if file.name.endswith(".py"))
    return code | {f"{_SOLVER}/{file}": (solver / file).read_bytes() for file in modules}


def solver_model(name: str, sequence: int, slots: int) -> ServedModel:
    """The solver of the set ``name`` as Triton serves it, without its code.

    A request may hold several puzzles of ``sequence`` cells, each of which takes a slot.
    """
    per_puzzle = tuple(TensorSpec(output, dtype, ("batch", 1)) for output, dtype in _OUTPUTS.items())
    return ServedModel(
        name=model_name(name, "solver"),
        module="solver",
        runtime=BACKEND,
        max_batch=slots,
        inputs=(
            TensorSpec("inputs", "int32", ("batch", sequence)),
            TensorSpec("puzzle_identifiers", "int32", ("batch", 1)),
            TensorSpec("max_depth", "int32", ("batch", 1)),
        ),
        outputs=(TensorSpec("solution", "int32", ("batch", sequence)), *per_puzzle),
    )


def chosen_slots(slots: int | None, profile: Profile) -> int:
    """How many puzzles run at once: as many as asked for, or the batch that the engines are fastest at.

    Raises:
        UsageError: the engines don't take such batches.
    """
    least, most = profile.batch.min, profile.batch.max
    if slots is None:
        return profile.batch.opt
    if not least <= slots <= most:
        raise UsageError(
            f"{slots} slots do not fit the engines",
            why=f"all slots go through the engines in one batch, and they were built for batches of {least} to {most}",
            hint=f"pass --slots {least} to {most}, or build with a larger profile.batch.max",
        )
    return slots


def checked_queue(queue: int) -> int:
    """How many puzzles may wait for a slot.

    Raises:
        UsageError: none could, and then a request that comes a moment before a slot is free would be refused.
    """
    if queue < 1:
        raise UsageError(
            f"the queue cannot hold {queue} puzzles",
            why="puzzles wait there for a free slot",
            hint="pass --queue 1 or more",
        )
    return queue


def graph_batches(target: str, slots: int, profile: Profile) -> tuple[int, ...]:
    """The batch sizes that get a CUDA graph, ascending: powers of two up to ``slots``, and ``slots``; none on a CPU."""
    if target == "cpu":
        return ()
    powers = {2**exponent for exponent in range(slots.bit_length())} | {slots}
    return tuple(sorted(batch for batch in powers if batch >= profile.batch.min))


def solver_settings(version: VersionManifest) -> dict[str, Any]:
    """What the solver of ``version`` reads beside its code (``triton_models/solver/settings.py``)."""
    bundle = solver_bundle(version)
    config = HRMConfig.from_dict(bundle.architecture)
    policies = _policies(version, bundle)
    encoder = version.model(model_name(version.name, "encoder"))
    taken = () if encoder is None else [spec.name for spec in encoder.inputs if spec.name != "inputs"]
    return {
        "format_version": 1,
        "name": version.name,
        "version": version.version,
        "topology": bundle.topology,
        "models": {engine.module: model_name(version.name, engine.module) for engine in bundle.engines},
        "sequence": config.seq_len,
        "tokens": config.tokens,
        "hidden_size": config.hidden_size,
        "vocab_size": config.vocab_size,
        "identifiers": config.num_puzzle_identifiers,
        "H_cycles": config.H_cycles,
        "L_cycles": config.L_cycles,
        "max_depth": config.halt_max_steps,
        "policies": policies,
        "default_policy": "adaptive" if "adaptive" in policies else REFERENCE_POLICY,
        "puzzle_input": next(iter(taken), None),
        "carry": CARRY,
        "puzzle_table": bundle.puzzle_table and PUZZLE_TABLE,
        "graph_batches": list(graph_batches(bundle.target, version.slots, bundle.profile)),
    }


def solver_bundle(version: VersionManifest) -> BundleManifest:
    """The bundle whose engines the solver calls: that of the segment engine, where there is one."""
    return next((bundle for bundle in version.bundles if bundle.topology == "segment"), version.bundles[0])


def solver_tensors(model: ServedModel) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The solver's inputs and outputs as its configuration words them."""
    inputs = (tensor(spec, optional=spec.name in _OPTIONAL) for spec in model.inputs)
    return tuple(inputs), tuple(map(tensor, model.outputs))


def solver_config(version: VersionManifest, model: ServedModel) -> str:
    """The text of ``config.pbtxt`` that makes ``version`` the one that is served.

    There is no warm-up: it would call engines that a server which starts may not have loaded yet, and a warm-up that is
    answered with an error ends the server (Triton 2.51). Nor does anything wait in Triton's batcher: with a queue
    policy or priorities it sleeps up to half a second while requests come (2.51), so the solver has its own line.

    Raises:
        MissingError: tritonclient is not installed.
    """
    pb = config_messages()
    config = new_message(model.name, model.max_batch, [version.version])
    config.backend = BACKEND
    inputs, outputs = solver_tensors(model)
    add_tensors(config.input, inputs)
    add_tensors(config.output, outputs)
    if solver_bundle(version).target == "cpu":
        config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    config.dynamic_batching.SetInParent()
    for name, value in zip(KNOBS, (str(version.slots), str(version.queue), "false"), strict=True):
        config.parameters[name].string_value = value
    return message_text(config)


def _policies(version: VersionManifest, bundle: BundleManifest) -> dict[str, float | None]:
    """The policies on offer and their thresholds; ungated engines answer under ``fixed`` as well."""
    thresholds: dict[str, float | None] = {gate.policy: gate.threshold for gate in bundle.gates}
    offered = dict.fromkeys((REFERENCE_POLICY, *version.policies))
    return {policy: thresholds.get(policy) if policy == "confidence" else None for policy in offered}
