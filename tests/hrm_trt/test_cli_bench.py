"""`hrm-trt bench` on the sample: what it measures, keeps and refuses."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from bench_subjects import document, row

from engines.bundle import MANIFEST, read_manifest
from engines.runtimes import RUNTIMES, obstacle, without_onnx_cuda
from hrm.data.dataset import read_split
from hrm.errors import UsageError
from hrm_trt.bench import subjects
from hrm_trt.bench.document import BenchDocument
from hrm_trt.bench.labels import label
from hrm_trt.bench.plan import Request, make_plan
from hrm_trt.bench.subjects import BundleOpener
from hrm_trt.cli import edge
from hrm_trt.pipeline import demo as demo_settings
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = "sudoku-4x4-cpu-fp32"
APART = f"{BUNDLE}-planner-executor"
CHECKPOINT = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
QUICK = "--model BUNDLE --runtime onnxruntime --batch 2 --policy fixed --puzzles 4 --repetitions 1 --threads 1"
NETWORKS = [runtime for runtime in ("torch", "torch-compile") if obstacle(runtime) is None]
"""PyTorch, and Inductor where there is a compiler."""
SAID = "interrupted; what was finished is kept\n"


def quick(*more: object) -> list[str]:
    """A command line that measures one engine for a moment."""
    return ["bench", *QUICK.replace("BUNDLE", BUNDLE).split(), *map(str, more)]


@pytest.fixture(scope="module")
def measured(
    demo_workdir: Workdir, demo_result: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BenchDocument, Path]:
    """PyTorch and one bundle, measured once; and the directory with the document and the pictures."""
    del demo_result
    home = tmp_path_factory.mktemp("bench")
    line = ["bench", "--model", BUNDLE, "--workdir", str(demo_workdir.root), "--batch", "4", "--puzzles", "16"]
    more = ["--repetitions", "2", "--threads", "1", "--output", str(home / "out.json"), "--pictures", str(home)]
    quick = [f"--runtime={name}" for name in RUNTIMES if name != "torch-compile"]  # that takes a minute to open
    assert edge.run([*line, *more, *quick]) == 0
    return BenchDocument.model_validate_json((home / "out.json").read_bytes()), home


@pytest.mark.slow
def test_pytorch_and_the_engine_are_measured_on_the_same_puzzles(measured: tuple[BenchDocument, Path]) -> None:
    made, home = measured
    assert [(each.runtime, each.precision, each.policy) for each in made.rows] == [
        ("torch", "fp32", "fixed"),
        ("onnxruntime", "fp32", "fixed"),
        ("torch", "fp32", "adaptive"),
        ("onnxruntime", "fp32", "adaptive"),
    ]
    for ours, theirs in zip(made.rows[1::2], made.rows[::2], strict=True):
        assert (ours.exact, ours.depths) == (theirs.exact, theirs.depths)
        assert len(ours.puzzles_per_second.each) == 2
    assert made.rows[0].depths == {8: 16}
    assert made.rows[0].exact > 0.8
    assert made.matrix_by in ("numpy", "torch", "onnxruntime")
    assert made.matrix_shape == (4 * 17, 96, 512)
    assert {path.name for path in home.glob("*.png")} == {"throughput.png", "depth.png", "limit.png"}


@pytest.mark.slow
def test_what_cannot_run_here_is_listed_with_the_reason(measured: tuple[BenchDocument, Path]) -> None:
    refused = {(each.runtime, each.target): each.reason for each in measured[0].refused}
    assert ("tensorrt", "sm_90") in refused
    assert refused.get(("onnxruntime", "cuda")) == without_onnx_cuda()
    assert all(refused.values())


@pytest.mark.slow
def test_a_run_is_compared_with_another(
    cli: Callable[..., Any], demo: Path, measured: tuple[BenchDocument, Path]
) -> None:
    line = quick("--workdir", demo, "--compare", measured[1] / "out.json", "--batch", 4)
    compared = cli(*line)
    assert (compared.code, compared.err) == (0, "")
    assert "other puzzles" in compared.out
    assert re.search(r"onnxruntime fp32 .* [+-][0-9]+\.[0-9]%", compared.out)


def test_json_is_the_document_and_nothing_else(cli: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    asked = cli(*quick("--workdir", demo, "--json", "--output", "out.json"))
    assert (asked.code, asked.err) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text()) == asked.document
    (measured,) = BenchDocument.model_validate_json(asked.out).rows
    assert (measured.model, measured.puzzles, measured.depths) == (BUNDLE, 4, {8: 4})


def test_in_a_pipe_it_is_quiet(command: Callable[..., Any], demo: Path) -> None:
    said = command(*quick("--workdir", demo))
    assert (said.code, said.err) == (0, "")
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert "onnxruntime fp32" in said.out


def test_an_interrupt_keeps_what_was_measured(start: Callable[..., Any], demo: Path, tmp_path: Path) -> None:
    bench = start(*quick("--workdir", demo, "--output", "out.json", "--json", "--repetitions", 10**6))
    while not (tmp_path / "out.json").exists():
        assert bench.poll() is None
        time.sleep(0.05)
    os.killpg(bench.pid, signal.SIGINT)
    out, err = bench.communicate()
    assert (bench.returncode, err) == (130, SAID)
    kept = BenchDocument.model_validate_json((tmp_path / "out.json").read_bytes())
    assert kept.interrupted
    assert kept.rows[0].puzzles_per_second.each
    assert BenchDocument.model_validate_json(out) == kept
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


@pytest.fixture
def other_task(tmp_path: Path) -> Path:
    """The sample's puzzles, one cell short."""
    directory = tmp_path / "other"
    shutil.copytree(CHECKPOINT / "dataset", directory)
    for name in ("inputs", "labels"):
        for path in directory.glob(f"test/*__{name}.npy"):
            np.save(path, np.load(path)[:, :-1])
    settings = directory / "test/dataset.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"seq_len": 15}))
    return directory


