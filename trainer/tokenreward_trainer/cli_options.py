"""A section of settings as command-line options: one option a field, its name with dashes, its default in the help."""

from __future__ import annotations

import argparse
from typing import Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tokenreward.errors import BadInput
from tokenreward_trainer.config_file import value_of

Section = TypeVar("Section", bound=BaseModel)


def add_options(parser: argparse.ArgumentParser, section: type[BaseModel]) -> None:
    """Adds an option to the parser for each field of a section."""
    group = parser.add_argument_group(section.__name__.lower())
    for name, info in section.model_fields.items():
        flag, shown = "--" + name.replace("_", "-"), f"default: {info.default}"
        if info.annotation is bool:
            group.add_argument(flag, action="store_true", default=None, help="default: no")
        else:
            group.add_argument(flag, default=None, metavar=_metavar(info), help=shown)


def section_of(section: type[Section], arguments: argparse.Namespace) -> Section:
    """Makes the section that the options describe.

    Args:
        section: The section's class.
        arguments: What the parser found, with the options of `add_options`.

    Raises:
        BadInput: A value is of another type or out of its range; the message names the option.
    """
    given = {name: getattr(arguments, name) for name in section.model_fields if getattr(arguments, name) is not None}
    values = {name: value_of(value) if isinstance(value, str) else value for name, value in given.items()}
    try:
        return section.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise BadInput(f"--{name.replace('_', '-')} {given[name]}: {first['msg']}") from None


def _metavar(info: FieldInfo) -> str:
    if get_origin(info.annotation) is Literal:
        return "{" + ",".join(get_args(info.annotation)) + "}"
    return "N"
