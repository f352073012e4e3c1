"""The pages that commands write: one look, nothing for axe to find, and a scale that is switched without a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.client.test_inspect import PAIRS
from tests.client.test_show import labeled_row, shown
from tests.web.test_accessibility import LOOKS, violations
from tokenreward.show.page import page
from tokenreward.show.statistics_page import page as statistics_page
from tokenreward.statistics.labeled_rewards import gather
from tokenreward_trainer.report.heat import heat_maps
from tokenreward_trainer.report.page import page_of
from tokenreward_trainer.training.run_record import RunRecord, ShownPair, ShownResponse


def heat(folder: Path) -> str:
    row = labeled_row("a word, and one more", prompt="A rather long question? " * 30)
    return page(shown(folder, row, labeled_row("def f():\n\treturn 1")), {}, "Token rewards")


def statistics(folder: Path) -> str:
    return statistics_page(gather(PAIRS), "labeled.jsonl: 2 rows", "no provenance", ["a line", "another line " * 20])


def training(folder: Path) -> str:
    shown = ShownResponse("chosen", ["A", " word", "\n"], [0.1, -0.2, 0.0], [0.0, 0.0, 0.0], [1.0, -2.0, 0.5])
    examples = [ShownPair("row-1", "A question?", [shown])]
    record = RunRecord("DPO-REG", {}, "made up", None, [], 1.0, 1, "packed", examples)
    return page_of("Training report", [heat_maps([record])])


WRITTEN = {"show": heat, "inspect": statistics, "training": training}


@pytest.fixture
def written(browser: Browser, tmp_path: Path) -> Callable[..., Page]:
    def open_(make: Callable[[Path], str], **look: object) -> Page:
        file = tmp_path / "page.html"
        file.write_text(make(tmp_path), "utf-8")
        tab = browser.new_page(**look)  # type: ignore[arg-type]
        tab.goto(file.as_uri())
        return tab

    return open_


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    written: Callable[..., Page], name: str, look: str
) -> None:
    tab = written(WRITTEN[name], **LOOKS[look])
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_all_pages_have_one_look(written: Callable[..., Page]) -> None:
    looks = set()
    for make in WRITTEN.values():
        tab = written(make, color_scheme="dark")
        looks.add(tab.evaluate("(s => s.font + s.color + s.backgroundColor)(getComputedStyle(document.body))"))
        for kind, line in (("up", "solid"), ("down", "dotted")):
            for node in tab.locator(f".heat .{kind}").all()[:1]:
                assert node.evaluate("n => getComputedStyle(n).borderBottomStyle") == line
    assert len(looks) == 1


def test_the_scale_is_stretched_without_a_script(written: Callable[..., Page]) -> None:
    tab = written(lambda folder: page(shown(folder, labeled_row("ab", token_rewards=[0.05, -0.01, 0.0])), {}, "t"))
    colour = "n => getComputedStyle(n).backgroundColor"
    token, named = tab.locator(".heat .t").first, tab.get_by_text("full colour at ±0.02")
    fixed = token.evaluate(colour)
    assert not named.is_visible()
    tab.get_by_label("Stretch to each response").check()
    assert named.is_visible()
    assert token.evaluate(colour) != fixed
    tab.get_by_label("Fixed scale").check()
    assert token.evaluate(colour) == fixed
