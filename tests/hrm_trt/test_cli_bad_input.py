from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from traps import Trap

from hrm_trt.pipeline import demo as demo_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

BUNDLE = "sudoku-4x4-cpu-fp32"


BAD_PUZZLES = {
    "12": ("it has 2 cells, and sudoku-4x4 has 16",),
    "1234123412341239": ("cell 16 (row 4, column 4) is '9'",),
    "": ("it has 0 cells",),
    "--example 500": ("there is no example 500", "0 to 499"),
    "--example 0 1234": ("two puzzles",),
    "--policy eager --example 0": ("--policy cannot be 'eager'", "fixed, adaptive, confidence"),
    "--model nobody --example 0": ("no bundle called nobody", BUNDLE),
    "--model models/nobody --example 0": ("no bundle called models/nobody",),
    "--dataset nowhere --example 0": ("nowhere has no test split",),
}


@pytest.mark.parametrize(("line", "words"), BAD_PUZZLES.items())
def test_a_puzzle_that_cannot_be_solved_is_refused(
    cli: Callable[..., Any], demo: Path, line: str, words: Iterable[str]
) -> None:
    cli("solve", *(line.split() or [""]), "--workdir", demo).assert_refused(2, *words)


def test_no_puzzle_at_all_is_refused(cli: Callable[..., Any], demo: Path) -> None:
    cli("solve", "--workdir", demo).assert_refused(2, "no puzzle to solve", "hrm-trt solve --example 0")


def test_without_a_build_the_command_that_makes_one_is_named(cli: Callable[..., Any]) -> None:
    refused = cli("solve", "--example", "0", "--model", demo_settings.BUNDLE)
    refused.assert_refused(2, f"no bundle called {demo_settings.BUNDLE}", "`hrm-trt build`")


BAD_EVALUATIONS = {
    "--checkpoint x --model y": ("two things to evaluate",),
    "--policy eager": ("--policy cannot be 'eager'",),
    "--dtype float16": ("--dtype cannot be 'float16'",),
    "--dtype bfloat16": ("--dtype says what PyTorch computes in",),
    "--split nothing": ("has no nothing split", "test"),
    "--model nobody": ("no bundle called nobody",),
    "--limit 4 --save-outputs file/out.npz": ("cannot write file/out.npz",),
}


@pytest.mark.parametrize(("line", "words"), BAD_EVALUATIONS.items())
def test_an_evaluation_that_makes_no_sense_is_refused(
    cli: Callable[..., Any],
    demo: Path,
    tmp_path: Path,
    line: str,
    words: Iterable[str],
) -> None:
    (tmp_path / "file").write_text("not a directory")
    cli("evaluate", *line.split(), "--workdir", demo).assert_refused(2, *words)


GOOD = np.ones((3, 16), dtype=np.int32)
BAD_INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "another name": ({"puzzles": GOOD}, "no array `inputs`; found: puzzles"),
    "another length": ({"inputs": GOOD[:, :9]}, "`inputs` is [3, 9], not [puzzles, 16]"),
    "one row": ({"inputs": GOOD[0]}, "`inputs` is [16]"),
    "a number": ({"inputs": np.int32(3)}, "`inputs` is"),
    "none": ({"inputs": GOOD[:0]}, "`inputs` is [0, 16]"),
    "fractions": ({"inputs": GOOD / 2}, "not whole numbers"),
    "unknown ids": ({"inputs": GOOD * 6}, "the model knows 0 to 5"),
    "negative ids": ({"inputs": -GOOD}, "the model knows 0 to 5"),
    "other identifiers": ({"inputs": GOOD, "puzzle_identifiers": np.zeros(2, np.int32)}, "`puzzle_identifiers` is [2]"),
    "unknown identifiers": ({"inputs": GOOD, "puzzle_identifiers": np.full(3, 99)}, "goes from 99 to 99"),
}


@pytest.mark.parametrize(("arrays", "word"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_puzzles_that_do_not_fit_are_refused(
    cli: Callable[..., Any],
    demo: Path,
    tmp_path: Path,
    arrays: dict[str, Any],
    word: str,
) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    line = ("evaluate", "--inputs", "in.npz", "--save-outputs", "out.npz", "--workdir", demo)
    cli(*line).assert_refused(2, "in.npz", word)
    assert not (tmp_path / "out.npz").exists()


def test_puzzles_that_would_run_code_are_refused_and_not_run(
    cli: Callable[..., Any], demo: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", inputs=np.array([Trap(tmp_path / "sprung")], dtype=object))
    cli("evaluate", "--inputs", "in.npz", "--workdir", demo).assert_refused(2, "in.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and nothing more", b"\x93NUMPY"])
def test_a_file_that_holds_no_puzzles_is_refused(
    cli: Callable[..., Any], demo: Path, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "in.npz").write_bytes(content)
    cli("evaluate", "--inputs", "in.npz", "--workdir", demo).assert_refused(2, "in.npz")


@pytest.mark.parametrize("what", ["nowhere", "file", "empty", "graph.onnx", "nowhere.onnx"])
def test_what_is_nothing_that_it_knows_is_said(cli: Callable[..., Any], tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("a letter")
    (tmp_path / "graph.onnx").write_text("a letter")
    (tmp_path / "empty").mkdir()
    cli("inspect", what).assert_refused(2, what)


@pytest.mark.parametrize("what", ["nowhere", "empty", "file"])
def test_a_repository_that_is_none_is_refused(cli: Callable[..., Any], tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_text("a letter")
    (tmp_path / "empty").mkdir()
    cli("preflight", what).assert_refused(2, what)
