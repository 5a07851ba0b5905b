"""What the measurements should come to, and what they came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHARE = 0.85
CLIENTS = 32
"""At which the goals are set."""


@dataclass(frozen=True)
class Goal:
    """One of them."""

    what: str
    wanted: float
    found: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"goal": self.what, "wanted": self.wanted, "found": self.found, "met": self.met}


def expected_largest(counts: Mapping[str, int], rows: float) -> float:
    """The mean over all batches of ``rows`` puzzles of their largest depth, from how often each depth occurs."""
    depths = np.array(sorted(int(depth) for depth in counts))
    shares = np.array([counts[str(depth)] for depth in depths]) / sum(counts.values())
    reached = np.cumsum(shares) ** rows
    return float((depths * np.diff(reached, prepend=0.0)).sum())


def allowed(part: Mapping[str, Any], clients: int) -> float:
    """How many times a gang's throughput in-flight batching can have: a gang's segments over those that it needs."""
    rows = point(part, "gang-filled", clients)["rows_per_call"]
    return expected_largest(part["depths"]["counts"], rows) / part["depths"]["mean"]


def point(part: Mapping[str, Any], design: str, clients: int) -> dict[str, Any]:
    """The row of one design at one number of clients."""
    return next(each for each in part["points"] if (each["design"], each["clients"]) == (design, clients))


def times(part: Mapping[str, Any], design: str, clients: int) -> float:
    """In-flight batching's requests per second over another design's."""
    ours, theirs = (point(part, each, clients)["requests_per_second"] for each in ("in-flight", design))
    return float(ours / theirs)


def goals(parts: Mapping[str, Any]) -> list[Goal]:
    """Those that can be judged by what was measured."""
    return [goal for name, part in parts.items() if name in _GOALS for goal in _GOALS[name](part)]


def _compared(part: Mapping[str, Any]) -> bool:
    return any(each["clients"] == CLIENTS for each in part["points"])


def _standin(part: Mapping[str, Any]) -> Iterator[Goal]:
    yield from _right("stand-in", part)
    if _compared(part):
        ratio = allowed(part, CLIENTS)
        share = times(part, "gang-filled", CLIENTS) / ratio
        yield Goal(
            f"stand-in, {CLIENTS} clients: share of the {ratio:.2f}× over the gang that depths allow", SHARE, share
        )
        yield Goal(f"stand-in, {CLIENTS} clients: times the naive loop", 5.0, times(part, "naive", CLIENTS))


def _demo(part: Mapping[str, Any]) -> Iterator[Goal]:
    yield from _right("demo", part)
    if _compared(part):
        yield Goal(f"demo, {CLIENTS} clients: times the gang of fixed depth", 2.0, times(part, "gang-fixed", CLIENTS))


def _paper(part: Mapping[str, Any]) -> Iterator[Goal]:
    yield from _right("27M", part)
    for each in part["points"]:
        share = each["segments_per_second"] / each["in_process_segments_per_second"]
        yield Goal(f"27M, {each['clients']} clients: share of the in-process runner's segments/s", SHARE, share)


def _right(subject: str, part: Mapping[str, Any]) -> Iterator[Goal]:
    bad = sum(each["wrong"] + each["other_depth"] + sum(each["errors"].values()) for each in part["points"])
    yield Goal(f"{subject}: answers that are missing or not the in-process runner's", 0, bad, at_most=True)


def _soak(part: Mapping[str, Any]) -> Iterator[Goal]:
    yield Goal("soak: requests that ended as they should not", 0, part["failed"], at_most=True)
    yield Goal("soak: slots in use when all have gone", 0, part["slots_in_use"], at_most=True)
    for process, growth in part["growth"].items():
        yield Goal(f"soak: growth of the resident memory of {process}", 0.05, growth, at_most=True)


_GOALS = {"demo": _demo, "standin": _standin, "27m": _paper, "soak": _soak}
