"""Importing transformers without peft, which takes longer to load than everything that `--check` does.

transformers imports peft for two classes that it compares models with. Here it gets stand-ins for them, which load peft
when the first model is compared. This can go once transformers imports peft late.
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
def without_peft() -> Iterator[None]:
    """Has modules that are imported within the context take stand-ins of peft's classes, if peft is not loaded yet."""
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
