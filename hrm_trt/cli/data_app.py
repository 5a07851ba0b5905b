"""`hrm-trt data`: its sub-commands and their options, each a line away from the function that does the work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hrm_trt.cli.options import Json

data_app = typer.Typer(
    help="Make a data set: new puzzles, published ones, or your own rows, in the official layout.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Output = Annotated[Path, typer.Argument(help="The directory to make; it may not hold anything yet.")]
Published = Annotated[
    str | None,
    typer.Option(
        "--import", help="Published puzzles in place of new ones: train.csv, test.csv, a directory with both, or hf://…"
    ),
]
Train = Annotated[
    int | None, typer.Option(min=0, help="Puzzles to train on.", show_default="1000; with --import all that are left")
]
Calibration = Annotated[
    int | None,
    typer.Option(min=0, help="Puzzles to calibrate quantisation with.", show_default="200; with --import none"),
]
Search = Annotated[
    int | None,
    typer.Option(min=0, help="Puzzles to choose checkpoints by.", show_default="200; with --import none"),
]
Test = Annotated[
    int | None,
    typer.Option(min=0, help="Puzzles to gate on.", show_default="1000; with --import all of test.csv"),
]
Seed = Annotated[int, typer.Option(min=0, help="Another seed, another data set.")]


@data_app.command()
def sudoku(
    output: Output,
    box: Annotated[str, typer.Option(help="Rows×columns of a box: 2x2, 2x3 or 3x3.")] = "3x3",
    published: Published = None,
    min_rating: Annotated[float | None, typer.Option(help="Leave out published puzzles that are easier.")] = None,
    train: Train = None,
    calibration: Calibration = None,
    search: Search = None,
    test: Test = None,
    augmentations: Annotated[int, typer.Option(min=0, help="Augmented copies of each training puzzle.")] = 0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """New minimal Sudokus with one solution each, no two alike up to symmetry; or published ones."""
    from hrm_trt.cli.data import data_command
    from hrm_trt.cli.data_makers import Sizes, sudoku_maker

    maker = sudoku_maker(
        published,
        box=box,
        min_rating=min_rating,
        sizes=Sizes(train, calibration, search, test),
        augmentations=augmentations,
        seed=seed,
    )
    data_command(output, maker, json=json)


@data_app.command()
def maze(
    output: Output,
    side: Annotated[int | None, typer.Option(help="Rows, and columns.", show_default="30")] = None,
    least_path: Annotated[
        int | None, typer.Option(help="Steps of the shortest way, at least.", show_default="110 in 30×30")
    ] = None,
    published: Published = None,
    train: Train = None,
    calibration: Calibration = None,
    search: Search = None,
    test: Test = None,
    augment: Annotated[bool, typer.Option("--augment", help="Add each training maze turned and mirrored.")] = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """New mazes with one shortest way each, no two alike up to turning and mirroring; or published ones."""
    from hrm_trt.cli.data import data_command
    from hrm_trt.cli.data_makers import Sizes, maze_maker

    maker = maze_maker(
        published,
        side=side,
        least_path=least_path,
        sizes=Sizes(train, calibration, search, test),
        augment=augment,
        seed=seed,
    )
    data_command(output, maker, json=json)


@data_app.command()
def arc(
    output: Output,
    edition: Annotated[str, typer.Option(help="arc-1 or arc-2.")] = "arc-1",
    calibration: Annotated[int, typer.Option(min=0, help="Training tasks to calibrate quantisation with.")] = 40,
    search: Annotated[int, typer.Option(min=0, help="Training tasks to choose checkpoints and settings by.")] = 100,
    augmentations: Annotated[int, typer.Option(min=0, help="Augmented copies of each task; officially 1,000.")] = 10,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The public tasks of ARC-AGI; no task is asked about in two splits."""
    from hrm.generation.arc.making import ArcOptions, make
    from hrm.generation.arc.tasks import EDITIONS
    from hrm_trt.cli.choices import choice
    from hrm_trt.cli.data import data_command

    options = ArcOptions(choice("--edition", edition, EDITIONS), calibration, search, augmentations, seed)
    data_command(output, partial(make, options), json=json)


@data_app.command()
def sequence(
    output: Output,
    files: Annotated[list[Path], typer.Argument(help="Rows: .csv with a header, or .jsonl with one object a line.")],
    test_file: Annotated[
        list[Path] | None, typer.Option(help="Rows that are the test split as they stand. Repeatable.")
    ] = None,
    input_column: Annotated[str, typer.Option("--input", help="The column, or key, of the inputs.")] = "input",
    answer_column: Annotated[str, typer.Option("--answer", help="The column, or key, of the answers.")] = "answer",
    group_column: Annotated[
        str | None,
        typer.Option("--group", help="Rows that share it stay together.", show_default="group, where there is one"),
    ] = None,
    symbols: Annotated[
        str | None,
        typer.Option(
            help="What of a text is a symbol: characters or words.", show_default="characters, without spaces"
        ),
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Cells of every sequence.", show_default="what the longest needs")
    ] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="A vocabulary.json that all symbols have to be in.")] = None,
    calibration: Annotated[
        int | None, typer.Option(min=0, help="Groups of rows to calibrate quantisation with.", show_default="a tenth")
    ] = None,
    search: Annotated[
        int | None, typer.Option(min=0, help="Groups to choose checkpoints and settings by.", show_default="a tenth")
    ] = None,
    test: Annotated[int | None, typer.Option(min=0, help="Groups to gate on.", show_default="a tenth")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Your own task: rows of an input and its answer. Shorter sequences are padded, and all symbols get an id."""
    from hrm.generation.sequences.making import SequenceOptions, make
    from hrm.generation.sequences.rows import UNITS, Columns
    from hrm_trt.cli.choices import choice
    from hrm_trt.cli.data import data_command

    options = SequenceOptions(
        files=tuple(files),
        test_files=tuple(test_file or ()),
        columns=Columns(input_column, answer_column, group_column),
        unit=None if symbols is None else choice("--symbols", symbols, UNITS),
        length=length,
        vocabulary=vocabulary,
        test=test,
        search=search,
        calibration=calibration,
        seed=seed,
    )
    data_command(output, partial(make, options), json=json)
