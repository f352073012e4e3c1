"""The page with the real demo model; and its pictures, when TOKENREWARD_SCREENSHOTS names a folder for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tests.support.webpage import Open, make_job

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LOOKS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": PHONE}

SENTENCES = [
    "I would say: begin with a walk along the river, and have a custard tart before the museums open.",
    "Say what? There is nothing to say, really, and I am only saying so because you told me to say something.",
    "Water boils at 100 degrees Celsius at sea level, and at a lower temperature on a mountain.",
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("look", LOOKS)
def test_the_example_is_labeled_by_a_real_model(open_page: Open, demo_model: Stack, look: str) -> None:
    page = open_page(stack=demo_model, reduced_motion="reduce", **LOOKS[look])
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#status")).to_contain_text("labeled by SmolLM2-135M-Instruct", timeout=1000 * patience(120))
    sums = page.locator(".result .figures dd")
    expect(sums).to_have_count(6)
    page.locator(".heat").first.get_by_text("without", exact=True).focus()
    expect(page.get_by_role("tooltip")).to_contain_text("log p better")
    assert "".join(page.locator(".heat").first.locator(".t").all_inner_texts()).endswith("<|im_end|>")
    if folder := os.environ.get("TOKENREWARD_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"web-playground-{look}.png")
        job = make_job(demo_model, SENTENCES)
        page.goto(f"{demo_model.url}/#/jobs/{job}")
        expect(page.locator("#job .heat")).to_have_count(3, timeout=1000 * patience(60))
        expect(page.locator("#job .state")).to_have_text("succeeded")
        page.screenshot(path=Path(folder) / f"web-job-{look}.png")
