"""`hrm-trt capacity`: how many machines keep a promise, and what they cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

from engines.act import PolicyName
from hrm.errors import UsageError
from hrm_trt.bench.document import read_bench
from hrm_trt.capacity.measured import identity, rows_of
from hrm_trt.capacity.plan import ASSUMPTIONS, PUZZLES, SEED, Promise, plan
from hrm_trt.capacity.prices import EXAMPLE, check_priced, read_prices
from hrm_trt.capacity.units import parse_duration, parse_rate
from hrm_trt.cli.capacity_tables import Found, show
from hrm_trt.cli.choices import choice
from hrm_trt.cli.console import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.capacity.plan import Cannot, Option


@dataclass(frozen=True)
class CapacityOptions:
    """What the command line says."""

    benchmark: Path
    rate: str
    p99: str
    policy: str
    prices: Path | None
    utilisation: float
    exact: float | None


def capacity_command(options: CapacityOptions, *, json: bool) -> None:
    """Plan and print."""
    promise = _promise(options)
    document = read_bench(options.benchmark)
    path = options.prices or EXAMPLE
    prices = read_prices(path)
    check_priced(prices, path, (row.target for row in rows_of(document, promise.policy)), document.machine)
    found = Found(options.benchmark, document, path, prices, promise, plan(document, prices, promise))
    if json:
        print_json(_document(found))
    else:
        show(found)


def _promise(options: CapacityOptions) -> Promise:
    _within("--utilisation", options.utilisation)
    if options.exact is not None:
        _within("--exact", options.exact)
    return Promise(
        rate=parse_rate("--rate", options.rate),
        p99=parse_duration("--p99", options.p99),
        policy=choice("--policy", options.policy, get_args(PolicyName)),
        utilisation=options.utilisation,
        exact=options.exact,
    )


def _within(option: str, given: float) -> None:
    if not 0 < given < 1:
        raise UsageError(
            f"{option} cannot be {given}",
            why="it is a share, above 0 and below 1; at 1 a line of puzzles grows without end"
            if option == "--utilisation"
            else "it is a share, above 0 and below 1",
            hint=f"such as {option} 0.8",
        )


def _document(found: Found) -> dict[str, Any]:
    bench, prices = found.document, found.prices
    return {
        "format_version": 1,
        "benchmark": {
            "file": str(found.benchmark.absolute()),
            **bench.model_dump(mode="json", include={"date", "model", "machine", "threads", "interrupted"}),
        },
        "prices": {
            "file": str(found.price_list.absolute()),
            **prices.model_dump(mode="json", include={"date", "currency", "source", "example"}),
        },
        "promise": asdict(found.promise),
        "simulation": {"puzzles": PUZZLES, "seed": SEED},
        "assumptions": list(ASSUMPTIONS),
        "options": [_option(one) for one in found.plan.options],
        "cannot": [_cannot(one) for one in found.plan.cannot],
    }


def _option(one: Option) -> dict[str, Any]:
    return {
        **identity(one.row),
        "slots": one.row.batch,
        "depth_limit": one.limited.limit,
        "unfinished": one.limited.unfinished,
        "exact_at_least": one.limited.exact,
        "replicas": one.replicas,
        "machine": one.price.name,
        "utilisation": one.utilisation,
        "busy": one.busy,
        "rows_per_step": one.rows_per_step,
        "waiting_seconds": one.waiting,
        "latency_seconds": {"mean": one.mean, "p50": one.p50, "p99": one.p99},
        "memory_bytes": one.memory,
        "per_hour": one.per_hour,
        "cost_per_1000": one.cost,
        "cost_per_1000_right": one.cost_right,
        "flags": list(one.row.flags),
    }


def _cannot(one: Cannot) -> dict[str, Any]:
    return {**identity(one.row), "slots": one.row.batch, "reason": one.reason}
