"""From symbols to token ids, in one pass over rows whose vocabulary is not known before their end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from hrm.data.vocabulary import LARGEST, PAD, Vocabulary, is_writable, separator
from hrm.errors import DatasetError
from hrm.generation.sequences.records import faulty

if TYPE_CHECKING:
    import numpy.typing as npt

    from hrm.generation.sequences.records import Place
    from hrm.generation.sequences.rows import Symbols


class Alphabet:
    """Numbers symbols as they turn up, and puts those numbers into the vocabulary's order at the end.

    Args:
        fixed: a vocabulary that all symbols have to be in; None to take them as they come.
    """

    def __init__(self, fixed: Vocabulary | None = None) -> None:
        self._fixed = fixed
        self._pad = PAD if fixed is None else fixed[0]
        self._numbers = {} if fixed is None else {symbol: index for index, symbol in enumerate(fixed) if index}

    def encode(self, place: Place, symbols: Symbols) -> bytes:
        """The symbols' numbers, one byte each; they are no token ids yet.

        Raises:
            DatasetError: a symbol is outside a fixed vocabulary, cannot be written, or is one too many.
        """
        for symbol in symbols:
            if symbol not in self._numbers:
                self._admit(place, symbol)
        return bytes(self._numbers[symbol] for symbol in symbols)

    def vocabulary(self) -> Vocabulary:
        """Padding, then every symbol: short ones first, then by code point.

        Raises:
            DatasetError: a space is one of symbols of several characters.
        """
        if self._fixed is not None:
            return self._fixed
        symbols = sorted(self._numbers, key=lambda symbol: (len(symbol), symbol))
        if " " in symbols and separator(symbols):
            raise DatasetError(
                "a space cannot be a symbol here",
                why=f"it could not be told from what separates symbols such as {symbols[-1]!r}",
                hint="write the space as another symbol",
            )
        return (self._pad, *symbols)

    def token_ids(self) -> npt.NDArray[np.uint8]:
        """The token id of every number that ``encode`` gave; 0 stays padding."""
        ids = {symbol: index for index, symbol in enumerate(self.vocabulary())}
        table = np.zeros(LARGEST, dtype=np.uint8)
        for symbol, number in self._numbers.items():
            table[number] = ids[symbol]
        return table

    def _admit(self, place: Place, symbol: str) -> None:
        if symbol == self._pad:
            raise faulty(place, f"it has the symbol {symbol!r}, which stands for padding", "write it as another symbol")
        if self._fixed is not None:
            known = ", ".join(map(repr, self._fixed[1:]))
            raise faulty(place, f"{symbol!r} is not in the vocabulary", f"use one of {known}, or another --vocabulary")
        if not is_writable(symbol):
            why = f"the symbol {json.dumps(symbol)} cannot be written: it is not printable, or has white space in it"
            raise faulty(place, why, "use symbols of printable characters without white space")
        if len(self._numbers) == LARGEST - 1:
            why = f"{symbol!r} would be symbol {LARGEST}, and a token id is one byte"
            raise faulty(place, why, "use fewer symbols; --symbols says whether a character or a word is one")
        self._numbers[symbol] = len(self._numbers) + 1
