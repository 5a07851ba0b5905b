"""The check behind every pass: it fired exactly as often as the architecture says."""

from __future__ import annotations

from export.faults import fault


def expect(name: str, found: int, expected: int) -> None:
    """Refuse a graph in which the pass ``name`` did not fire ``expected`` times.

    Raises:
        ExportError: it fired more or less often.
    """
    if found != expected:
        why = f"it should fire {expected} times and fired {found} times"
        raise fault(f"the graph pass {name} met a graph that it does not know", why)
