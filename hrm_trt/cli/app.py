"""The commands and their options, each a line away from the function that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hrm_trt.cli.bench_app import bench_app
from hrm_trt.cli.data_app import data_app
from hrm_trt.cli.options import AllowEmulated, Json, Workdir
from hrm_trt.cli.serving_app import serving_app

app = typer.Typer(
    name="hrm-trt",
    help="From a Hierarchical Reasoning Model checkpoint to engines proven as accurate as PyTorch, served by Triton.",
    epilog="`--debug` anywhere adds the stack trace to an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(data_app, name="data")
app.add_typer(serving_app)  # its commands stand beside these
app.add_typer(bench_app)

ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="A bundle (name in the work directory, or path) or REPOSITORY/NAME.", show_default="the demo's"
    ),
]
Device = Literal["auto", "cpu", "cuda"]
DatasetDir = Annotated[Path | None, typer.Option("--dataset", help="A data set in the official layout.")]
PolicyName = Annotated[str, typer.Option("--policy", help="When a puzzle stops: fixed, adaptive or confidence.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="Mean probability at which `confidence` stops.", show_default="as gated, or 0.95"
    ),
]
RecipeFile = Annotated[Path | None, typer.Argument(help="A recipe; without one, the bundled demo.")]
Checkpoint = Annotated[str | None, typer.Option("--checkpoint", help="A directory, a file, or hf://repo@revision.")]
Targets = Annotated[list[str] | None, typer.Option("--target", help="cpu, sm_90, sm_100, sm_120. Repeatable.")]
Precisions = Annotated[
    list[str] | None, typer.Option("--precision", help="fp32, fp16, fp8, nvfp4 or auto. Repeatable.")
]
Runtime = Annotated[
    str | None, typer.Option("--runtime", help="What runs the engines.", show_default="each target's own")
]
Quantised = Annotated[
    list[str] | None,
    typer.Option(
        "--quantise", help="What gets the low precision: executor, planner. Repeatable.", show_default="executor"
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Gate on the first N test puzzles.")]
BundleName = Annotated[str | None, typer.Option("--name", help="The bundle's and the published models' name.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Threads for the engine; 0 takes every core.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    del context
    if show_version:
        from hrm_trt import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A training recipe: a YAML file, or the name of a bundled one.")],
    output: Annotated[Path | None, typer.Option(help="The run's directory.", show_default="runs/NAME")] = None,
    dataset: DatasetDir = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = "auto",
    wandb: Annotated[str | None, typer.Option(help="A Weights & Biases project that gets the metrics too.")] = None,
    json: Json = False,
) -> None:
    """Train an HRM, or go on with a run that was stopped; the numbers are the same either way."""
    from hrm_trt.cli.train import TrainOptions, train_command

    options = TrainOptions(recipe=recipe, output=output, dataset=dataset, device=device, wandb=wandb)
    train_command(options, json=json)


@app.command()
def build(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe, or a kit of `hrm-trt pack`; without one, the bundled demo.")
    ] = None,
    checkpoint: Checkpoint = None,
    dataset: DatasetDir = None,
    target: Targets = None,
    precision: Precisions = None,
    runtime: Runtime = None,
    quantise: Quantised = None,
    policy: Annotated[list[str] | None, typer.Option(help="A policy to gate beside fixed. Repeatable.")] = None,
    until: Annotated[
        str, typer.Option(help="Stop after: load, export, calibrate, quantise, build, validate or publish.")
    ] = "publish",
    publish: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="The Triton model repository that gets what passed: a directory, or a URL such as s3://bucket/models.",
        ),
    ] = None,
    name: BundleName = None,
    limit: Limit = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Threads for engines; 0 takes every core.")] = None,
    allow_emulated: AllowEmulated = False,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Take a checkpoint to gated, published bundles; finished stages are never run twice."""
    from hrm_trt.cli.build import BuildOptions, build_command

    options = BuildOptions(
        recipe=recipe,
        checkpoint=checkpoint,
        dataset=dataset,
        targets=target,
        precisions=precision,
        runtime=runtime,
        quantise=quantise,
        policies=policy,
        publish=publish,
        name=name,
        limit=limit,
        threads=threads,
        allow_emulated=allow_emulated,
    )
    raise typer.Exit(build_command(options, until=until, workdir=workdir, json=json))


