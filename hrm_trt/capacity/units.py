"""Rates and durations as people write them, and written for people."""

from __future__ import annotations

import math
import re

from hrm.errors import UsageError

PER = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""What a rate may be per, in seconds."""
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""What a duration may be in."""
_NUMBER = r"\s*(\d+(?:\.\d+)?|\.\d+)\s*"


def parse_rate(option: str, given: str) -> float:
    """Puzzles per second, of `50000/h`, `120/min` or `14/s`.

    Raises:
        UsageError: it is not written like that, or is nothing or endless.
    """
    found = re.fullmatch(rf"{_NUMBER}/\s*({'|'.join(PER)})\s*", given, flags=re.ASCII)
    if found is None:
        raise _unreadable(option, given, f"it is not a number, `/` and one of {', '.join(PER)}", "50000/h or 14/s")
    return _positive(option, given, float(found[1]) / PER[found[2]], "50000/h or 14/s")


def parse_duration(option: str, given: str) -> float:
    """Seconds, of `200ms` or `1.5s`.

    Raises:
        UsageError: it is not written like that, or is nothing or endless.
    """
    found = re.fullmatch(rf"{_NUMBER}({'|'.join(SECONDS)})\s*", given, flags=re.ASCII)
    if found is None:
        raise _unreadable(option, given, f"it is not a number and one of {', '.join(SECONDS)}", "200ms or 1.5s")
    return _positive(option, given, float(found[1]) * SECONDS[found[2]], "200ms or 1.5s")


def format_duration(seconds: float) -> str:
    """Three digits and a unit that ``parse_duration`` reads, such as `35.2ms`."""
    value, unit = _in_unit(seconds)
    return f"{value:.{_decimals(value)}f}{unit}"


def format_rate(per_second: float) -> str:
    """Three digits per the shortest time in which it is one or more, such as `13.9/s`."""
    unit = next((name for name, seconds in PER.items() if per_second * seconds >= 1), "d")
    value = per_second * PER[unit]
    return f"{value:,.{_decimals(value)}f}/{unit}"


def ceiling(seconds: float) -> str:
    """The least duration of two digits that is no shorter, for `--p99`: what was measured, rounded upwards."""
    value, unit = _in_unit(seconds)
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = f"{math.ceil(value / step * (1 - 1e-9)) * step:.6f}"
    return f"{digits.rstrip('0').rstrip('.')}{unit}"


def _in_unit(seconds: float) -> tuple[float, str]:
    """A duration in the longest of three units in which it is one or more."""
    unit = next((name for name in ("s", "ms") if seconds >= SECONDS[name]), "us")
    return seconds / SECONDS[unit], unit


def _decimals(value: float) -> int:
    """So many that three digits show."""
    return max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0


def _positive(option: str, given: str, value: float, example: str) -> float:
    if value == 0 or math.isinf(value):
        raise _unreadable(option, given, "it is nothing" if value == 0 else "it is beyond all numbers", example)
    return value


def _unreadable(option: str, given: str, why: str, example: str) -> UsageError:
    return UsageError(f"{option} cannot be {given!r}", why=why, hint=f"such as {option} {example}")
