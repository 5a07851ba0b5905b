"""Does TensorRT-RTX run on a Hopper GPU, which it does not list? And if it does, how well and how fast?

    sh benchmarks/gpu/pack_rtx.sh DIRECTORY                                    here, where there is a network
    PYTHONPATH=.:SITE python benchmarks/gpu/rtx_hopper.py DIRECTORY [--minutes 2.5] [--output DIR]    there

Every step is a process of its own, so that one which dies takes no other along; what the library says is written
down as it says it. Plans are loaded that were built without a GPU, others are built here; the first way that runs is
measured: the demo's puzzles, agreement with ONNX Runtime, and the time of calls beside PyTorch's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hollow import filled
from results import DEVICE, Results, show, tell
from timing import captured, interleaved

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.config import PAPER
from hrm.data.dataset import read_split
from hrm.data.layout import IGNORE
from hrm.network import Carry, random_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtx import Engine
    from torch import Tensor

    from hrm.network import HRM

    Step = Callable[..., dict[str, Any]]

DEMO = Path("checkpoints/sudoku-6x6")
CAPABILITIES = {"default": (), "CURRENT": ("CURRENT",), "SM80": ("SM80",), "SM89": ("SM89",)}
BUILT_HERE = ("CURRENT", "default")
PRECISIONS = {"fp16": "", "fp8": "-fp8"}
WHEN_IT_RUNS = (
    *(("solve", precision) for precision in PRECISIONS),
    *(("time", "paper", "segment", precision) for precision in PRECISIONS),
    *(("time", "paper", "executor", precision) for precision in PRECISIONS),
    *(("time", "demo", "segment", precision) for precision in PRECISIONS),
)
BATCHES = (1, 32, 256)
EVALUATED_AT_ONCE = 250
ROUNDS = 7
STEP_SECONDS = 90
"""A step that takes longer is ended."""


def main() -> None:
    arguments = parse()
    if arguments.step:
        perform(arguments.directory, *arguments.step)
        return
    results = Results(arguments.output / "gpu_rtx_hopper.json", "gpu_rtx_hopper", False, arguments.minutes)

    def step(*words: str) -> dict[str, Any] | None:
        return results.measure(" ".join(words), partial(in_its_own_process, arguments.directory, words))

    step("library")
    built_here = {name: step("build", "demo", "executor", "fp16", name) for name in BUILT_HERE}
    built_before = {path.stem: step("load", path.name) for path in sorted(arguments.directory.glob("*.plan"))}
    runs = [name for name in BUILT_HERE if built_here[name] is not None]
    runs += [name for name in CAPABILITIES if built_before.get(f"demo-executor-{name}")]
    for words in WHEN_IT_RUNS if runs else ():
        step(*words, runs[0])
    table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="What rtx_graphs.py wrote.")
    parser.add_argument("--minutes", type=float, default=2.5, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_its_own_process(directory: Path, words: tuple[str, ...]) -> dict[str, Any]:
    """What the step found, or had found when its time was up; an error in its own words where it failed or died."""
    command = [sys.executable, __file__, str(directory), "--step", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=STEP_SECONDS)
    except subprocess.TimeoutExpired as expired:
        return last_line(expired.stdout or b"") | {"ended_after_seconds": STEP_SECONDS}
    found = last_line(done.stdout.encode())
    if done.returncode or not found:
        raise RuntimeError(f"exit code {done.returncode}, having found {found}: {done.stderr.strip()[-2000:]}")
    if "failed" in found:
        raise RuntimeError(found["failed"])
    return found


def last_line(printed: bytes) -> dict[str, Any]:
    """What a step said last."""
    said = [line for line in printed.decode().splitlines() if line.startswith("{") and line.endswith("}")]
    found: dict[str, Any] = json.loads(said[-1]) if said else {}
    return found


def perform(directory: Path, name: str, *words: str) -> None:
    """Do one step in this process, and print what it found as the last line."""
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    if DEVICE.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream())  # on the default one, the library waits after every call
    try:
        found = STEPS[name](directory, *words)
    except Exception as error:  # noqa: BLE001  (what the library says is what this is about)
        found = {"failed": tell(error)}
    say(found)


def say(found: dict[str, Any]) -> None:
    """Print what was found so far."""
    print(json.dumps(found), flush=True)


def library(_: Path) -> dict[str, Any]:
    """Whether the library can be loaded, and what it knows."""
    from rtx import Words, trt

    words = Words()
    builder = trt.Builder(words)
    return {
        "version": trt.__version__,
        "builder": builder is not None,
        "capabilities": list(trt.ComputeCapability.__members__),
        "words": words.lines,
    }


def load_plan(directory: Path, file: str) -> dict[str, Any]:
    """Load a plan that was built without a GPU, and run it."""
    from rtx import Engine, Words, validity

    words, plan = Words(), (directory / file).read_bytes()
    said = validity(plan, words)
    try:
        return said | run_once(Engine(plan, words), executor_feeds(demo(torch.float16), 1)) | {"words": words.lines}
    except Exception as error:
        raise RuntimeError(f"{said}: {tell(error)}") from error


def build_and_run(directory: Path, model: str, module: str, precision: str, capability: str) -> dict[str, Any]:
    """Build on this machine, load and run."""
    from rtx import Engine, Words, build, validity

    words = Words()
    began = time.perf_counter()
    plan = build(graph(directory, model, module, precision), CAPABILITIES[capability], demo().config.tokens, words)
    seconds = time.perf_counter() - began
    said = validity(plan, words)
    found = run_once(Engine(plan, words), executor_feeds(demo(torch.float16), 1))
    return {"build_seconds": seconds, "bytes": len(plan), **said, **found, "words": words.lines}


def run_once(engine: Engine, feeds: Mapping[str, Tensor]) -> dict[str, Any]:
    """One call, and its distance from PyTorch in float32."""
    began = time.perf_counter()
    found = engine.bind(feeds)()["z_L_out"].float()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    wanted = demo().execute(*(feeds[name].float() for name in ("z_L", "z_H", "input_embeddings")))
    return {"first_call_seconds": seconds, "error": ((found - wanted).norm() / wanted.norm()).item()}


def solve(directory: Path, precision: str, capability: str) -> dict[str, Any]:
    """The demo's test puzzles by its segment engine, against PyTorch in float32."""
    half = demo(torch.float16)
    puzzles = read_split(DEMO / "dataset", "test")
    inputs, labels = (torch.from_numpy(array).long().to(DEVICE) for array in (puzzles.inputs, puzzles.labels))
    embeddings = half.encode(inputs, torch.zeros(len(inputs), dtype=torch.int64, device=DEVICE))
    engine = built(directory, "demo", "segment", precision, capability, half.config.tokens)
    first = half.initial_carry(EVALUATED_AT_ONCE)
    call = engine.bind({"z_H": first.z_H, "z_L": first.z_L, "input_embeddings": embeddings[:EVALUATED_AT_ONCE]})
    parts = [follow(call, first, rows, half.config.halt_max_steps) for rows in embeddings.split(EVALUATED_AT_ONCE)]
    theirs, base = torch.cat(parts), reference(demo(), inputs)
    right, wanted = (((tokens == labels) | (labels == IGNORE)).all(1) for tokens in (theirs, base))
    return {
        "exact_accuracy": right.float().mean().item(),
        "float32_exact_accuracy": wanted.float().mean().item(),
        "count": len(right),
        "lost": int((wanted & ~right).sum()),
        "won": int((right & ~wanted).sum()),
        "puzzles_with_another_answer": int((theirs != base).any(1).sum()),
        "cells_that_differ": int((theirs != base).sum()),
    }


