"""Rows of a user's own files: an input and its answer, split into symbols."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from hrm.generation.sequences.records import Place, faulty, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Unit = Literal["characters", "words"]
"""What of a text is a symbol: every character (a space too), or what stands between white space."""
UNITS: tuple[Unit, ...] = get_args(Unit)
Symbols = tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """The columns of a CSV, or the keys of JSON lines, that hold each part of a row."""

    input: str = "input"
    answer: str = "answer"
    group: str | None = None
    """None: ``group``, where a row has one."""


class Row(NamedTuple):
    """An input and its answer, split into symbols."""

    place: Place
    input: Symbols
    answer: Symbols
    group: str | None
    """The same for rows that are copies of one puzzle; None for a row that stands alone."""


def read_rows(path: Path, columns: Columns, unit: Unit | None) -> Iterator[Row]:
    """The rows of one file.

    Args:
        path: a ``.csv`` with a header, or ``.jsonl``.
        columns: where each part of a row stands.
        unit: what of a text is a symbol; None: characters, and a text with white space is refused, because it could
            mean either.

    Raises:
        UsageError: the file is of another kind.
        DatasetError: the file or a row of it cannot be read.
    """
    for place, record in read_records(path):
        yield Row(
            place,
            _sequence(place, record, columns.input, unit),
            _sequence(place, record, columns.answer, unit),
            _group(place, record, columns.group),
        )


def _sequence(place: Place, record: Mapping[str, Any], name: str, unit: Unit | None) -> Symbols:
    value = _value(place, record, name)
    symbols = _symbols(place, name, value) if isinstance(value, list) else _split(place, name, str(value), unit)
    if not symbols:
        raise faulty(place, f"its {name} is empty", "give every input and every answer at least one symbol")
    return symbols


def _value(place: Place, record: Mapping[str, Any], name: str) -> Any:
    """What stands under ``name``: text, a whole number or a list."""
    if name not in record:
        found = ", ".join(map(repr, record)) or "nothing"
        raise faulty(place, f"it has no {name!r}; found: {found}", "name yours with --input, --answer and --group")
    value = record[name]
    if not isinstance(value, str | int | list) or isinstance(value, bool):
        raise faulty(place, f"its {name} is {json.dumps(value)}", "give text, a whole number, or a list of those")
    return value


def _symbols(place: Place, name: str, items: list[Any]) -> Symbols:
    for index, item in enumerate(items, 1):
        if not isinstance(item, str | int) or isinstance(item, bool):
            why = f"item {index} of its {name} is {json.dumps(item)}"
            raise faulty(place, why, "give every symbol as text or as a whole number")
    return tuple(map(str, items))


def _split(place: Place, name: str, text: str, unit: Unit | None) -> Symbols:
    if unit == "words":
        return tuple(text.split())
    if unit is None and any(map(str.isspace, text)):
        raise faulty(
            place,
            f"its {name} holds white space, which may stand between symbols or be one",
            "say which: --symbols words (it stands between) or --symbols characters (a space is one)",
        )
    return tuple(text)


def _group(place: Place, record: Mapping[str, Any], name: str | None) -> str | None:
    if name is None and "group" not in record:
        return None
    value = _value(place, record, name or "group")
    if isinstance(value, list) or value == "":
        raise faulty(
            place, f"its {name or 'group'} is {json.dumps(value)}", "name every row's group by text or a number"
        )
    return str(value)
