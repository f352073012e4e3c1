"""The page below a path of a host, behind a proxy that takes the path off.

`with ... as url, open_page(...) as page` closes the page before its proxy: a page that is open asks on, and would log
that it was refused.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import expect

from benchmarks.harness.stack import Stack
from tests.support.reverse_proxy import reverse_proxy
from tests.support.webpage import Open, label, make_job


def behind(url: str) -> Any:
    """What `open_page` needs of a stack that is to be found at another address."""
    return SimpleNamespace(url=url)


@pytest.mark.parametrize("tell", [True, False])
def test_the_whole_page_works_below_a_path(open_page: Open, synthetic: Stack, tell: bool) -> None:
    job = make_job(synthetic, ["below a path"])
    with (
        reverse_proxy(synthetic.url, "/rewards", strip=True, tell=tell) as url,
        open_page("/", stack=behind(url)) as page,
    ):
        label(page, "Say something.", "with a path before it")
        page.get_by_role("button", name="curl").click()
        expect(page.locator("#said")).to_have_text("curl copied.")
        assert f"'{url}/v1/label'" in page.evaluate("navigator.clipboard.readText()")
        page.get_by_role("button", name="Copy link").click()
        expect(page.locator("#said")).to_have_text("Copy link copied.")
        link = page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(f"{url}/#/play/")
        page.goto(link)
        page.reload()
        expect(page.get_by_label("Response A", exact=True)).to_have_value("with a path before it")
        page.goto(f"{url}/#/jobs/{job}")
        expect(page.locator(".state")).to_have_text("succeeded")
        page.goto(f"{url}/#/workers")
        expect(page.get_by_role("table", name="Workers")).to_contain_text("synthetic")


def test_the_page_is_whole_without_a_slash_at_its_end_too(open_page: Open, synthetic: Stack) -> None:
    with (
        reverse_proxy(synthetic.url, "/rewards", strip=True, tell=True) as url,
        open_page("", stack=behind(url)) as page,
    ):
        expect(page.locator("#alive .words")).to_have_text("1 worker")