def follow(call: Any, first: Carry, embeddings: Tensor, segments: int) -> Tensor:
    """Answers [B, S] of one batch after all segments."""
    feeds = {"z_H": first.z_H, "z_L": first.z_L, "input_embeddings": embeddings}
    for name, value in feeds.items():
        call.feeds[name].copy_(value)
    for _ in range(segments):
        outputs = call()
        call.feeds["z_H"].copy_(outputs["z_H_out"])
        call.feeds["z_L"].copy_(outputs["z_L_out"])
    return outputs["logits"].argmax(-1)


def reference(model: HRM, inputs: Tensor) -> Tensor:
    """PyTorch's answers [N, S]."""
    embeddings = model.encode(inputs, torch.zeros(len(inputs), dtype=torch.int64, device=DEVICE))
    carry = model.initial_carry(len(inputs))
    for _ in range(model.config.halt_max_steps):
        carry, heads = model.segment(carry, embeddings)
    return heads.logits.argmax(-1)


def times(directory: Path, model: str, module: str, precision: str, capability: str) -> dict[str, Any]:
    """Seconds per call at every batch, beside PyTorch in float16 captured in a CUDA graph; and the error."""
    torch_network = demo(torch.float16) if model == "demo" else random_network(PAPER, 0, torch.float16).to(DEVICE)
    content = graph(directory, model, module, precision)
    began = time.perf_counter()
    engine = built(directory, model, module, precision, capability, torch_network.config.tokens)
    found: dict[str, Any] = {"build_and_load_seconds": time.perf_counter() - began, "batches": {}}
    for batch in BATCHES:
        feeds = executor_feeds(torch_network, batch)
        found["batches"][str(batch)] = times_of_a_batch(engine, eager(torch_network, module, feeds), feeds)
        say(found)
    found["error_against_onnx_runtime"] = parity(engine, content, executor_feeds(torch_network, 1))
    return {**found, "words": engine.words.lines[-10:]}


