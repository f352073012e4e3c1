"""A real browser on a real stack. Any console error, page error or request to another host fails the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from benchmarks.harness.stack import Stack, running
from benchmarks.harness.waiting import patience

expect.set_options(timeout=1000 * patience(15))

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CHROMIUM is None:
        terminalreporter.section("NO CHROMIUM FOUND: THE WEB PAGE WAS NOT TESTED", sep="!", red=True, bold=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless chromium. In CI it must be there; elsewhere its absence is said loudly."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium on PATH: CI must test the web page")
        pytest.skip("NO CHROMIUM FOUND: the web page is NOT TESTED")
    # One a module: while Playwright's sync API runs, this thread has an event loop, and other tests want their own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, synthetic: Stack, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens a page of a stack (the synthetic one by default) in a context of its own: `open_page("/#/jobs", ...)`.

    allow: parts of console messages that the test provokes.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_(path: str = "/", *, stack: Stack = synthetic, allow: tuple[str, ...] = (), **options: object) -> Page:
        context = browser.new_context(**({"viewport": {"width": 1360, "height": 880}} | options))
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=stack.url)
        page = context.new_page()

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not any(part in message.text for part in allow):
                wrong.append(f"console {message.type}: {message.text} ({message.location})")

        def on_request(sent: Request) -> None:
            if not sent.url.startswith(("blob:", "data:")) and urlsplit(sent.url).netloc != urlsplit(stack.url).netloc:
                wrong.append(f"request to another host: {sent.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", on_request)
        page.goto(stack.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose worker takes its time, in small shards, so that progress can be watched."""
    environment = {"TOKENREWARD_SYNTHETIC_RATE": "40", "TOKENREWARD_SHARD_ITEMS": "5"}
    with running(tmp_path_factory.mktemp("slow"), **environment) as stack:
        yield stack