@app.command()
def pack(
    kit: Annotated[Path, typer.Argument(help="The file to write.")],
    recipe: RecipeFile = None,
    checkpoint: Checkpoint = None,
    dataset: DatasetDir = None,
    target: Targets = None,
    precision: Precisions = None,
    runtime: Runtime = None,
    quantise: Quantised = None,
    name: BundleName = None,
    limit: Limit = None,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Pack what a machine with the right GPU needs to finish a build; `hrm-trt build KIT` does that there."""
    from hrm_trt.cli.build import BuildOptions
    from hrm_trt.cli.kit import pack_command

    options = BuildOptions(
        recipe=recipe,
        checkpoint=checkpoint,
        dataset=dataset,
        targets=target,
        precisions=precision,
        runtime=runtime,
        quantise=quantise,
        name=name,
        limit=limit,
    )
    pack_command(kit, options, workdir=workdir, json=json)


@app.command()
def unpack(
    built: Annotated[Path, typer.Argument(help="What `hrm-trt build KIT` wrote on the machine with the GPU.")],
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Bring the bundles and the report of a finished kit into the work directory, digests checked."""
    from hrm_trt.cli.kit import unpack_command

    unpack_command(built, workdir=workdir, json=json)


@app.command()
def evaluate(
    checkpoint: Annotated[str | None, typer.Option(help="Evaluate PyTorch on this checkpoint.")] = None,
    model: ModelName = None,
    dataset: DatasetDir = None,
    split: Annotated[str, typer.Option(help="The data set's split.")] = "test",
    inputs: Annotated[Path | None, typer.Option(help="Puzzles without labels: an .npz with `inputs`.")] = None,
    policy: PolicyName = "fixed",
    threshold: Threshold = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use the first N puzzles.")] = None,
    dtype: Annotated[str, typer.Option(help="What PyTorch computes in: float32 or bfloat16.")] = "float32",
    batch: Annotated[int, typer.Option(min=1, help="Puzzles per engine call, at most.")] = 64,
    threads: Threads = 0,
    save_outputs: Annotated[Path | None, typer.Option(help="Write every segment's outputs to this .npz.")] = None,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Measure exact accuracy and the other official metrics of a checkpoint or a bundle."""
    from hrm_trt.cli.evaluate import EvaluateOptions, evaluate_command

    options = EvaluateOptions(
        checkpoint=checkpoint,
        model=model,
        dataset=dataset,
        split=split,
        inputs=inputs,
        policy=policy,
        threshold=threshold,
        limit=limit,
        dtype=dtype,
        batch=batch,
        threads=threads,
        save_outputs=save_outputs,
        workdir=workdir,
    )
    evaluate_command(options, json=json)


@app.command()
def solve(
    puzzle: Annotated[str | None, typer.Argument(help="Cells as one string (`.` or 0 blank), a file, or -.")] = None,
    example: Annotated[int | None, typer.Option(min=0, help="Take this puzzle of the model's test set.")] = None,
    model: ModelName = None,
    dataset: DatasetDir = None,
    policy: Annotated[
        str | None,
        typer.Option(help="fixed, adaptive or confidence.", show_default="adaptive where it passed, else fixed"),
    ] = None,
    threshold: Threshold = None,
    png: Annotated[Path | None, typer.Option(help="Draw the puzzle and its answer into this PNG (or .svg).")] = None,
    threads: Threads = 0,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Solve a puzzle and watch it being solved, segment by segment."""
    from hrm_trt.cli.solve import SolveOptions, solve_command

    options = SolveOptions(
        puzzle=puzzle,
        example=example,
        model=model,
        dataset=dataset,
        policy=policy,
        threshold=threshold,
        png=png,
        threads=threads,
        workdir=workdir,
    )
    solve_command(options, json=json)


@app.command()
def inspect(
    what: Annotated[str, typer.Argument(help="A checkpoint, graph, engine, bundle or published model.")],
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Show what is in a checkpoint, graph, engine, bundle or published model."""
    from hrm_trt.cli.inspect import inspect_command

    inspect_command(what, workdir=workdir, json=json)


@app.command()
def convert(
    checkpoint: Annotated[str, typer.Argument(help="An official checkpoint: directory, file or hf://repo@revision.")],
    output: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    dataset: DatasetDir = None,
    json: Json = False,
) -> None:
    """Convert an official checkpoint to safetensors, sizes and settings inside."""
    from hrm_trt.cli.convert import convert_command

    convert_command(checkpoint, output, dataset=dataset, json=json)


@app.command()
def capacity(
    benchmark: Annotated[Path, typer.Argument(metavar="BENCH.json", help="What `hrm-trt bench` wrote.")],
    rate: Annotated[str, typer.Option(help="Puzzles that come: 50000/h, 120/min or 14/s.")],
    p99: Annotated[str, typer.Option(help="What 99 of 100 puzzles may take from arrival to answer: 200ms or 1.5s.")],
    policy: PolicyName = "adaptive",
    prices: Annotated[
        Path | None,
        typer.Option(help="A price list, YAML.", show_default="an example of round numbers, which shows its form"),
    ] = None,
    utilisation: Annotated[
        float, typer.Option(help="How much of what it could answer a replica may be given at most.")
    ] = 0.8,
    exact: Annotated[
        float | None,
        typer.Option(
            help="Give up the deepest puzzles as long as this share of answers is right.", show_default="give up none"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say how many machines keep a promise, for every row of a benchmark, and what they cost: the cheapest first."""
    from hrm_trt.cli.capacity import CapacityOptions, capacity_command

    options = CapacityOptions(
        benchmark=benchmark,
        rate=rate,
        p99=p99,
        policy=policy,
        prices=prices,
        utilisation=utilisation,
        exact=exact,
    )
    capacity_command(options, json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this machine can build and run, what is missing, and how to get it."""
    from hrm_trt.cli.doctor import doctor_command

    doctor_command(json=json)


@app.command()
def schema(
    training: Annotated[bool, typer.Option("--training", help="A training recipe's, in place of a build's.")] = False,
) -> None:
    """Print the recipe's JSON Schema, for editors."""
    from hrm_trt.cli.console import print_json

    if training:
        from hrm.training.recipe import TrainRecipe

        print_json(TrainRecipe.model_json_schema())
        return
    from hrm_trt.pipeline.recipe import Recipe

    print_json(Recipe.model_json_schema())


@app.command()
def sensitivity(
    recipe: RecipeFile = None,
    checkpoint: Checkpoint = None,
    dataset: DatasetDir = None,
    target: Annotated[
        str, typer.Option(help="The GPU whose low precisions are tried: sm_90, sm_100, sm_120.")
    ] = "sm_120",
    quantise: Quantised = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Search on the first N puzzles of the search split.", show_default="all")
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Assignments to try at most, single linears aside.", show_default="24")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=0, help="Threads for the graphs; 0 takes every core.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the picture goes, a PNG.", show_default="the work directory")
    ] = None,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Measure what low precision costs each layer, and find the most that the accuracy bears (`--precision auto`)."""
    from hrm_trt.cli.sensitivity import SensitivityOptions, sensitivity_command

    options = SensitivityOptions(
        recipe=recipe,
        checkpoint=checkpoint,
        dataset=dataset,
        target=target,
        quantise=quantise,
        limit=limit,
        evaluations=evaluations,
        threads=threads,
        output=output,
    )
    sensitivity_command(options, workdir=workdir, json=json)
