"""One error for everything that keeps an engine or a model from being loaded: one line, and no restart loop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from tokenreward.errors import BadInput

log = logging.getLogger(__name__)

#: How PyTorch and vLLM word it when memory does not suffice, in lower case.
_OUT_OF_MEMORY = ("out of memory", "allocate memory", "no available memory")


class CannotLoad(BadInput):
    """The engine or its model cannot be loaded here; starting again would end the same way."""


@contextlib.contextmanager
def loading(engine: str, path: Path | None) -> Iterator[None]:
    """Turn what goes wrong while an engine loads a model into one line.

    Args:
        engine: The engine's name.
        path: The model's directory, if it has one.

    Raises:
        CannotLoad: In place of any error but BadInput, which says what is wrong already.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # a model's code and an engine's start may raise anything
        log.debug("engine %s cannot load %s", engine, path, exc_info=True)
        raise CannotLoad(_line(engine, path, error)) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on a GPU or beside it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def _line(engine: str, path: Path | None, error: Exception) -> str:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, ImportError):
        return f"engine {engine!r} needs {error.name or said}, which cannot be imported: {said}"
    model = f"the model in {path}" if path else "its model"
    if out_of_memory(error):
        advice = "take a smaller model, a smaller --batch-tokens or more GPUs, or free the memory that others hold"
        return f"engine {engine!r}: the memory does not suffice for {model}; {advice} ({said[:300]})"
    return f"engine {engine!r} cannot load {model}: {type(error).__name__}: {said[:500]}"
