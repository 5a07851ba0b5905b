"""What rows amount to: each input once, with one answer, in groups that no split may divide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hrm.generation.sequences.records import Place, faulty

if TYPE_CHECKING:
    from hrm.generation.sequences.alphabet import Alphabet
    from hrm.generation.sequences.rows import Row


class Example(NamedTuple):
    """An input and its answer, in the alphabet's numbers."""

    place: Place
    input: bytes
    answer: bytes
    group: str | None
    """None where it stands alone."""

    @property
    def length(self) -> int:
        """The cells that it needs."""
        return max(len(self.input), len(self.answer))


@dataclass
class Collection:
    """The examples of all files, in the order in which they stand there."""

    alphabet: Alphabet
    examples: dict[bytes, Example] = field(default_factory=dict)
    """By their input."""
    repeated: int = 0
    """Rows left out because they say the same as an earlier one."""

    @property
    def rows(self) -> int:
        """Rows that were added, repeats among them."""
        return len(self.examples) + self.repeated

    def add(self, row: Row) -> None:
        """Add a row, unless it is there already.

        Raises:
            DatasetError: its input stands elsewhere with another answer, or in another group.
        """
        encode = self.alphabet.encode
        example = Example(row.place, encode(row.place, row.input), encode(row.place, row.answer), row.group)
        earlier = self.examples.setdefault(example.input, example)
        if earlier is not example:
            _check_repeat(earlier, example)
            self.repeated += 1

    def groups(self) -> list[list[Example]]:
        """The examples that belong together."""
        groups: dict[str | Place, list[Example]] = {}
        for example in self.examples.values():
            groups.setdefault(example.place if example.group is None else example.group, []).append(example)
        return list(groups.values())


def _check_repeat(earlier: Example, example: Example) -> None:
    if earlier.answer != example.answer:
        raise faulty(
            example.place,
            f"it has the input of {earlier.place}, and another answer",
            "keep one of the two: a network gives one answer to an input",
        )
    if earlier.group != example.group:
        raise faulty(
            example.place,
            f"it repeats {earlier.place}, in group {example.group!r} instead of {earlier.group!r}",
            "give both one group: rows that share an input may not fall into different splits",
        )
