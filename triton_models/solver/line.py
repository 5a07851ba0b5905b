"""The line in which puzzles wait for a slot."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from triton_models.solver.options import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.slots import Row
    from triton_models.solver.work import Work


class Line:
    """Puzzles of level 1 go first, and within a level those that came first."""

    def __init__(self) -> None:
        self._levels: dict[int, deque[Row[Work]]] = {level: deque() for level in LEVELS}

    def __len__(self) -> int:
        return sum(map(len, self._levels.values()))

    def __iter__(self) -> Iterator[Row[Work]]:
        for rows in self._levels.values():
            yield from rows

    def ahead(self, level: int) -> int:
        """How many puzzles go before one of ``level`` that comes now."""
        return sum(len(rows) for each, rows in self._levels.items() if each <= level)

    def join(self, work: Work) -> None:
        """Put the puzzles of ``work`` behind all others of its level."""
        self._levels[work.level].extend(work.rows)

    def take(self, count: int) -> list[Row[Work]]:
        """The first ``count`` puzzles, or as many as there are; they are in the line no more."""
        taken = list(islice(self, count))
        for row in taken:
            self._levels[row.owner.level].popleft()
        return taken

    def leave(self) -> None:
        """Let the puzzles go whose requests are answered."""
        for level, rows in self._levels.items():
            self._levels[level] = deque(row for row in rows if row.owner.outcome is None)
