"""Results that draw themselves: in a notebook and printed."""

from __future__ import annotations

import re

import pytest

from tests.support.fake_service import FakeService
from tokenreward import Client
from tokenreward.schema import ItemFailure, ItemResult

RESULT = ItemResult(index=0, token_ids=[1, 2], rewards=[0.4, -0.3], tokens=["<b>&", " 5"])


def test_a_result_is_html_that_hides_and_runs_nothing() -> None:
    html = RESULT._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
    assert 'title="+0.4000"' in html
    assert re.search(r"dotted [^>]*>5<", html)  # what hurts is told without colour too
    assert "</span> <span" in html  # the blank before a word has no colour


def test_a_result_without_text_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    RESULT.model_copy(update={"tokens": None}).show()
    said = capsys.readouterr().out
    assert "include=['tokens']" in said
    assert "[+++1]" in said


def test_an_error_is_shown_in_place_of_rewards(capsys: pytest.CaptureFixture[str]) -> None:
    ItemResult(index=3, error=ItemFailure(code="too_long", message="9000 tokens")).show()
    said = capsys.readouterr().out
    assert "item 3" in said
    assert "no rewards: too_long: 9000 tokens" in said


def test_a_whole_answer_shows_every_result(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(service.url) as client:
        answer = client.label([{"prompt": "p", "response": text} for text in ("ab", "cd")], include=["tokens"])
    answer.show()
    assert "template revision" in capsys.readouterr().out
    assert answer._repr_html_().count("2 tokens, sum") == 2
