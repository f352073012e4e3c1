"""A service with API keys: the page asks for one, keeps it in the tab, and takes no for an answer."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Route, expect

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import patience, wait_for
from tests.support.webpage import Open


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A stack that asks for keys, and a key."""
    with running(tmp_path_factory.mktemp("locked")) as stack:
        create = [*COMMAND, "keys", "create", "tester", "--redis-url", stack.redis_url]
        made = subprocess.run(create, capture_output=True, text=True, check=True)
        wait_for(lambda: httpx2.get(stack.url + "/v1/jobs").status_code == 401, 10, "the lock")
        yield stack, made.stdout.split()[0]


def test_the_key_is_asked_for_checked_and_kept_in_the_tab_only(open_page: Open, locked: tuple[Stack, str]) -> None:
    stack, key = locked
    page = open_page(stack=stack, allow=("401",))
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key", exact=True).fill("trk_wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("does not accept this key")
    dialog.get_by_label("Key", exact=True).fill(key)
    dialog.get_by_role("button", name="Use key").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Label").click()
    expect(page.locator(".heat")).to_have_count(2)
    page.goto(stack.url + "/#/jobs")
    page.locator(".job-name").first.click()
    expect(page.locator("#job .heat")).to_have_count(2)
    stored = page.evaluate(
        "Object.entries(sessionStorage).filter(([, value]) => value.includes('trk_')).map(([k]) => k)"
    )
    assert stored == ["tokenreward.key"]
    assert key not in str(page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href"))


def test_an_answer_that_was_under_way_when_somebody_said_no_does_not_ask_again(
    open_page: Open, locked: tuple[Stack, str]
) -> None:
    stack, _ = locked
    page = open_page(stack=stack, allow=("401",))
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    script = page.locator("script[type=module]").get_attribute("src")
    held: list[Route] = []
    page.route("**/v1/jobs?late", lambda route: held.append(route))
    with page.expect_request("**/v1/jobs?late"):
        page.evaluate(
            "at => { import(new URL('api.js', new URL(at, location))).then((api) => api.get('/v1/jobs?late'))"
            ".catch(() => {}); }",
            script,
        )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    with page.expect_response("**/v1/jobs?late"):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(dialog).to_be_hidden()


def test_who_has_no_key_is_asked_once(open_page: Open, locked: tuple[Stack, str]) -> None:
    stack, _ = locked
    page = open_page(stack=stack, allow=("401",))
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#alive")).to_contain_text("no key")
    with page.expect_response(lambda answer: answer.status == 401, timeout=1000 * patience(30)):
        pass  # the page looks again every few seconds
    page.wait_for_timeout(300)
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Key", exact=True).click()
    expect(dialog).to_be_visible()