BAD: dict[str, tuple[int, tuple[str, ...]]] = {
    "--model nobody": (2, ("no bundle called nobody", BUNDLE)),
    "--checkpoint nowhere": (2, ("no checkpoint at nowhere",)),
    f"--model {BUNDLE} --batch 1 --batch 1000": (2, (f"{BUNDLE} does not take a batch of 1000", "1 to 256")),
    f"--model {BUNDLE} --policy eager": (2, ("--policy cannot be 'eager'",)),
    f"--model {BUNDLE} --runtime abacus": (2, ("--runtime cannot be 'abacus'", "onnxruntime")),
    f"--model {BUNDLE} --runtime tensorrt": (3, ("nothing that was asked for runs", "tensorrt sm_90: ")),
    f"--model {BUNDLE} --dataset nowhere": (2, ("nowhere has no test split",)),
    f"--model {BUNDLE} --dataset OTHER": (2, ("not one for this checkpoint", "15 cells")),
    f"--model {BUNDLE} --compare nowhere.json": (2, ("nowhere.json is not a benchmark's document", "No such file")),
    f"--model {BUNDLE} --compare version.json": (2, ("version.json", "format_version")),
    f"--model {BUNDLE} --compare model.json": (2, ("model.json cannot be compared with", "cccccccccccc")),
    f"--model {BUNDLE} --output file/out.json": (2, ("cannot write file/out.json",)),
    f"--model {BUNDLE} --output .": (2, ("cannot write .", "directory")),
    f"--model {BUNDLE} --pictures file": (2, ("cannot write file",)),
}


@pytest.mark.parametrize(("line", "refusal"), BAD.items())
def test_what_cannot_be_measured_is_refused_before_anything_is(
    cli: Callable[..., Any],
    demo: Path,
    tmp_path: Path,
    other_task: Path,
    line: str,
    refusal: tuple[int, tuple[str, ...]],
) -> None:
    (tmp_path / "file").write_text("not a directory")
    written = document(row()).model_dump(mode="json")
    (tmp_path / "model.json").write_text(json.dumps(written))
    (tmp_path / "version.json").write_text(json.dumps(written | {"format_version": 7}))
    code, words = refusal
    cli("bench", *line.replace("OTHER", str(other_task)).split(), "--workdir", demo).assert_refused(code, *words)


