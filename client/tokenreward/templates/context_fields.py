"""Which branches a template has for one item, once its context fields are known.

A branch that shows an absent optional field is left out. A branch that is repeated over a list field becomes
`name[0]`, `name[1]` and so on, one for each value. What does not fit is the item's own error, which names the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tokenreward.errors import BadInput
from tokenreward.schema import Template

#: A context field as text, or as several texts. Messages have become a transcript.
FieldValue = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Instance:
    """One branch, or one repetition of it, for one item.

    Attributes:
        branch: The branch's name in the template.
        values: What its context fields stand for, by name.
    """

    branch: str
    values: Mapping[str, str]


def instances(
    template: Template,
    fields: Mapping[str, FieldValue],
    branches: Iterable[str] | None = None,
    most: Mapping[str, int] | None = None,
) -> dict[str, Instance]:
    """Return the branches to score for one item, by the name that their log-probs will have.

    Args:
        template: The template.
        fields: The item's context fields.
        branches: The branches that are wanted, in order; None means all that the item has the fields for.
        most: The most repetitions of a branch, by its name.

    Raises:
        BadInput: A field is not declared, a wanted branch lacks one, or a field has the wrong form.
    """
    unknown = next((name for name in fields if name not in template.fields), None)
    if unknown is not None:
        known = ", ".join(template.fields) or "none"
        raise BadInput(f"template {template.name!r} has no context field {unknown!r}; its fields: {known}")
    found: dict[str, Instance] = {}
    for name in template.branches if branches is None else branches:
        missing = [field for field in _needed(template, name) if not fields.get(field)]
        if missing:
            if branches is None and all(not template.fields[field].required for field in missing):
                continue
            raise BadInput(
                f"branch {name!r} of template {template.name!r} shows the context field {missing[0]!r}, "
                "which this item does not have"
            )
        found |= _repeated(template, name, fields, None if most is None else most.get(name))
    return found


def _needed(template: Template, branch: str) -> list[str]:
    """The context fields that a branch shows, in the order in which they are declared."""
    each, shown = template.branches[branch].each, template.shown(branch)
    return [field for field in template.fields if field in shown or field == each]


def _repeated(
    template: Template, branch: str, fields: Mapping[str, FieldValue], most: int | None
) -> dict[str, Instance]:
    each = template.branches[branch].each
    plain: dict[str, str] = {}
    for field in _needed(template, branch):
        value = fields[field]
        if field == each:
            continue
        if not isinstance(value, str):
            raise BadInput(f"context field {field!r} is a list; branch {branch!r} shows it as one text")
        plain[field] = value
    if each is None:
        return {branch: Instance(branch, plain)}
    values = fields[each]
    several = [values] if isinstance(values, str) else values[:most]
    return {f"{branch}[{n}]": Instance(branch, plain | {each: value}) for n, value in enumerate(several)}
