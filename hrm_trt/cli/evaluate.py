"""`hrm-trt evaluate`: the official metrics of a checkpoint in PyTorch, or of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from engines.act import Policy, PolicyName
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm.data.dataset import check_fits, read_split
from hrm.data.puzzles import read_inputs
from hrm.errors import UsageError
from hrm_trt.cli.choices import choice
from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.progress import puzzle_bar
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from engines.act import Array, Stepper
    from engines.solving import Answers
    from hrm.config import HRMConfig
    from hrm_trt.pipeline.models import Model
    from validation.observers import OutputRecorder

DType = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line says."""

    checkpoint: str | None
    model: str | None
    dataset: Path | None
    split: str
    inputs: Path | None
    policy: str
    threshold: float | None
    limit: int | None
    dtype: str
    batch: int
    threads: int
    save_outputs: Path | None
    workdir: Path | None


@dataclass(frozen=True)
class Subject:
    """What is evaluated, ready to run."""

    name: str
    stepper: Stepper
    config: HRMConfig
    dataset: Path | None
    model: Model | None = None
    """The bundle, where it is one."""


def evaluate_command(options: EvaluateOptions, *, json: bool) -> None:
    """Evaluate and print."""
    policy_name: PolicyName = choice("--policy", options.policy, get_args(PolicyName))
    choice("--dtype", options.dtype, get_args(DType))
    subject = _checkpoint(options) if options.checkpoint is not None else _bundle(options)
    policy = _policy(options, policy_name, subject)
    if options.inputs is not None:
        measured = _unlabelled(options, options.inputs, subject, policy)
    else:
        measured = _labelled(options, subject, policy)
    document = {"format_version": 1, "model": subject.name, "policy": policy.name, **measured}
    if json:
        print_json(document)
    else:
        for key, value in list(document.items())[1:]:
            results.print(f"{key:<18} {value}", highlight=False)


def _policy(options: EvaluateOptions, name: PolicyName, subject: Subject) -> Policy:
    if subject.model is not None:
        return subject.model.policy(name, options.threshold)
    depth = subject.config.halt_max_steps
    return Policy.of(name, depth, options.threshold)


def _checkpoint(options: EvaluateOptions) -> Subject:
    if options.model is not None:
        raise UsageError(
            "two things to evaluate", why="both --checkpoint and --model are given", hint="leave one of them out"
        )
    from hrm.checkpoint import locate

    located = locate(str(options.checkpoint))
    import torch

    from engines.torch_runtime import torch_stepper
    from hrm.checkpoint.loading import load, network

    loaded = load(located, options.dataset)
    stepper = torch_stepper(network(loaded, getattr(torch, options.dtype)), options.threads)
    return Subject(f"{located.name} (PyTorch {options.dtype})", stepper, loaded.config, options.dataset)


def _bundle(options: EvaluateOptions) -> Subject:
    model = find_model(options.model, Workdir(options.workdir))
    if options.dtype != "float32":
        raise UsageError(
            "--dtype says what PyTorch computes in",
            why=f"{model.name} is a bundle of {model.manifest.precision} engines",
            hint="leave --dtype out, or evaluate the checkpoint with --checkpoint",
        )
    stepper = model.open(RuntimeOptions(threads=options.threads))
    return Subject(model.name, stepper, model.config, None if options.inputs else model.dataset(options.dataset), model)


def _labelled(options: EvaluateOptions, subject: Subject, policy: Policy) -> dict[str, Any]:
    from validation.evaluate import evaluate

    if subject.dataset is None:
        raise UsageError("no puzzles to evaluate", why="a checkpoint names none", hint="pass --dataset or --inputs")
    puzzles = read_split(subject.dataset, options.split, options.limit)
    check_fits(puzzles.info, subject.config)
    recorder = _recorder(options, subject, puzzles.inputs, policy)
    with puzzle_bar(f"{subject.name}, {policy.name}") as progress:
        evaluation = evaluate(
            subject.stepper,
            puzzles,
            policy,
            batch=options.batch,
            observers=() if recorder is None else (recorder,),
            progress=progress,
        )
    _require_finite(evaluation.answers)
    return {**evaluation.metrics.to_dict(), "seconds": round(evaluation.seconds, 3)} | _save(options, recorder)


def _unlabelled(options: EvaluateOptions, source: Path, subject: Subject, policy: Policy) -> dict[str, Any]:
    inputs, identifiers = (array[: options.limit] for array in read_inputs(source, subject.config))
    recorder = _recorder(options, subject, inputs, policy)
    with puzzle_bar(f"{subject.name}, {policy.name}") as progress:
        answers = solve(
            subject.stepper, inputs, identifiers, policy, batch=options.batch, observe=recorder, progress=progress
        )
    _require_finite(answers)
    return {"count": len(inputs), "steps": float(answers.depth.mean())} | _save(options, recorder)


def _recorder(options: EvaluateOptions, subject: Subject, inputs: Array, policy: Policy) -> OutputRecorder | None:
    from validation.observers import OutputRecorder

    if options.save_outputs is None:
        return None
    return OutputRecorder(inputs, subject.config.vocab_size, policy.max_depth)


def _save(options: EvaluateOptions, recorder: OutputRecorder | None) -> dict[str, str]:
    if recorder is None or options.save_outputs is None:
        return {}
    recorder.save(options.save_outputs)
    return {"outputs": str(options.save_outputs.resolve())}


def _require_finite(answers: Answers) -> None:
    if answers.finite.all():
        return
    raise UsageError(
        f"{int((~answers.finite).sum())} puzzles got NaN or infinity",
        why="the model's numbers overflow; its accuracy would mean nothing",
        hint="evaluate the checkpoint with --dtype float32; if that fails too, its training went wrong",
    )
