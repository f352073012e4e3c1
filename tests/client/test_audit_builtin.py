"""The built-in sets are what they claim: the clean twin is right, the corrupted one wrong, and just where it says."""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

import pytest

from tokenreward.audit import builtin
from tokenreward.audit.builtin import base
from tokenreward.audit.builtin.base import Twin
from tokenreward.audit.sets import PairSet, SpanSet
from tokenreward.errors import UnknownName

ALL = [twin for name in builtin.NAMES for twin in builtin.twins(name)]
_SUM = re.compile(r"(\d+) ([-+x/]) (\d+) = (\d+)")


def wrong(twin: Twin) -> str:
    ((start, end),) = twin.bad
    return twin.corrupted[start:end]


def without_wrong(twin: Twin) -> str:
    ((start, end),) = twin.bad
    return twin.corrupted[:start] + twin.corrupted[end:]


def test_there_are_three_hundred_items_and_no_two_alike() -> None:
    assert {name: len(builtin.twins(name)) for name in builtin.NAMES} == dict.fromkeys(builtin.NAMES, 50)
    assert len({twin.id for twin in ALL}) == 300
    assert len({(twin.prompt, twin.corrupted) for twin in ALL}) == 300


def test_the_sets_are_the_same_every_time() -> None:
    before = [builtin.twins(name) for name in builtin.NAMES]
    builtin.twins.cache_clear()
    assert [builtin.twins(name) for name in builtin.NAMES] == before


@pytest.mark.parametrize("twin", ALL, ids=lambda twin: twin.id)
def test_the_twins_differ_at_the_bad_span_and_nowhere_else(twin: Twin) -> None:
    ((start, end),) = twin.bad
    assert 0 <= start < end <= len(twin.corrupted)
    assert twin.clean != twin.corrupted
    assert wrong(twin).strip() == wrong(twin) != ""
    after = len(twin.corrupted) - end
    assert twin.clean.startswith(twin.corrupted[:start].rstrip())
    assert twin.clean.endswith(twin.corrupted[len(twin.corrupted) - after :].lstrip()) or not after
    assert not re.search(r"[«»|]", twin.prompt + twin.clean + twin.corrupted)
    assert "  " not in re.sub(r"\n +", "", twin.clean + twin.corrupted)


def falsehoods(text: str) -> list[str]:
    """The results in `text` that do not follow from the sum before them."""
    operations: dict[str, Any] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "x": lambda a, b: a * b,
        "/": lambda a, b: a / b,
    }
    return [
        result
        for left, sign, right, result in _SUM.findall(text)
        if operations[sign](int(left), int(right)) != int(result)
    ]


@pytest.mark.parametrize("twin", builtin.twins("number"), ids=lambda twin: twin.id)
def test_sums_are_right_but_for_the_replaced_number(twin: Twin) -> None:
    assert len(_SUM.findall(twin.clean)) >= 2
    assert falsehoods(twin.clean) == []
    assert falsehoods(twin.corrupted) == [wrong(twin)]


def run(source: str, call: str) -> Any:
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(source, "twin", "exec"), names)  # noqa: S102 (our own material)
    try:
        return eval(call, names)  # noqa: S307
    except (IndexError, ZeroDivisionError) as error:
        return error


@pytest.mark.parametrize("twin", builtin.twins("code"), ids=lambda twin: twin.id)
def test_the_clean_function_gives_the_right_result_and_the_corrupted_one_does_not(twin: Twin) -> None:
    (function,) = (f for f in base.material("code")["functions"] if f"function that {f['task']}." in twin.prompt)
    expected = ast.literal_eval(function["result"])
    assert run(twin.clean, function["call"]) == expected
    assert run(twin.corrupted, function["call"]) != expected


@pytest.mark.parametrize("twin", builtin.twins("repetition"), ids=lambda twin: twin.id)
def test_a_repeated_sentence_stands_there_once_before(twin: Twin) -> None:
    assert twin.corrupted.count(wrong(twin)) == 2
    assert twin.corrupted.index(wrong(twin)) < twin.bad[0][0]
    assert twin.clean.count(wrong(twin)) == 1
    assert wrong(twin).endswith(".")
    assert " ".join(without_wrong(twin).split()) == twin.clean


