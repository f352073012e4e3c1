"""The shipped templates, found by name. They are data in `*.toml` beside this file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from tokenreward.errors import UnknownName
from tokenreward.schema import Template


@cache
def shipped() -> Mapping[str, Template]:
    """Return every template that comes with the package, by name."""
    files = sorted(f.name for f in resources.files(__package__).iterdir() if f.name.endswith(".toml"))
    loaded = (Template(**tomllib.loads(resources.files(__package__).joinpath(f).read_text("utf-8"))) for f in files)
    return {template.name: template for template in loaded}


def of_one_model() -> list[Template]:
    """The shipped templates whose branches the job's own model scores, so that they need nothing beside it."""
    return [template for template in shipped().values() if not template.models]


def resolve(template: str | Template) -> Template:
    """Return the template, whether it was named or given.

    Raises:
        UnknownName: No shipped template has that name.
    """
    if isinstance(template, Template):
        return template
    found = shipped().get(template)
    if found is None:
        raise UnknownName("template", template, sorted(shipped()))
    return found
