"""Work as a person sees it while it runs: a build's finished stages, and a bar or a spinner for what is at work."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)

from hrm_trt.cli.console import people
from hrm_trt.pipeline.events import Event, Finished, Noted, Progressed, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from rich.console import RenderableType
    from rich.progress import TaskID


class BuildView:
    """Shows a build's events on stderr; says nothing where that is not a terminal."""

    def __init__(self) -> None:
        self._progress = _bars()
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if not people.is_terminal:
            return
        match event:
            case Started():
                self._begin(event)
            case Progressed():
                self._advance(event)
            case Finished():
                self._end(event)
            case Noted():
                self._progress.console.print(f"  [dim]{escape(event.text)}[/]")

    def _begin(self, event: Started) -> None:
        self._clear()
        self._task = self._progress.add_task(_label(event.stage, event.subject), total=None)

    def _advance(self, event: Progressed) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=event.done, total=event.total)

    def _end(self, event: Finished) -> None:
        self._clear()
        spent = "[dim]already done[/]" if event.cached else f"{event.seconds:.1f} s"
        self._progress.console.print(f"[green]✓[/] {_label(event.stage, event.subject)}  {spent}")

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


@contextmanager
def counting_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on stderr, one for everything that is counted: told what it is, how many are done, and how many in all.

    Nothing where stderr is not a terminal.
    """
    tasks: dict[str, TaskID] = {}
    with _bars() as bars:

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield tell


@contextmanager
def puzzle_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that is told puzzles done and puzzles in all; nothing where stderr is not a terminal."""
    with _bars() as bar:
        task = bar.add_task(escape(label), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def relabelled_bar() -> Iterator[Callable[[str, int, int], None]]:
    """One bar on stderr that is told what is at work, what is done, and what there is in all; nothing in a pipe."""
    with _bars() as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=escape(what), completed=done, total=total)


def _bars() -> Progress:
    return Progress(*_columns(), console=people, transient=True, disable=not people.is_terminal)


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        _Measured(BarColumn(bar_width=24)),
        _Measured(MofNCompleteColumn()),
        _Measured(TimeRemainingColumn()),
    )


class _Measured(ProgressColumn):
    """Another column, shown only where it is known how much there is to do."""

    def __init__(self, column: ProgressColumn) -> None:
        self._column = column
        super().__init__()

    def render(self, task: Task) -> RenderableType:
        """The other column, or nothing."""
        return "" if task.total is None else self._column.render(task)


def _label(stage: str, subject: str) -> str:
    return f"{stage:<9} {escape(subject):<44}"
