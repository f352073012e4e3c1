"""The heat map's page in a real browser: nothing runs, nothing loads, and every token says its reward."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.test_show import HOSTILE, labeled_row, shown
from tokenreward.show.page import page

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def address(tmp_path: Path) -> str:
    rows = shown(tmp_path, *(labeled_row(text, id=text, prompt=text) for text in ["ab", *HOSTILE.values()]))
    path = tmp_path / "page.html"
    path.write_bytes(page(rows, {}, HOSTILE["script"]).encode())
    return path.as_uri()


def test_hostile_text_neither_runs_nor_loads_anything(browser: Any, address: str) -> None:
    tab = browser.new_page()
    dialogs, requests, complaints = [], [], []
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto(address)
    tab.mouse.move(300, 300)
    assert (dialogs, complaints) == ([], [])
    assert requests == [address]
    assert HOSTILE["script"] in tab.inner_text("main")


def test_mouse_and_keyboard_get_the_exact_reward(browser: Any, address: str) -> None:
    tab = browser.new_page()
    tab.goto(address)
    shown_tip = "element => getComputedStyle(element, '::after').content"
    token = tab.locator("[data-reward]").first
    assert token.evaluate(shown_tip) == "none"
    token.hover()
    assert token.evaluate(shown_tip) == '"-0.5000"'
    tab.mouse.move(0, 0)
    tab.keyboard.press("Tab")  # the switch of the colour scale is one stop
    tab.keyboard.press("Tab")
    assert token.evaluate(shown_tip) == '"-0.5000"'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_the_strongest_colours(browser: Any, address: str, scheme: str) -> None:
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(address)
    for kind in ("up", "down"):
        strongest = tab.locator(f".heat .{kind}[style^='--f:1.00']").first
        colours = strongest.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        assert contrast(*map(luminance, colours)) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of a CSS `rgb(0-255)` or `color(srgb 0-1)` (WCAG 2)."""
    channels = [float(number) for number in re.findall(r"[\d.]+", colour)][:3]
    channels = channels if colour.startswith("color(") else [channel / 255 for channel in channels]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)
