"""Which rows a request wants, and what of them, as vLLM carries it into its worker: in `SamplingParams.extra_args`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward_workers.wanted import NamedIds, Wanted

_NAME = "tokenreward_wanted"


def wanted_arguments(first: int, wanted: Wanted) -> dict[str, Any]:
    """Write what is wanted of the prompt's rows from `first` on, beside their log-probs."""
    ids = None if wanted.ids is None else [wanted.ids.width, wanted.ids.data]
    return {_NAME: [first, wanted.moments, wanted.top, ids]}


def read_arguments(extra_args: Mapping[str, Any] | None) -> tuple[int, Wanted] | None:
    """Read the first row and what is wanted; None where nothing was written."""
    found = (extra_args or {}).get(_NAME)
    if found is None:
        return None
    first, moments, top, ids = found
    return first, Wanted(moments, top, None if ids is None else NamedIds(*ids))
