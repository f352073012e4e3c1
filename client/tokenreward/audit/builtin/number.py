"""A number replaced: worked solutions of small sums, one of whose results is wrong.

The results are computed here, so the clean twin is right; the wrong one differs by a digit, by a little, or by a slip
of ten, as a tired person's would.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tokenreward.audit.builtin.base import Story, Twin, marks, twin

COUNT = 50
_SEED = 11
_NAMES = ("Anna", "Ben", "Chiara", "David", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jamal", "Kaori", "Lena", "Mateo")


def _bakery(chance: random.Random, name: str) -> Story:
    trays, each, sold = chance.randint(4, 9), chance.randint(6, 12), chance.randint(10, 23)
    made = trays * each
    return Story(
        f"{name} bakes {trays} trays of {each} rolls and sells {sold} of them. How many rolls are left?",
        f"{name} bakes {trays} x {each} = «{made}|» rolls. After selling {sold} of them, {made} - {sold} ="
        f" «{made - sold}|» rolls are left.",
    )


def _savings(chance: random.Random, name: str) -> Story:
    week, weeks, spent = chance.randint(12, 35), chance.randint(4, 12), chance.randint(15, 45)
    saved = week * weeks
    return Story(
        f"{name} saves ${week} a week for {weeks} weeks and then buys a game for ${spent}. How much money is left?",
        f"In {weeks} weeks {name} saves {weeks} x {week} = «{saved}|» dollars. The game costs ${spent}, so"
        f" {saved} - {spent} = «{saved - spent}|» dollars are left.",
    )


def _journey(chance: random.Random, name: str) -> Story:
    speed, hours, rest = chance.randint(45, 90), chance.randint(2, 6), chance.randint(20, 95)
    driven = speed * hours
    return Story(
        f"{name} drives for {hours} hours at {speed} km an hour and then another {rest} km through town."
        " How long is the whole journey?",
        f"On the motorway {name} covers {speed} x {hours} = «{driven}|» km. With the {rest} km through town the journey"
        f" is {driven} + {rest} = «{driven + rest}|» km long.",
    )


def _class(chance: random.Random, name: str) -> Story:
    groups, size, absent = chance.randint(4, 8), chance.randint(3, 7), chance.randint(2, 6)
    there = groups * size
    return Story(
        f"{name} puts a class into {groups} groups of {size} pupils; {absent} more pupils are ill at home."
        " How many pupils are in the class?",
        f"The groups hold {groups} x {size} = «{there}|» pupils. The {absent} who are ill belong to the class as well,"
        f" so it has {there} + {absent} = «{there + absent}|» pupils.",
    )


def _shopping(chance: random.Random, name: str) -> Story:
    apples, price, bread = chance.randint(3, 9), chance.randint(2, 6), chance.randint(3, 8)
    cost, note = apples * price, 100
    return Story(
        f"{name} buys {apples} bags of apples for ${price} each and a loaf of bread for ${bread}, and pays with a"
        f" ${note} note. How much change does {name} get?",
        f"The apples cost {apples} x {price} = «{cost}|» dollars. With the bread that makes {cost} + {bread} ="
        f" «{cost + bread}|» dollars, so the change is {note} - {cost + bread} = «{note - cost - bread}|» dollars.",
    )


def _garden(chance: random.Random, name: str) -> Story:
    length, width, post = chance.randint(8, 24), chance.randint(4, 15), chance.choice((2, 4))
    around = 2 * (length + width)
    return Story(
        f"{name}'s garden is {length} m long and {width} m wide. How much fence does it take to go all the way round,"
        f" and what does that cost at ${post} a metre?",
        f"Length and width together are {length} + {width} = «{length + width}|» m, so the fence is"
        f" 2 x {length + width} = «{around}|» m long. At ${post} a metre it costs {around} x {post} ="
        f" «{around * post}|» dollars.",
    )


def _reading(chance: random.Random, name: str) -> Story:
    day, days = chance.randint(14, 38), chance.randint(5, 9)
    read = day * days
    rest = chance.randint(30, 99)
    return Story(
        f"{name} reads {day} pages a day. After {days} days there are still {rest} pages to go."
        " How many pages does the book have?",
        f"In {days} days {name} reads {day} x {days} = «{read}|» pages. Together with the {rest} pages that are left,"
        f" the book has {read} + {rest} = «{read + rest}|» pages.",
    )


def _wages(chance: random.Random, name: str) -> Story:
    hour, hours, extra = chance.randint(12, 24), chance.randint(20, 38), chance.randint(3, 8)
    base, more = hour * hours, 2 * hour * extra
    return Story(
        f"{name} earns ${hour} an hour and twice as much for overtime. What does {name} earn for {hours} normal hours"
        f" and {extra} hours of overtime?",
        f"The normal hours bring {hours} x {hour} = «{base}|» dollars. An hour of overtime pays 2 x {hour} ="
        f" «{2 * hour}|» dollars, so overtime brings {extra} x {2 * hour} = «{more}|» dollars. In total that is"
        f" {base} + {more} = «{base + more}|» dollars.",
    )


def _sharing(chance: random.Random, name: str) -> Story:
    friends, each, eaten = chance.randint(3, 8), chance.randint(5, 12), chance.randint(4, 11)
    shared = friends * each
    return Story(
        f"{name} opens a bag of {shared + eaten} sweets, eats {eaten} of them and shares the others equally among"
        f" {friends} friends. How many sweets does each friend get?",
        f"After {name} has eaten {eaten} sweets, {shared + eaten} - {eaten} = «{shared}|» are left. Shared among"
        f" {friends} friends, that is {shared} / {friends} = «{each}|» sweets for each.",
    )


def _water(chance: random.Random, name: str) -> Story:
    rate, minutes, leak = chance.randint(7, 15), chance.randint(8, 20), chance.randint(1, 4)
    filled, lost = rate * minutes, leak * minutes
    return Story(
        f"{name} fills a tank with {rate} litres a minute while it loses {leak} litres a minute through a leak."
        f" How much water is in the tank after {minutes} minutes?",
        f"In {minutes} minutes, {rate} x {minutes} = «{filled}|» litres flow in and {leak} x {minutes} = «{lost}|»"
        f" litres leak out. That leaves {filled} - {lost} = «{filled - lost}|» litres in the tank.",
    )


#: Each gives a solution whose results stand in marks that have no wrong side yet: `«24|»`.
_STORIES: tuple[Callable[[random.Random, str], Story], ...] = (
    _bakery,
    _savings,
    _journey,
    _class,
    _shopping,
    _garden,
    _reading,
    _wages,
    _sharing,
    _water,
)


def twins() -> list[Twin]:
    """Return sums with one wrong result."""
    chance = random.Random(_SEED)
    made = []
    for number in range(COUNT):
        prompt, text = _STORIES[number % len(_STORIES)](chance, chance.choice(_NAMES))
        mark = chance.randrange(marks(text))
        made.append(twin(f"number-{number:02}", prompt, _with_wrong(text, mark, chance), mark))
    return made


def _with_wrong(text: str, mark: int, chance: random.Random) -> str:
    """`text` with a wrong side in its mark."""
    before, *rest = text.split("|»")
    parts = [before, *rest]
    right = int(parts[mark].rpartition("«")[2])
    parts[mark] += f"|{_wrong(right, chance)}»"
    return "".join(part if n in (mark, len(parts) - 1) else part + "|»" for n, part in enumerate(parts))


def _wrong(right: int, chance: random.Random) -> int:
    """Another number above 0 of about the same size."""
    slips = [right + 10, right + 1, right - 1, right + 2, right - 2, right + 20]
    if right > 20:
        slips += [right - 10, right - 20, int(str(right)[::-1])]
    # A reversed number that lost its leading zero looks nothing like a slip.
    fitting = [slip for slip in slips if slip > 0 and slip != right and len(str(slip)) == len(str(right))]
    return chance.choice(fitting)
