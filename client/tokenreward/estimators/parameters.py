"""Parameters of estimators: numbers with a default and bounds, checked where a request is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from tokenreward.errors import BadInput

#: Values by the parameter's name.
Parameters = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that a request may set.

    Attributes:
        default: The value where a request says nothing.
        least: The smallest value.
        most: The largest value.
        meaning: What it does, for people.
        whole: Whether only whole numbers make sense.
    """

    default: float
    least: float
    most: float
    meaning: str
    whole: bool = False


def complete(owner: str, known: Mapping[str, Parameter], given: Parameters) -> dict[str, float]:
    """Return the value of every parameter, in the order in which they are declared.

    Args:
        owner: The estimator's name, for errors.
        known: What may be set.
        given: What was set.

    Raises:
        BadInput: A name is unknown, or a value is no number within its bounds.
    """
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            has = ", ".join(known) or "none"
            raise BadInput(f"estimator {owner!r} has no parameter {name!r}{meant}; it has: {has}")
    return {name: _checked(owner, name, parameter, given) for name, parameter in known.items()}


def _checked(owner: str, name: str, parameter: Parameter, given: Parameters) -> float:
    value = given.get(name, parameter.default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{name} = {value!r} of estimator {owner!r} must be a number")
    if not parameter.least <= value <= parameter.most:  # Refuses NaN too.
        bounds = f"{parameter.least:g} to {parameter.most:g}"
        raise BadInput(f"{name} = {value!s:.30} of estimator {owner!r} is outside its range, {bounds}")
    if parameter.whole and value != int(value):
        raise BadInput(f"{name} = {value!s:.30} of estimator {owner!r} must be a whole number")
    return int(value) if parameter.whole else float(value)
