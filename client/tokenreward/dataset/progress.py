"""Progress for people: a bar in a terminal, and a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self


class Progress(Protocol):
    """Something that is told of every response as it comes. Use it in a `with` statement."""

    def begin(self, total: int, done: int) -> None:
        """Say how many responses there are, and how many of them an earlier run has done."""

    def advance(self, tokens: int, responses: int = 1) -> None:
        """Say that some responses, with `tokens` tokens in all, have come."""

    def note(self, text: str) -> None:
        """Say something else that a person should know."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class Quiet:
    """Progress that shows nothing."""

    def begin(self, total: int, done: int) -> None:
        """See `Progress.begin`."""

    def advance(self, tokens: int, responses: int = 1) -> None:
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

    def begin(self, total: int, done: int) -> None:
        """See `Progress.begin`."""
        self._total, self._before, self._done, self._tokens = total, done, done, 0
        self._started = self._said = time.monotonic()

    def advance(self, tokens: int, responses: int = 1) -> None:
        """See `Progress.advance`."""
        self._done += responses
        self._tokens += tokens
        if time.monotonic() - self._said >= self._every or self._done == self._total:
            self._said = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        print(text, file=sys.stderr, flush=True)

    def _line(self) -> str:
        seconds = max(1e-6, time.monotonic() - self._started)
        left = (self._total - self._done) * seconds / max(1, self._done - self._before)
        rate = self._tokens / seconds
        return f"{self._verb} {self._done}/{self._total} responses, {rate:.0f} tokens/s, {left:.0f} s left"


class Bar(Quiet):
    """A Rich progress bar on stderr."""

    def __init__(self, console: Any, doing: str = "labeling") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        self._rich = Rich(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} tokens/s"),
            TimeRemainingColumn(),
            console=console,
        )

    def begin(self, total: int, done: int) -> None:
        """See `Progress.begin`."""
        self._tokens, self._started = 0, time.monotonic()
        self._task = self._rich.add_task("", total=total, completed=done, rate="-")

    def advance(self, tokens: int, responses: int = 1) -> None:
        """See `Progress.advance`."""
        self._tokens += tokens
        rate = self._tokens / max(1e-6, time.monotonic() - self._started)
        self._rich.update(self._task, advance=responses, rate=f"{rate:.0f}")

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
