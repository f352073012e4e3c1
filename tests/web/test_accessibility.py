"""axe-core on every view, in both themes and on a phone; and what axe cannot see."""

from __future__ import annotations

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from benchmarks.harness.stack import Stack
from tests.support.webpage import Open, label, make_job

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
#: What shows that a view has what it is to show.
VIEWS = {"jobs": "#jobs tr[data-id]", "workers": "#workers tbody td"}
LOOKS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": PHONE}


def violations(page: Page) -> list[str]:
    """What axe calls moderate or worse, as `rule: where`."""
    page.evaluate(AXE)  # through the debugger: the page's own policy stays as it is
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{v['id']}: {node['target']} {node['failureSummary']}"
        for v in found
        if v["impact"] != "minor"
        for node in v["nodes"]
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing(open_page: Open, synthetic: Stack, look: str) -> None:
    job = make_job(synthetic, ["first", "second"])
    pairs = make_job(synthetic, ["good", "", "better", "worse"], origin={"sides": ["chosen", "rejected"]})
    page = open_page(allow=("404",), **LOOKS[look])
    expect(page.locator("#alive")).to_contain_text("1 worker")
    found = violations(page)
    page.get_by_label("Reward for each").select_option("word")
    label(page, "Name a colour.", "Blue, and some green.", "Red.")
    page.get_by_role("button", name="Stretch to each response").click()
    found += violations(page)
    page.get_by_role("button", name="Fixed scale").click()
    page.get_by_text("What the model is asked").click()
    page.get_by_label("Template").select_option("custom…")
    expect(page.locator("#branches pre").first).to_be_visible()
    page.get_by_text("Provenance").click()
    found += violations(page)
    shown = VIEWS | {f"jobs/{job}": "#job .heat", f"jobs/{pairs}": "#job .together .heat", "jobs/none": "#job h1"}
    for path, there in shown.items():
        page.goto(f"{synthetic.url}/#/{path}")
        expect(page.locator(there).first).to_be_visible()
        found += violations(page)
    page.goto(f"{synthetic.url}/#/jobs")
    page.get_by_role("button", name="Label a file…").click()
    expect(page.get_by_role("dialog", name="Label a file")).to_be_visible()
    found += violations(page)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_shade_of_a_token_can_be_read(open_page: Open, theme: str) -> None:
    page = open_page(color_scheme=theme)
    label(page, "Name a colour.", "Blue, and some green.")
    contrasts = page.evaluate(
        """() => {
          const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
          const pen = canvas.getContext('2d', {willReadFrequently: true});
          const luminance = (...layers) => {
            for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
            const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
              .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const token = document.querySelector('.heat .t');
          const paper = getComputedStyle(document.querySelector('.card')).backgroundColor;
          const found = {};
          for (const kind of ['up', 'down']) for (let level = 0; level <= 10; level++) {
            token.className = `t ${kind} l${level}`;
            const style = getComputedStyle(token);
            const [a, b] = [luminance(style.color), luminance(paper, style.backgroundColor)].sort((x, y) => y - x);
            found[`${kind} ${level}`] = (a + 0.05) / (b + 0.05);
          }
          return found;
        }"""
    )
    assert len(contrasts) == 22
    assert {name: c for name, c in contrasts.items() if c < 4.5} == {}


def test_nothing_is_wider_than_a_phone(open_page: Open, synthetic: Stack) -> None:
    long = "v" * 300 + " and https://example.org/" + "x" * 200
    job = make_job(synthetic, [long])
    page = open_page(**PHONE)
    label(page, "w" * 300, long)
    for path, there in ({"": "#playground .heat"} | VIEWS | {f"jobs/{job}": "#job .heat"}).items():
        page.goto(f"{synthetic.url}/#/{path}")
        expect(page.locator(there).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_the_theme_is_chosen_and_kept(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Theme: system").click()
    page.get_by_label("Theme: light").click()
    expect(page.get_by_label("Theme: dark")).to_be_visible()
    assert page.evaluate(ground) != light
    page.reload()
    expect(page.get_by_label("Theme: dark")).to_be_visible()
    assert page.evaluate(ground) != light


def test_signs_tell_helps_from_hurts_without_colour(open_page: Open) -> None:
    page = open_page()
    label(page, "Name a colour.", "Blue, and some green, and a little red.")
    styles = {kind: page.locator(f".heat .{kind}.l10").first for kind in ("up", "down")}
    assert {k: s.evaluate("n => getComputedStyle(n).borderBottomStyle") for k, s in styles.items()} == {
        "up": "solid",
        "down": "dotted",
    }