@pytest.mark.parametrize("twin", builtin.twins("negation"), ids=lambda twin: twin.id)
def test_a_negation_is_what_is_bad(twin: Twin) -> None:
    assert re.search(r"\b(not|never)\b", wrong(twin))
    assert len(wrong(twin).split()) <= 3
    assert not re.search(rf"\b{wrong(twin)}\b", twin.clean)


@pytest.mark.parametrize("twin", builtin.twins("entity"), ids=lambda twin: twin.id)
def test_a_swapped_entity_is_another_of_its_kind(twin: Twin) -> None:
    ((start, end),) = twin.bad
    right = twin.clean[start : len(twin.clean) - (len(twin.corrupted) - end)]
    assert right != wrong(twin)
    assert right[0].isupper() == wrong(twin)[0].isupper()
    assert len(wrong(twin).split()) <= 2


def breaks(twin: Twin, text: str) -> bool:
    """Whether `text` breaks what the prompt asks for, where a program can tell; by the words of the prompt."""
    prompt = twin.prompt
    numbers = {"two": 2, "three": 3, "four": 4}
    if "capital letters" in prompt:
        return text != text.upper()
    if "lower case" in prompt:
        return text != text.lower()
    if asked := re.search(r"exactly (\w+) ", prompt):
        found = text.count("\n- ") if "a line" in prompt else text.partition(":")[2].count(",") + 1
        return found != numbers[asked[1]]
    if "24-hour" in prompt:
        return bool(re.search(r"\b[ap]m\b", text))
    if "YYYY-MM-DD" in prompt:
        return len(re.findall(r"\d{4}-\d\d-\d\d", text)) != 3
    if "starting with a dash" in prompt:
        return not all(line.startswith("- ") for line in text.splitlines())
    if "numbered list" in prompt:
        return not all(line.startswith(f"{n}. ") for n, line in enumerate(text.splitlines(), 1))
    if "two decimals" in prompt:
        return len(re.findall(r"\d\.\d\d\b", text)) != 3
    if "digits" in prompt:
        return bool(re.search(r"\b(two|sixty-five)\b", text))
    if "JSON" in prompt:
        try:
            json.loads(text)
        except ValueError:
            return True
        return False
    if "semicolons" in prompt:
        return "," in text
    assert "kilometres only" in prompt, prompt
    return "miles" in text


@pytest.mark.parametrize("twin", builtin.twins("instruction"), ids=lambda twin: twin.id)
def test_the_clean_answer_does_as_told_and_the_corrupted_one_does_not(twin: Twin) -> None:
    assert not breaks(twin, twin.clean)
    assert breaks(twin, twin.corrupted)


def test_sets_are_loaded_with_their_pairs_and_by_name() -> None:
    spans, pairs = builtin.load(["code"])
    assert isinstance(spans, SpanSet)
    assert isinstance(pairs, PairSet)
    assert [(s.response, p.rejected) for s, p in zip(spans.items, pairs.items, strict=True)] == [
        (twin.corrupted, twin.corrupted) for twin in builtin.twins("code")
    ]
    assert [pair.chosen for pair in pairs.items] == [twin.clean for twin in builtin.twins("code")]
    assert [one.name for one in builtin.load()] == [*builtin.NAMES, *builtin.NAMES]
    with pytest.raises(UnknownName, match="number"):
        builtin.load(["numbers"])


def test_marks_become_twins() -> None:
    text = "It is« |not »a «dog|cat»."
    assert base.marks("a «b|c» «|d»") == 2
    found = base.twin("x", "p", "It« |s not »a «dog|cat».", 1)
    assert (found.clean, found.corrupted, found.bad) == ("It a dog.", "It a cat.", ((5, 8),))
    first = base.twin("x", "p", text, 0)
    assert (first.clean, first.corrupted) == ("It is a dog.", "It isnot a dog.")
    assert first.corrupted[slice(*first.bad[0])] == "not"