def test_a_batch_beyond_the_memory_is_refused(
    cli: Callable[..., Any], demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 20 * 2**20

    monkeypatch.setattr("hrm_trt.bench.plan.psutil.virtual_memory", Memory)
    refused = cli("bench", "--model", BUNDLE, "--batch", 256, "--workdir", demo)
    refused.assert_refused(3, "a batch of 256 does not fit", "--batch 128 may fit")


def test_without_a_build_the_command_that_makes_one_is_named(cli: Callable[..., Any]) -> None:
    cli("bench").assert_refused(2, f"no bundle called {demo_settings.BUNDLE}", "`hrm-trt build`")


def ask(**changes: Any) -> Request:
    settings: dict[str, Any] = {
        "checkpoint": None, "models": (), "dataset": None, "runtimes": (), "batches": (), "policies": (),
        "puzzles": 5, "repetitions": 1, "threads": 0,
    }  # fmt: skip
    return Request(**(settings | changes))


def test_a_checkpoint_brings_all_its_bundles(demo: Path) -> None:
    plan = make_plan(ask(checkpoint=str(CHECKPOINT)), Workdir(demo))
    assert [(each.runtime, each.model) for each in plan.subjects] == [
        *((runtime, None) for runtime in NETWORKS),
        ("onnxruntime", BUNDLE),
        ("onnxruntime", APART),
    ]
    assert (plan.batches, [policy.name for policy in plan.policies]) == ((1, 32), ["fixed", "adaptive"])
    assert plan.threads == len(os.sched_getaffinity(0))
    assert len(plan.trial.puzzles) == 5


def test_a_bundle_brings_its_checkpoint(demo: Path) -> None:
    plan = make_plan(ask(models=[APART], runtimes=["torch"]), Workdir(demo))
    (subject,) = plan.subjects
    assert (subject.runtime, plan.material.name, plan.material.parameters) == ("torch", "sudoku-4x4", 444_002)


def test_a_checkpoint_alone_is_measured_in_pytorch(tmp_path: Path) -> None:
    plan = make_plan(ask(checkpoint=str(CHECKPOINT)), Workdir(tmp_path))
    assert [subject.runtime for subject in plan.subjects] == NETWORKS
    reasons = {refused.runtime: refused.reason for refused in plan.refused}
    assert "no bundle of this checkpoint" in reasons["onnxruntime"]


def test_onnx_engines_are_measured_on_cuda_where_it_is(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "without_onnx_cuda", lambda: None)
    plan = make_plan(ask(models=[BUNDLE, f"{demo}/repository/sudoku-4x4"], runtimes=["onnxruntime"]), Workdir(demo))
    assert [label(each) for each in plan.subjects] == ["onnxruntime fp32", "onnxruntime cuda fp32"]
    assert [pickle.loads(pickle.dumps(each.open)).resident for each in plan.subjects] == [None, "cuda"]


def test_a_resident_carry_is_opened_in_tensors(demo: Path) -> None:
    stepper = BundleOpener(find_model(BUNDLE, Workdir(demo)), "cpu")(threads=1)
    assert isinstance(stepper.initial_carry(2)[0], torch.Tensor)


def test_a_published_model_is_measured(demo: Path) -> None:
    name = f"{demo}/repository/sudoku-4x4"
    plan = make_plan(ask(models=[name]), Workdir(demo))
    assert [subject.model for subject in plan.subjects] == [*(None for _ in NETWORKS), name]


def test_without_its_checkpoint_a_bundle_is_measured_alone(copy_demo: Callable[..., Path]) -> None:
    plan = make_plan(ask(models=[BUNDLE]), Workdir(copy_demo("load")))
    assert [subject.runtime for subject in plan.subjects] == ["onnxruntime"]
    assert "--checkpoint" in plan.refused[0].reason


@pytest.fixture
def edited(copy_demo: Callable[..., Path]) -> Callable[..., Path]:
    """Makes a work directory with one more bundle, `edited`, whose manifest says something else."""

    def edit(**changes: Any) -> Path:
        workdir = copy_demo()
        source, target = workdir / "bundles" / BUNDLE, workdir / "bundles" / "edited"
        shutil.copytree(source, target)
        manifest = read_manifest(source).model_copy(update={"name": "edited", **changes})
        (target / MANIFEST).unlink()
        (target / MANIFEST).write_text(manifest.model_dump_json())
        return workdir

    return edit


def test_the_same_engines_under_two_names_are_measured_once(edited: Callable[..., Path]) -> None:
    plan = make_plan(ask(models=[BUNDLE, "edited"]), Workdir(edited()))
    assert [subject.model for subject in plan.subjects] == [*(None for _ in NETWORKS), BUNDLE]


def test_engines_for_a_gpu_are_refused_with_the_reason(edited: Callable[..., Path]) -> None:
    workdir = edited(runtime="tensorrt", target="sm_75", precision="fp8", topology="planner-executor")
    plan = make_plan(ask(models=[BUNDLE, "edited"]), Workdir(workdir))
    assert [subject.model for subject in plan.subjects] == [*(None for _ in NETWORKS), BUNDLE]
    (refused,) = (each for each in plan.refused if each.precision == "fp8")
    assert (refused.runtime, refused.target) == ("tensorrt", "sm_75")
    assert refused.reason


def test_bundles_of_two_checkpoints_are_refused(edited: Callable[..., Path]) -> None:
    workdir = Workdir(edited(origin={"checkpoint": {"name": "another", "sha256": "a" * 64}}))
    with pytest.raises(UsageError, match="edited is not of the checkpoint") as refused:
        make_plan(ask(models=[BUNDLE, "edited"]), workdir)
    assert "aaaaaaaaaaaa" in refused.value.why


def test_a_damaged_bundle_is_refused_and_the_others_go_on(cli: Callable[..., Any], edited: Callable[..., Path]) -> None:
    workdir = edited(topology="planner-executor")
    segment = workdir / "bundles/edited/segment.onnx"
    segment.unlink()
    segment.write_bytes(b"not what was built")
    line = quick("--workdir", workdir, "--model", "edited", "--json")
    found = cli(*line).document
    assert [each["model"] for each in found["rows"]] == [BUNDLE]
    (reason,) = (each["reason"] for each in found["refused"] if "segment.onnx" in each["reason"])
    assert "is not the file that was built" in reason


def test_puzzles_without_answers_are_refused(tmp_path: Path) -> None:
    directory = tmp_path / "unlabelled"
    shutil.copytree(CHECKPOINT / "dataset", directory)
    for path in directory.glob("test/*__labels.npy"):
        np.save(path, np.zeros_like(np.load(path)))
    settings = directory / "test/dataset.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"ignore_label_id": 0}))
    assert (read_split(directory, "test").labels < 0).all()
    with pytest.raises(UsageError, match="have no answers"):
        make_plan(ask(checkpoint=str(CHECKPOINT), dataset=directory), Workdir(tmp_path))
