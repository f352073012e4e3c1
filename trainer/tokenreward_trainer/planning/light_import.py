"""Importing transformers without what takes longer to load than everything that `--check` does.

transformers imports peft for two classes that it compares models with. Here it gets stand-ins for them, which load peft
when the first model is compared. And to ask whether it runs in a Kubeflow job, TrainingArguments imports all
integrations, and with them the code of models, generation and scikit-learn; a check reports to nobody, so here the
answer is no. Each can go once transformers imports these late.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_CLASSES = ("PeftModel", "PeftMixedModel")


class _Late(type):
    """The type of a stand-in, which knows the real class's instances."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, getattr(import_module("peft"), cls.__name__))


@contextmanager
def light_transformers() -> Iterator[None]:
    """Has transformers import neither peft nor its integrations within the context, if it has not yet."""
    with _without_peft():
        integrations: Any = import_module("transformers.integrations")
        loaded = "transformers.integrations.integration_utils" in sys.modules
        if not loaded:
            integrations.is_kubeflow_available = lambda: False
        try:
            yield
        finally:
            if not loaded:
                del integrations.is_kubeflow_available


@contextmanager
def _without_peft() -> Iterator[None]:
    spec = None if "peft" in sys.modules else find_spec("peft")
    if spec is None:
        yield
        return
    stand_in = ModuleType("peft")
    stand_in.__spec__ = spec
    for name in _CLASSES:
        setattr(stand_in, name, _Late(name, (), {}))
    sys.modules["peft"] = stand_in
    try:
        yield
    finally:
        if sys.modules.get("peft") is stand_in:
            del sys.modules["peft"]
