"""The symbols of a user's own task: ``vocabulary.json`` beside a data set, what each token id is written as.

A JSON list of strings. Id 0 stands for padding, which fills what is shorter than the longest sequence.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from hrm.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Vocabulary = tuple[str, ...]
"""What each token id is written as."""
VOCABULARY = "vocabulary.json"
PAD = "□"
"""How padding is written where it has to be: within an answer that should not have any."""
LARGEST = 256
"""Token ids are stored in one byte."""


def read_vocabulary(directory: Path, size: int) -> Vocabulary | None:
    """The vocabulary of the data set in ``directory``; None where it has none, as those of the known tasks.

    Raises:
        DatasetError: it is malformed, or does not have ``size`` symbols.
    """
    path = directory / VOCABULARY
    if not path.exists():
        return None
    vocabulary = load_vocabulary(path)
    if len(vocabulary) != size:
        raise _malformed(path, f"it has {len(vocabulary)} symbols, and the data set has {size} token ids")
    return vocabulary


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a file.

    Raises:
        DatasetError: it cannot be read, or a symbol occurs twice or cannot be written.
    """
    try:
        vocabulary = TypeAdapter(Vocabulary).validate_json(path.read_bytes())
    except OSError as error:
        raise _malformed(path, f"it cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _malformed(path, f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from error
    fault = _fault(vocabulary)
    if fault is not None:
        raise _malformed(path, fault)
    return vocabulary


def is_writable(symbol: str) -> bool:
    """Whether a symbol can be told from others in a line of text: printable, and without white space within."""
    return bool(symbol) and symbol.isprintable() and (symbol == " " or " " not in symbol)


def separator(vocabulary: Iterable[str]) -> str:
    """What stands between symbols: nothing where each is one character, else a space."""
    return "" if all(len(symbol) == 1 for symbol in vocabulary) else " "


def _fault(vocabulary: Vocabulary) -> str | None:
    if not 2 <= len(vocabulary) <= LARGEST:
        return f"it has {len(vocabulary)} symbols; padding and 1 to {LARGEST - 1} others can be stored"
    for index, symbol in enumerate(vocabulary):
        if not is_writable(symbol):
            return f"symbol {index} is {json.dumps(symbol)}: not printable, or with a space in it"
        if symbol in vocabulary[:index]:
            return f"{symbol!r} stands there twice, as {vocabulary.index(symbol)} and as {index}"
    if " " in vocabulary and separator(vocabulary):
        return "a space cannot be a symbol where others have more than one character"
    return None


def _malformed(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path} is not a vocabulary",
        why=why,
        hint='it should be a JSON list of what each token id is written as, padding first: ["□", "a", "b"]',
    )
