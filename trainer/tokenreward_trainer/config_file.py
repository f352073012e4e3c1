"""Settings as TOML files: strict sections, `--section.key value` options, and errors that name the option."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tokenreward.errors import BadInput

Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of a settings file: frozen, and strict about names and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def content_of(config: str, ours: Mapping[str, Path], overrides: Sequence[str]) -> dict[str, Any]:
    """Reads a TOML file and puts options of the command line into it.

    Args:
        config: A path, or the name of one of `ours`.
        ours: Shipped files by name.
        overrides: Options as `--section.key value` or `--section.key=value`.

    Returns:
        Sections by name, not yet checked.

    Raises:
        BadInput: There is no such file, it is not TOML, or an option is not of that form.
    """
    path = ours.get(config, Path(config))
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise BadInput(f"{config}: no such file, and no shipped configuration ({', '.join(ours)})") from None
    except ValueError as error:
        raise BadInput(f"{config}: not TOML: {error}") from None
    for section, key, value in _overrides(overrides):
        *tables, last = key.split(".")
        table = content.setdefault(section, {})
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise BadInput(f"--{section}.{key}: {part} is no table")
        table[last] = value
    return content


def complaints(error: ValidationError, root: type[Section]) -> str:
    """Says what is wrong with a file, a line for each error, with the options' names.

    Args:
        error: What pydantic found.
        root: The model of the whole file.
    """
    return "\n".join(_complaint(found, root) for found in error.errors())


def value_of(text: str) -> Any:
    """Reads an option's value as TOML; a text that is not TOML stays text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def nearest(name: str, known: Sequence[str]) -> str:
    """Returns ` (did you mean ...?)` for a known name that is close, else nothing."""
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _complaint(error: Mapping[str, Any], root: type[Section]) -> str:
    *path, last = [str(part) for part in error["loc"] if not str(part).startswith(("function", "list["))]
    known = list(getattr(_section(root, path), "model_fields", {}))
    name = ".".join([*path, last])
    if error["type"] == "extra_forbidden":
        return f"unknown {'option' if path else 'section'} {name}{nearest(last, known)}; known: {', '.join(known)}"
    return f"{name} = {error['input']!r}: {error['msg']}"


def _section(root: Any, path: Sequence[str]) -> Any:
    """The section that a path leads to; what may be left out is `Section | None`."""
    section = root
    for part in path:
        field = getattr(section, "model_fields", {}).get(part)
        if field is None:
            return None
        section = next(iter(get_args(field.annotation)), field.annotation)
    return section


def _overrides(arguments: Sequence[str]) -> list[tuple[str, str, Any]]:
    found = []
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        section, dot, key = name.removeprefix("--").partition(".")
        if not name.startswith("--") or not dot or not key:
            raise BadInput(f"{name!r}: options are --section.key value, as in --train.reg_alpha 0.25")
        if not equals:
            if not rest:
                raise BadInput(f"{name} needs a value")
            value = rest.pop(0)
        found.append((section, key, value_of(value)))
    return found
