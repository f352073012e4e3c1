"""The page stays quick: heat maps of thousands of tokens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from benchmarks.harness.waiting import patience
from tests.support.webpage import Open, label

pytestmark = pytest.mark.alone


def text_of(tokens: int) -> str:
    """The synthetic engine's tokens are characters."""
    return ("Some words, then more of them. " * (tokens // 31 + 1))[: tokens - 1]


def heat_map_ms(page: Page) -> float:
    return float(page.wait_for_function("performance.getEntriesByName('heat-map').at(-1)?.duration").json_value())


def test_two_thousand_tokens_are_coloured_within_a_second_and_a_half_of_the_answer(open_page: Open) -> None:
    page = open_page()
    label(page, "Talk.", text_of(2000))
    expect(page.locator(".heat .t")).to_have_count(2000)
    taken = heat_map_ms(page)
    print(f"2,000 tokens coloured {taken:.0f} ms after the answer")
    assert taken <= 1000 * patience(1.5)


def test_five_thousand_tokens_stay_smooth(open_page: Open) -> None:
    page = open_page()
    label(page, "Talk.", text_of(5000))
    expect(page.locator(".heat .t")).to_have_count(5000)
    longest = page.evaluate(
        """async () => {
          const tokens = [...document.querySelectorAll('.heat .t')];
          const frames = [];
          let last = await new Promise(requestAnimationFrame);
          for (let i = 0; i < 60; i++) {
            tokens[i * 80].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
            scrollBy(0, 40);
            const now = await new Promise(requestAnimationFrame);
            frames.push(now - last);
            last = now;
          }
          return frames.sort((a, b) => a - b)[Math.floor(frames.length * 0.9)];
        }"""
    )
    print(f"5,000 tokens: 90% of frames within {longest:.0f} ms while pointing and scrolling")
    assert longest < 150, f"90% of frames within {longest:.0f} ms"