def times_of_a_batch(engine: Engine, theirs: Callable[[], Any], feeds: Mapping[str, Tensor]) -> dict[str, Any]:
    """The engine's call and PyTorch's by turns, and the engine's once more in a CUDA graph if it can be captured."""
    began = time.perf_counter()
    call = engine.bind(feeds)
    call()
    torch.cuda.synchronize()
    first = time.perf_counter() - began
    works: dict[str, Callable[[], Any]] = {"rtx": call, "torch float16, CUDA graph": captured(theirs)}
    found = {"first_call_seconds": first, **interleaved(works, ROUNDS)}
    if call.context.is_stream_capturable(torch.cuda.current_stream().cuda_stream):
        found |= interleaved({"rtx, CUDA graph": captured(call)}, ROUNDS)
    return found


def eager(model: HRM, module: str, feeds: Mapping[str, Tensor]) -> Callable[[], Any]:
    """The same module in PyTorch."""
    z_L, z_H, embeddings = (feeds[name] for name in ("z_L", "z_H", "input_embeddings"))
    if module == "executor":
        return partial(model.execute, z_L, z_H, embeddings)
    return partial(model.segment, Carry(z_H, z_L), embeddings)


def parity(engine: Engine, content: bytes, feeds: Mapping[str, Tensor]) -> dict[str, float]:
    """Distance of every output from ONNX Runtime's on a CPU, for the same graph and inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = session.run(names, {name: feeds[name].cpu().numpy() for name in engine.inputs})
    found = {name: value.float().cpu() for name, value in engine.bind(feeds)().items()}
    references = {name: torch.from_numpy(array).float() for name, array in zip(names, wanted, strict=True)}
    return {name: ((found[name] - one).norm() / one.norm()).item() for name, one in references.items()}


def executor_feeds(model: HRM, batch: int) -> dict[str, Tensor]:
    """States after one segment of random tokens, float16 [B, T, D]: inputs of executor and segment alike."""
    config = model.config
    tokens = torch.randint(config.vocab_size, (batch, config.seq_len), generator=torch.Generator().manual_seed(0)).to(
        DEVICE
    )
    embeddings = model.encode(tokens, torch.zeros(batch, dtype=torch.int64, device=DEVICE))
    carry, _ = model.segment(model.initial_carry(batch), embeddings)
    return {"z_L": carry.z_L.half(), "z_H": carry.z_H.half(), "input_embeddings": embeddings.half()}


def built(directory: Path, model: str, module: str, precision: str, capability: str, tokens: int) -> Engine:
    from rtx import Engine, Words, build

    words = Words()
    plan = build(graph(directory, model, module, precision), CAPABILITIES[capability], tokens, words)
    return Engine(plan, words)


def graph(directory: Path, model: str, module: str, precision: str) -> bytes:
    return filled(directory / f"{model}-{module}{PRECISIONS[precision]}.onnx")


def demo(dtype: torch.dtype = torch.float32) -> HRM:
    """On the GPU."""
    return network(load(locate(DEMO)), dtype).to(DEVICE)


STEPS: dict[str, Step] = {
    "library": library, "load": load_plan, "build": build_and_run, "solve": solve, "time": times,
}  # fmt: skip


def table(results: Results) -> None:
    rows = [
        (f"{item['item']}, {way}", batch, 1e6 * one["median_seconds"], 50 * one["quartiles_apart"])
        for item in results.items
        for batch, works in item.get("batches", {}).items()
        for way, one in works.items()
        if isinstance(one, dict)
    ]
    show("TensorRT-RTX: one call", ("engine", "batch", "µs", "± %"), rows)
    solved = [item for item in results.items if "exact_accuracy" in item]
    columns = ("", "exact %", "float32 %", "lost", "won")
    show(
        "TensorRT-RTX: the demo's puzzles",
        columns,
        [
            (one["item"], 100 * one["exact_accuracy"], 100 * one["float32_exact_accuracy"], one["lost"], one["won"])
            for one in solved
        ],
    )


if __name__ == "__main__":
    main()
