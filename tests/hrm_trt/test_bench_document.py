"""What is said of rows: flags, changes, tables and pictures, and the document that they are read from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bench_subjects import document, row
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hrm.errors import UsageError
from hrm_trt.bench.compare import differences, read_other
from hrm_trt.bench.document import Refused, read_bench, spread
from hrm_trt.bench.flags import flagged
from hrm_trt.bench.picture import draw
from hrm_trt.bench.table import show

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.bench.document import BenchDocument, Row

PNG = b"\x89PNG\r\n\x1a\n"
TORCH = row("torch", speed=50)


def flags_of(*rows: Row) -> tuple[str, ...]:
    """Of the last row."""
    return flagged(rows)[-1].flags


def test_a_faster_engine_that_loses_nothing_has_no_flag() -> None:
    assert flags_of(TORCH, row()) == ()
    assert flags_of(TORCH, row(exact=0.9881)) == ()


def test_an_engine_slower_than_pytorch_is_flagged() -> None:
    assert flags_of(TORCH, row(speed=40)) == (
        "slower than PyTorch at the same batch and policy: 40 against 50 puzzles/s",
    )


@pytest.mark.parametrize("changed", [{"batch": 1}, {"policy": "adaptive"}])
def test_it_is_compared_at_the_same_batch_and_policy(changed: dict[str, Any]) -> None:
    assert flags_of(TORCH, row(speed=40, **changed)) == ()


def test_a_precision_slower_than_the_plain_one_is_flagged() -> None:
    fp32 = row()
    assert flags_of(TORCH, fp32, row(precision="int8", speed=90)) == (
        "slower than fp32 in the same runtime: 90 against 100 puzzles/s",
    )
    assert flags_of(TORCH, fp32, row(precision="int8", speed=90, topology="planner-executor")) == ()
    assert flags_of(TORCH, fp32, row(precision="int8", speed=190)) == ()
    gpu = row("tensorrt", "fp16", target="sm_90")
    assert flags_of(gpu, row("tensorrt", "fp8", target="sm_90", speed=60)) == (
        "slower than fp16 in the same runtime: 60 against 100 puzzles/s",
    )


@pytest.mark.parametrize("changed", [{}, {"policy": "adaptive"}, {"batch": 1}])
def test_lost_accuracy_is_flagged(changed: dict[str, Any]) -> None:
    (flag,) = flags_of(TORCH, row(exact=0.985, **changed))
    assert flag == "exact accuracy is 0.50 points below PyTorch's under fixed: 98.50% against 99.00% of 200 puzzles"


def test_a_batch_that_was_never_full_is_flagged() -> None:
    assert flags_of(TORCH, row(puzzles=20)) == ("the batch was never full: 20 puzzles for 32 slots",)
    assert flags_of(TORCH, row(puzzles=32)) == ()


def test_what_a_row_says_of_itself_stays() -> None:
    assert flags_of(row(flags=("3 puzzles got NaN or infinity",))) == ("3 puzzles got NaN or infinity",)


def test_what_else_differs_is_said() -> None:
    ours = document(row(), dataset="e" * 64, threads=4, machine={"processor": "another"}, versions={"torch": "2.14.0"})
    said = "; ".join(differences(ours, document(row(), interrupted=True)))
    for words in ("other puzzles", "2 threads there, 4 here", "another here", "torch 2.13.0 there", "interrupted"):
        assert words in said
    assert list(differences(document(row()), document(row()))) == []


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "other.json"
    path.write_text(document(row()).model_dump_json())
    return path


def test_a_document_is_read_as_it_was_written(stored: Path) -> None:
    assert read_bench(stored) == document(row())
    assert read_other(stored, "c" * 64) == document(row())


def test_another_models_document_is_refused(stored: Path) -> None:
    with pytest.raises(UsageError, match="cannot be compared") as refused:
        read_other(stored, "a" * 64)
    assert "cccccccccccc" in refused.value.why


def test_another_version_of_the_format_is_refused(stored: Path) -> None:
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"format_version": 2}))
    with pytest.raises(UsageError) as refused:
        read_other(stored, "c" * 64)
    assert "format_version" in refused.value.why


@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.recursive(st.none() | st.integers(), st.lists).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_is_no_document_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_bench(path)


@given(st.lists(st.floats(0.001, 1000), min_size=1))
def test_a_spread_is_of_what_was_measured(values: list[float]) -> None:
    made = spread(tuple(values))
    assert made.each == tuple(values)
    assert made.least == min(values) <= made.median <= made.most == max(values)


FULL = document(
    *flagged(
        (
            row("torch", batch=1, speed=10),
            row(batch=1, speed=20),
            row("torch", speed=50),
            row(speed=100, topology="planner-executor", model="tiny-planner-executor"),
            row(precision="int8", speed=80, exact=0.5, policy="adaptive", depths={1: 100, 4: 100}),
        )
    ),
    refused=(
        Refused(runtime="tensorrt", target="sm_90", precision="fp16", reason="tensorrt is not installed"),
        Refused(runtime="tensorrt", target="sm_100", precision="fp16", reason="tensorrt is not installed"),
    ),
)


def shown(made: BenchDocument, other: BenchDocument | None = None, width: int = 100) -> str:
    console = Console(width=width, soft_wrap=True, no_color=True)
    with console.capture() as capture:
        console.print(show(made, other))
    return capture.get()


def test_the_table_shows_speed_with_accuracy() -> None:
    text = shown(FULL, width=120)
    line, cost = (line for line in text.splitlines() if line.lstrip().startswith("onnxruntime fp32, planner-executor"))
    cells = " ".join(line.split()[3:])
    assert cells == "fixed 100 2.00 110 ms 70% 99.00% 8.00"
    line, _ = (line for line in text.splitlines() if line.lstrip().startswith("onnxruntime int8  "))
    assert {"!", "50.00%", "2.50", "1.60"} <= set(line.split())
    assert "tiny, batch 1: 200 puzzles, 3 repetitions" in text
    assert " ".join(cost.split()[3:]) == "32 fixed 20% 11 ms 1.5 s 20 ms 200.0 MB"


def test_the_table_fits_into_a_narrow_terminal() -> None:
    lines = shown(FULL, FULL, width=80).splitlines()
    tables = [line for line in lines if line.startswith(" ") and "  ! " not in line[:4]]
    assert max(map(len, tables[: tables.index(next(line for line in tables if "tensorrt" in line))])) <= 80
    assert not [line for line in lines if "…" in line]
    assert len([line for line in lines if line.split() == ["planner-executor"]]) == 3


def test_below_the_table_nothing_is_left_out() -> None:
    text = shown(FULL)
    assert "onnxruntime int8, adaptive: exact accuracy is 49.00 points below" in text
    assert "tensorrt sm_90 fp16, tensorrt sm_100 fp16: tensorrt is not installed" in text
    assert "limit: 120 GFLOP/s, a float32 product of 1184 × 128 × 1024 in torch" in text
    assert "interrupted" not in text
    assert "other programs" not in text
    busy = FULL.model_copy(update={"machine": {"busy_percent": 40.0}})
    assert "other programs used up to 40% of the processor" in shown(busy)
    assert "interrupted" in shown(FULL.model_copy(update={"interrupted": True}))


def test_the_table_shows_what_changed() -> None:
    other = document(row("torch", speed=40), row(precision="int8", policy="adaptive", speed=100, exact=0.6), threads=1)
    text = shown(FULL, other)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "torch fp32 32 fixed 50 40 +25.0% 99.00% 99.00%" in lines
    assert "onnxruntime int8 32 adaptive 80 100 -20.0% 50.00% 60.00%" in lines
    assert "onnxruntime fp32, planner-executor 32 fixed 100 – new 99.00% –" in lines
    assert "1 thread there, 2 here" in text


def test_without_pytorch_there_is_no_ratio() -> None:
    line, _ = (line for line in shown(document(row())).splitlines() if line.lstrip().startswith("onnxruntime"))
    assert "–" in line.split()


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (FULL, {"throughput", "depth", "limit"}),
        (document(row(share_of_limit=None), matrix_flops=None), {"throughput", "depth"}),
    ],
)
def test_pictures_are_drawn(tmp_path: Path, made: BenchDocument, names: set[str]) -> None:
    paths = draw(made, tmp_path / "pictures")
    assert {path.stem for path in paths} == names
    assert all(path.read_bytes().startswith(PNG) for path in paths)
