"""What several tests of the web page do: make a job, label in the playground."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
from playwright.sync_api import Page, expect

from benchmarks.harness.stack import Stack

#: `open_page(path, stack=..., allow=(...), **context options)`
Open = Callable[..., Page]


def make_job(stack: Stack, responses: list[str], **options: object) -> str:
    """A job of one item a response; its id."""
    items = [{"id": f"row-{n}", "prompt": "Say something.", "response": text} for n, text in enumerate(responses)]
    answer = httpx2.post(stack.url + "/v1/jobs", json={"items": items, "include": ["tokens", "logprobs"], **options})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def label(page: Page, prompt: str, *responses: str) -> None:
    """Fill the playground and press Label; returns when the heat maps of these responses are there."""
    page.get_by_label("Prompt", exact=True).fill(prompt)
    for name, text in zip("AB", responses, strict=False):
        page.get_by_label(f"Response {name}", exact=True).fill(text)
    if len(responses) == 1 and page.get_by_label("Remove response B").is_visible():
        page.get_by_label("Remove response B").click()
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#status")).to_contain_text("labeled by")
