"""The types of [train]'s options, which are those of PreferenceConfig: as strict as every other section's."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import Field, fields
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.config_file import nearest
from tokenreward_trainer.training.config import PreferenceConfig

#: Types where transformers takes more than it declares, or a file can give less.
_OTHER: dict[str, Any] = {
    "fsdp": str | bool | None,
    "resume_from_checkpoint": str | bool | None,
    "parallelism_config": None,
}
_STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)


def check_train(options: Mapping[str, Any]) -> None:
    """Checks the names and types of [train], and values of which transformers has a list.

    Args:
        options: The section's content.

    Raises:
        BadInput: An option is unknown, or its value is of another type or not among those that there are.
    """
    known = _fields()
    for name, value in options.items():
        if name not in known:
            raise BadInput(
                f"unknown option train.{name}{nearest(name, [*known])}; see PreferenceConfig and transformers' "
                "TrainingArguments"
            )
        hint = _hints()[name]
        try:
            TypeAdapter(hint, config=_STRICT).validate_python(value)
        except ValidationError as error:
            says = " or ".join(dict.fromkeys(found["msg"] for found in error.errors()))
            raise BadInput(f"train.{name} = {value!r}: {says}") from None
        choices = known[name].metadata.get("choices") or next(map(_values, filter(_is_enum, _parts(hint))), ())
        if isinstance(value, str) and choices and value not in choices:
            raise UnknownName(f"train.{name}", value, list(choices))


@cache
def _fields() -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(PreferenceConfig) if field.init}


@cache
def _hints() -> dict[str, Any]:
    return {**get_type_hints(PreferenceConfig), **_OTHER}


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_enum(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Enum)


def _values(part: Any) -> list[str]:
    return [str(member.value) for member in part]
