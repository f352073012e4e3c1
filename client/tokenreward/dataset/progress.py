"""What a person sees while responses are worked on: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self


class Progress(Protocol):
    """Told of every response as it comes; `begin` says how many there are and how many a former run has done."""

    def begin(self, total: int, done: int) -> None: ...

    def advance(self, tokens: int, responses: int = 1) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


class Quiet:
    """Says nothing."""

    def begin(self, total: int, done: int) -> None:
        pass

    def advance(self, tokens: int, responses: int = 1) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass


class Lines(Quiet):
    """A line on stderr at most every `every` seconds, for logs."""

    def __init__(self, every: float = 5.0, done: str = "labeled") -> None:
        self._every, self._verb = every, done

    def begin(self, total: int, done: int) -> None:
        self._total, self._before, self._done, self._tokens = total, done, done, 0
        self._started = self._said = time.monotonic()

    def advance(self, tokens: int, responses: int = 1) -> None:
        self._done += responses
        self._tokens += tokens
        if time.monotonic() - self._said >= self._every or self._done == self._total:
            self._said = time.monotonic()
            print(self._line(), file=sys.stderr, flush=True)

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
        self._tokens, self._started = 0, time.monotonic()
        self._task = self._rich.add_task("", total=total, completed=done, rate="-")

    def advance(self, tokens: int, responses: int = 1) -> None:
        self._tokens += tokens
        rate = self._tokens / max(1e-6, time.monotonic() - self._started)
        self._rich.update(self._task, advance=responses, rate=f"{rate:.0f}")

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._rich.stop()


def progress_for(shown: bool | None, doing: str = "labeling", done: str = "labeled") -> Progress:
    """A bar in a terminal and lines elsewhere; nothing if not wanted. None: only in a terminal.

    doing, done: what is done to the responses.
    """
    if shown is False:
        return Quiet()
    if not sys.stderr.isatty():
        return Lines(done=done) if shown else Quiet()
    from rich.console import Console

    console = Console(stderr=True)
    return Bar(console, doing) if console.is_terminal else Lines(done=done)
