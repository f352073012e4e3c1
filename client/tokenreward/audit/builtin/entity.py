"""An entity swapped: one name in a right answer is replaced by another of its kind.

Half are facts that anybody can look up; half are about a short note in the prompt, where the answer can be read off.
"""

from __future__ import annotations

import random

from tokenreward.audit.builtin.base import Story, Twin, material, twin

_SEED = 12
_NOTES = 25

_PEOPLE = ("Maria", "Tom", "Yusuf", "Clara", "Oskar", "Nadia", "Pedro", "Ruth", "Ivan", "Leila", "Simon", "Hanna")
_CITIES = ("Lyon", "Oslo", "Porto", "Krakow", "Dublin", "Vienna", "Ghent", "Turin", "Seville", "Bergen")
_DISHES = ("lentil soup", "a cheese omelette", "fried rice", "mushroom risotto", "a tuna salad", "vegetable curry")
_TASKS = (
    "the invoices",
    "the travel plan",
    "the new website",
    "the staff survey",
    "the annual report",
    "the stock list",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_COLOURS = ("red", "blue", "green", "yellow", "black", "white")


def _trip(chance: random.Random) -> Story:
    (a, b), (x, y) = chance.sample(_PEOPLE, 2), chance.sample(_CITIES, 2)
    day = chance.choice(_DAYS)
    return Story(
        f"Note: {a} is taking the train to {x}, while {b} is flying to {y}. Both leave on {day}. Who is going where?",
        f"According to the note, {a} is taking the train to «{x}|{y}», and {b} is flying to {y}. They leave on {day}.",
    )


def _dinner(chance: random.Random) -> Story:
    (a, b), (x, y) = chance.sample(_PEOPLE, 2), chance.sample(_DISHES, 2)
    return Story(
        f"Note: At dinner {a} ordered {x} and {b} ordered {y}. {b} paid for both. Who ate what, and who paid?",
        f"{a} ate {x} and {b} ate {y}. The bill for both of them was paid by «{b}|{a}».",
    )


def _office(chance: random.Random) -> Story:
    (a, b, c), (x, y) = chance.sample(_PEOPLE, 3), chance.sample(_TASKS, 2)
    return Story(
        f"Note: {a} looks after {x}. {b} looks after {y}. {c} checks everything. Whom do I ask about {y}?",
        f"For {y} you should ask «{b}|{a}», who looks after it. {c} only checks the work once it is done.",
    )


def _bikes(chance: random.Random) -> Story:
    (a, b), (x, y) = chance.sample(_PEOPLE, 2), chance.sample(_COLOURS, 2)
    return Story(
        f"Note: {a} rides a {x} bicycle and {b} rides a {y} one. Today {a}'s bicycle has a flat tyre."
        " Which bicycle needs repair?",
        f"The bicycle with the flat tyre is the «{x}|{y}» one, because it belongs to {a}. The other one is fine.",
    )


def _meeting(chance: random.Random) -> Story:
    (a, b), (x, y) = chance.sample(_PEOPLE, 2), chance.sample(_DAYS, 2)
    city = chance.choice(_CITIES)
    return Story(
        f"Note: {a} visits the office in {city} on {x}. {b} visits it on {y}. When will each of them be there?",
        f"{a} will be in the office in {city} on {x}. The visit of {b} is planned for «{y}|{x}».",
    )


_STORIES = (_trip, _dinner, _office, _bikes, _meeting)


def twins() -> list[Twin]:
    """Return the facts, then the notes, each with one entity swapped."""
    chance = random.Random(_SEED)
    facts = [Story(**fact) for fact in material("entity")["facts"]]
    notes = [_STORIES[number % len(_STORIES)](chance) for number in range(_NOTES)]
    return [twin(f"entity-{number:02}", story.prompt, story.text) for number, story in enumerate([*facts, *notes])]
