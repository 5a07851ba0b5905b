"""Where a mean request's milliseconds go, put together from three clocks: its client's, the solver's and Triton's.

The client's latency less what the model took is the way there and back. Triton times every call of an engine, so what
the model took and no engine did is BLS, with the orchestrator's own work. A row of a gang pays for the segments of the
deepest row; those after its own depth are counted apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Times(NamedTuple):
    """Milliseconds of a mean request."""

    engine: float
    """Inside the engines, up to the puzzle's own depth."""
    bls: float
    """Between solver and engines: messages, copies, Triton's queue; and the solver's own work."""
    idle: float
    """Segments after the puzzle had halted, for its neighbours in a gang."""
    waiting: float
    """For a slot, or for a gang to fill or end."""
    way: float
    """Client, gRPC, and Triton's front."""

    @property
    def total(self) -> float:
        """The client's latency."""
        return sum(self)


def times(point: Mapping[str, Any], name: str, depth: float) -> Times:
    """The account of one row of the results.

    Args:
        point: the row.
        name: of the set of engines.
        depth: mean segments that its puzzles need.
    """
    triton = point["triton_ms"]
    segment, encoder = triton[f"{name}_segment"], triton[f"{name}_encoder"]
    (model,) = (times for key, times in triton.items() if key not in (f"{name}_segment", f"{name}_encoder"))
    encodings = encoder["calls"] / segment["calls"]
    inside = segment["compute_infer"] + encodings * encoder["compute_infer"]
    steps = segment["rows"] / model["rows"]
    solving = point["solve_ms"] or sum(model[part] for part in ("compute_input", "compute_infer", "compute_output"))
    turn = min(solving / steps, _turn(point, segment))
    needed = min(depth, steps) if point.get("gang") else steps
    way = point["mean_ms"] - model["queue"] - solving
    return Times(
        engine=needed * inside,
        bls=needed * (turn - inside),
        idle=(steps - needed) * turn,
        waiting=model["queue"] + max(0.0, solving - steps * turn),
        way=max(0.0, way),
    )


def _turn(point: Mapping[str, Any], segment: Mapping[str, float]) -> float:
    """Milliseconds from one segment to the next while somebody always waits for it."""
    return 1e3 * float(point["observed_seconds"]) / segment["calls"]
