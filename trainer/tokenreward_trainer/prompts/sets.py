"""Sets of prompts, put together from families: which ones, at which levels, how many, from which seed."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.prompts.arithmetic import Arithmetic
from tokenreward_trainer.prompts.base import Family
from tokenreward_trainer.prompts.formats import Formats

FAMILIES: dict[str, Family] = {family.name: family for family in (Arithmetic(), Formats())}


@dataclass(frozen=True)
class Part:
    """One family at one level.

    Attributes:
        family: The family's name.
        level: From 1.
    """

    family: str
    level: int


def parts_of(names: Sequence[str]) -> list[Part]:
    """Reads parts of a set: `arithmetic:2` is a family at a level, `arithmetic` is all of its levels.

    Raises:
        UnknownName: There is no such family.
        BadInput: It has no such level, or nothing is named.
    """
    found = []
    for name in names:
        family, colon, level = name.partition(":")
        if family not in FAMILIES:
            raise UnknownName("family of prompts", family, list(FAMILIES))
        count = len(FAMILIES[family].levels)
        if not colon:
            found += [Part(family, number) for number in range(1, count + 1)]
        elif level.isascii() and level.isdigit() and 1 <= int(level) <= count:
            found.append(Part(family, int(level)))
        else:
            raise BadInput(f"{name!r}: the levels of {family} are 1 to {count}")
    if not found:
        raise BadInput("no prompts are asked for: name families and levels, as in arithmetic:2")
    return found


def prompt_rows(parts: Sequence[Part], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Makes the rows of a set, the parts in turn.

    No prompt comes twice. A row depends on the parts, the seed and the rows before it, so a longer set begins with the
    shorter one. A part that is named twice has twice as many rows.

    Args:
        parts: Families and levels.
        count: The number of rows.
        seed: Of all randomness.

    Raises:
        BadInput: A part has no more different prompts to give.
    """
    generators = {part: random.Random(f"{part.family}:{part.level}:{seed}") for part in parts}
    seen: set[str] = set()
    places: Counter[Part] = Counter()
    rows = []
    for part in itertools.islice(itertools.cycle(parts), count):
        rows.append(_row(part, places[part], generators[part], seen))
        places[part] += 1
    return rows


def write_prompts(path: Path, parts: Sequence[Part], count: int, seed: int = 0) -> None:
    """Writes the rows of `prompt_rows` as JSON Lines."""
    rows = prompt_rows(parts, count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace(path) as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _row(part: Part, place: int, generator: random.Random, seen: set[str]) -> dict[str, Any]:
    for _ in range(1000):
        prompt = FAMILIES[part.family].make(part.level, generator)
        if prompt.text not in seen:
            seen.add(prompt.text)
            name = f"{part.family}-{part.level}-{place}"
            return {
                "id": name,
                "prompt": prompt.text,
                "family": part.family,
                "level": part.level,
                "check": prompt.check,
            }
    raise BadInput(f"{part.family}:{part.level} has no more than {place} different prompts: ask for fewer")
