"""Deal puzzles to the splits of a data set so that no puzzle comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from hrm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hrm.generation.writing import Progress

SPLITS = ("test", "search", "calibration", "train")
"""In the order in which they are filled: whoever asks for more training puzzles keeps the other splits as they were."""
PATIENCE = 10_000
"""Known puzzles in a row after which there seem to be no others."""


class Candidate(Protocol):
    """A puzzle that may go to a split."""

    @property
    def key(self) -> bytes:
        """The same for all puzzles that the task's symmetries turn into each other."""


C = TypeVar("C", bound=Candidate)


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Check that ``sizes``, by split, are counts and leave a data set.

    Raises:
        UsageError: one is negative, or all are 0.
    """
    for split, size in sizes.items():
        if size < 0:
            raise UsageError(
                f"the {split} split cannot have {size} puzzles",
                why="a size counts puzzles",
                hint="give 0 to leave the split out",
            )
    if not any(sizes.values()):
        raise UsageError(
            "this data set would be empty",
            why=f"the size of every split is 0: {', '.join(sizes)}",
            hint="ask for at least one puzzle in one of them",
        )


def deal(candidates: Iterator[C], sizes: Mapping[str, int], progress: Progress) -> dict[str, list[C]]:
    """As many ``candidates`` for each split as ``sizes`` says; a candidate whose key was seen before is dropped.

    Returns:
        The puzzles by split, in the order of ``SPLITS``; a split of size 0 is left out.

    Raises:
        UsageError: ``sizes`` are not sizes, or there are not enough different candidates.
    """
    check_sizes(sizes)
    dealt: dict[str, list[C]] = {split: [] for split in SPLITS if sizes.get(split, 0)}
    fresh = _different(candidates)
    for split, puzzles in dealt.items():
        for puzzle in fresh:
            puzzles.append(puzzle)
            progress(f"{split} puzzles", len(puzzles), sizes[split])
            if len(puzzles) == sizes[split]:
                break
        else:
            raise _exhausted(sizes, sum(map(len, dealt.values())))
    return dealt


def _different(candidates: Iterator[C]) -> Iterator[C]:
    """The candidates without those whose key was seen before, until only such ones come."""
    seen: set[bytes] = set()
    known_in_a_row = 0
    for candidate in candidates:
        if candidate.key not in seen:
            seen.add(candidate.key)
            known_in_a_row = 0
            yield candidate
            continue
        known_in_a_row += 1
        if known_in_a_row == PATIENCE:
            return


def _exhausted(sizes: Mapping[str, int], found: int) -> UsageError:
    wanted = sum(sizes.values())
    return UsageError(
        f"there are not enough different puzzles for {wanted:,}",
        why=f"after {found:,} of them no other one came",
        hint=f"ask for fewer than {found:,} in all splits together, or for larger puzzles",
    )
