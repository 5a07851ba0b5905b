from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from capacity_rows import row, written

from hrm_trt.capacity.prices import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MINE = """
format_version: 1
date: 2026-01-02
currency: EUR
source: our contract
machines:
  - {name: box, target: cpu, per_hour: 2.0}
"""
PROMISE = ("--rate", "360000/h", "--p99", "1.5s")


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return written(
        tmp_path, row(), row(1, 0.01), row(8, 0.5, runtime="torch"), row(runtime="other", flags=("was hot",))
    )


def test_json_is_one_document_with_all_that_was_assumed(cli: Callable[..., Any], bench: Path) -> None:
    asked = cli("capacity", bench, *PROMISE, "--json")
    assert (asked.code, asked.err) == (0, "")
    found = asked.document
    assert found["promise"] == {"rate": 100.0, "p99": 1.5, "policy": "adaptive", "utilisation": 0.8, "exact": None}
    assert found["prices"] == {
        "file": str(EXAMPLE),
        "date": "2026-11-28",
        "currency": "USD",
        "source": "made up for the example, from no price list",
        "example": True,
    }
    assert found["benchmark"]["file"] == str(bench)
    assert any("Poisson" in assumption for assumption in found["assumptions"])
    assert [one["runtime"] for one in found["cannot"]] == ["torch"]
    costs = [one["cost_per_1000"] for one in found["options"]]
    assert costs == sorted(costs)
    best = found["options"][0]
    assert (best["slots"], best["replicas"], best["depth_limit"], best["unfinished"]) == (8, 1, 8, 0.0)
    assert best["machine"] == "example CPU machine with 2 cores"
    assert best["latency_seconds"]["p50"] <= best["latency_seconds"]["p99"] <= 1.5
    assert best["cost_per_1000"] == pytest.approx(0.1 / 360)


def test_people_see_the_promise_the_price_list_and_the_assumptions(cli: Callable[..., Any], bench: Path) -> None:
    said = cli("capacity", bench, *PROMISE)
    assert (said.code, said.err) == (0, "")
    for words in (
        "100/s, p99 of 1.50s, policy adaptive",
        "EXAMPLE PRICES",
        f"{EXAMPLE} of 2026-11-28",
        "Poisson",
        "cannot torch cpu fp32 segment, batch 8: its p99 is 4.00s even where puzzles never meet",
        "was hot (other cpu fp32 segment, batch 8)",
        "80% at most",
    ):
        assert words in said.out
    assert "unfinished" not in said.out


def test_a_list_of_ones_own_is_named_with_its_date(cli: Callable[..., Any], bench: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    said = cli("capacity", bench, *PROMISE, "--prices", "mine.yaml")
    assert "mine.yaml of 2026-01-02, our contract" in said.out
    assert "box, 2 an hour for cpu EUR" in said.out
    assert "EXAMPLE" not in said.out


def test_what_is_given_up_is_said(cli: Callable[..., Any], bench: Path) -> None:
    line = ("capacity", bench, *PROMISE, "--exact", "0.9")
    assert "5.00% of puzzles are answered unfinished after 4 segments, and counted as wrong" in cli(*line).out
    best = cli(*line, "--json").document["options"][0]
    assert (best["depth_limit"], best["unfinished"]) == (4, 0.05)
    assert best["exact_at_least"] == pytest.approx(0.92)


def test_an_interrupted_benchmark_is_told(cli: Callable[..., Any], tmp_path: Path) -> None:
    assert "interrupted" in cli("capacity", written(tmp_path, row(), interrupted=True), *PROMISE).out


BAD = {
    "BENCH --rate 0/h --p99 1s": ("--rate cannot be '0/h'", "it is nothing"),
    "BENCH --rate many --p99 1s": ("--rate cannot be 'many'", "50000/h"),
    "BENCH --rate 1/s --p99 soon": ("--p99 cannot be 'soon'", "200ms"),
    "BENCH --rate 1/s --p99 50ms": ("nothing in the benchmark keeps a p99 of 50.0ms", "--p99 80ms"),
    "BENCH --rate 1/s --p99 1s --policy eager": ("--policy cannot be 'eager'",),
    "BENCH --rate 1/s --p99 1s --policy fixed": ("no row of the policy fixed", "--policy adaptive"),
    "BENCH --rate 1/s --p99 1s --utilisation 1": ("--utilisation cannot be 1.0",),
    "BENCH --rate 1/s --p99 1s --utilisation nan": ("--utilisation cannot be nan",),
    "BENCH --rate 1/s --p99 1s --exact 92": ("--exact cannot be 92.0",),
    "BENCH --rate 1/s --p99 1s --exact 0.99": ("97.00% of its answers are right",),
    "BENCH --rate 1/s --p99 1s --prices nowhere.yaml": ("cannot read the price list nowhere.yaml",),
    "BENCH --rate 1/s --p99 1s --prices gpu.yaml": ("no price for cpu in gpu.yaml", "2026-01-02"),
    "nowhere.json --rate 1/s --p99 1s": ("nowhere.json is not a benchmark's document",),
    "future.json --rate 1/s --p99 1s": ("future.json is not a benchmark's document", "format_version"),
}


@pytest.mark.parametrize(("line", "words"), BAD.items())
def test_what_cannot_be_answered_is_refused(
    cli: Callable[..., Any], bench: Path, tmp_path: Path, line: str, words: Iterable[str]
) -> None:
    (tmp_path / "gpu.yaml").write_text(MINE.replace("cpu", "sm_90"))
    future = bench.read_text().replace('"format_version":1', '"format_version":2')
    (tmp_path / "future.json").write_text(future)
    cli("capacity", *line.replace("BENCH", str(bench)).split()).assert_refused(2, *words)
