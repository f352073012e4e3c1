"""Progress for people: a bar in a terminal, and a plain line now and then elsewhere.

The time that is left is said only once it can be known: see `pace`.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from tokenreward.dataset.pace import Pace


class Progress(Protocol):
    """Something that is told of every response as it comes. Use it in a `with` statement."""

    def begin(self, total: int, done: int, work: int = 0) -> None:
        """Say how many responses there are, and how many of them an earlier run has done.

        Args:
            total: All responses.
            done: Those that are done already.
            work: The size of those that are not, in the measure of `advance`. 0 means that each counts alike.
        """

    def advance(self, tokens: int, responses: int = 1, work: int = 0) -> None:
        """Say that some responses, with `tokens` tokens in all and the size `work`, have come."""

    def note(self, text: str) -> None:
        """Say something else that a person should know."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class Quiet:
    """Progress that shows nothing."""

    def begin(self, total: int, done: int, work: int = 0) -> None:
        """See `Progress.begin`."""

    def advance(self, tokens: int, responses: int = 1, work: int = 0) -> None:
        """See `Progress.advance`."""

    def note(self, text: str) -> None:
        """See `Progress.note`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass


class Lines(Quiet):
    """A line on stderr at most every `every` seconds, for logs."""

    def __init__(self, every: float = 5.0, done: str = "labeled") -> None:
        self._every, self._verb = every, done

    def begin(self, total: int, done: int, work: int = 0) -> None:
        """See `Progress.begin`."""
        self._total, self._done = total, done
        self._pace = Pace(work or total - done)
        self._said = time.monotonic()

    def advance(self, tokens: int, responses: int = 1, work: int = 0) -> None:
        """See `Progress.advance`."""
        self._done += responses
        self._pace.advance(tokens, work or responses)
        if time.monotonic() - self._said >= self._every or self._done == self._total:
            self._said = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        print(text, file=sys.stderr, flush=True)

    def _line(self) -> str:
        rate, left = self._pace.tokens_per_second, self._pace.seconds_left
        rated = f", {rate:.0f} tokens/s" if rate is not None else ""
        return f"{self._verb} {self._done}/{self._total} responses{rated}" + (
            f", {span(left)} left" if left is not None else ""
        )


class Bar(Quiet):
    """A Rich progress bar on stderr."""

    def __init__(self, console: Any, doing: str = "labeling") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Rich

        self._rich = Rich(
            TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), console=console
        )

    def begin(self, total: int, done: int, work: int = 0) -> None:
        """See `Progress.begin`."""
        self._pace = Pace(work or total - done)
        self._task = self._rich.add_task("", total=total, completed=done, told="")

    def advance(self, tokens: int, responses: int = 1, work: int = 0) -> None:
        """See `Progress.advance`."""
        self._pace.advance(tokens, work or responses)
        rate, left = self._pace.tokens_per_second, self._pace.seconds_left
        told = [f"{rate:.0f} tokens/s"] if rate is not None else []
        told += [f"{span(left)} left"] if left is not None else []
        self._rich.update(self._task, advance=responses, told=", ".join(told))

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._rich.console.print(text, markup=False, highlight=False, emoji=False)

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._rich.stop()


def progress_for(shown: bool | None, doing: str = "labeling", done: str = "labeled") -> Progress:
    """Return what shows progress here: a bar in a terminal, and lines elsewhere.

    Args:
        shown: True always shows progress, False never, and None only in a terminal.
        doing: What is being done to the responses, for the bar.
        done: The same as a participle, for the lines.
    """
    if shown is False:
        return Quiet()
    if not sys.stderr.isatty():
        return Lines(done=done) if shown else Quiet()
    from rich.console import Console

    console = Console(stderr=True)
    return Bar(console, doing) if console.is_terminal else Lines(done=done)


def span(seconds: float) -> str:
    """Return a length of time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
