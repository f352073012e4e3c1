"""A Python function as a scorer, with the signature of TRL's reward functions: what scores for GRPO scores here.

`function(prompts=[...], completions=[...], completion_ids=[...], **columns) -> [float or None, ...]`, one entry for
each response; conversational prompts come with conversational completions, as in TRL.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.scorers.base import Group

#: What a function may return in place of one number for each response is an error that names it.
_RETURNS = "must return a list with one number or None for each completion"


class Function:
    """Scores by a Python function.

    Args:
        where: `module:function`; the module may lie in the current directory.

    Raises:
        BadInput: There is no such function.
    """

    def __init__(self, where: str) -> None:
        module, colon, name = where.partition(":")
        if not colon or not module or not name:
            raise BadInput(f"function:{where!r}: write function:MODULE:NAME, as in function:my_rewards:brevity")
        with _from_here():
            try:
                self._function: Callable[..., Any] = getattr(importlib.import_module(module), name)
            except (ImportError, AttributeError) as error:
                raise BadInput(f"function:{where}: {error}") from None
        self._name = where
        self.identity = {"scorer": "function", "function": where, "source": _source_hash(module)}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns one score for each response of each group.

        Raises:
            BadInput: The function does not return one number or None for each response.
        """
        pairs = [(group, number) for group in groups for number in range(len(group.responses))]
        columns = {name for group in groups for name in group.row} - {"prompt", "prompts", "completions"}
        returned = self._function(
            prompts=[group.prompt for group, _ in pairs],
            completions=[_completion(group, number) for group, number in pairs],
            completion_ids=[list(group.token_ids[number]) for group, number in pairs],
            **{name: [group.row.get(name) for group, _ in pairs] for name in sorted(columns)},
        )
        if inspect.isawaitable(returned) or not isinstance(returned, Sequence) or len(returned) != len(pairs):
            raise BadInput(f"the function {self._name} {_RETURNS}, not {_shown(returned)}")
        scores = iter(returned)
        return [[_number(next(scores), self._name) for _ in group.responses] for group in groups]


def _completion(group: Group, number: int) -> str | list[dict[str, str]]:
    text = group.responses[number]
    return text if isinstance(group.prompt, str) else [{"role": "assistant", "content": text}]


def _number(value: Any, name: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        raise BadInput(f"the function {name} {_RETURNS}; it returned {value!r}") from None


def _shown(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, Sequence) else type(value).__name__


def _source_hash(module: str) -> str | None:
    """The hash of the module's own file, so that a changed function is another scorer; None if it has no file."""
    file = getattr(sys.modules[module], "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else None


@contextmanager
def _from_here() -> Any:
    """Imports look into the current directory too, as `python -m` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
