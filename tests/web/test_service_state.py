"""What the service is doing, in one place and in the same words everywhere; what is over is no longer said."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from benchmarks.harness.stack import Stack
from tests.support.webpage import Open, make_job

REFUSED = ("Failed to load resource", "ERR_")


def test_a_label_that_is_asked_for_while_the_model_loads_comes_by_itself(open_page: Open, tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.start_api()
        page = open_page(stack=stack, allow=REFUSED)  # it asks on while the stack ends
        alive, said = page.locator("#alive"), page.locator("#service")
        expect(alive).to_have_attribute("data-alive", "loading")
        expect(alive).to_contain_text("no worker yet")
        expect(said).to_contain_text("loads its model first; this page goes on by itself")
        page.get_by_role("button", name="Label").click()
        expect(page.locator("#status")).to_have_text("Waiting for a worker…")
        assert page.locator(".error:visible").count() == 0
        stack.start_worker()
        expect(page.locator("#answer .heat")).to_have_count(2)
        expect(alive).to_contain_text("1 worker")
        expect(said).to_be_hidden()
        expect(page.locator("#model option").first).to_have_text("synthetic")
        assert page.locator(".error:visible, [data-alive=away]:visible").count() == 0


def test_a_service_that_is_away_is_said_and_forgotten_when_it_is_back(open_page: Open, tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.start_worker()
        stack.start_api()
        stack.wait_ready()
        page = open_page(stack=stack, allow=REFUSED)
        expect(page.locator("#alive")).to_contain_text("1 worker")
        port = int(stack.url.rsplit(":", 1)[1])
        assert stack.api is not None
        stack.api.stop()
        page.goto(stack.url + "/#/jobs")
        expect(page.locator("#alive")).to_have_text("service away")
        expect(page.locator("#service")).to_contain_text("The service does not answer.")
        expect(page.locator("#jobs .error")).to_contain_text("cannot be reached")
        stack.start_api(port)
        expect(page.locator("#alive")).to_have_text("1 worker")
        expect(page.locator("#service")).to_be_hidden()
        expect(page.locator("#jobs .error")).to_be_hidden()


def test_busy_is_no_trouble(open_page: Open, slow: Stack) -> None:
    page = open_page(stack=slow)
    expect(page.locator("#alive")).to_have_attribute("data-alive", "ready")
    job = make_job(slow, [f"a long row of words, {n}" for n in range(300)])
    expect(page.locator("#alive")).to_have_text("1 worker, busy")
    expect(page.locator("#service")).to_be_hidden()
    page.goto(f"{slow.url}/#/jobs/{job}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#alive")).to_have_text("1 worker")


def test_a_reload_keeps_what_was_typed(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Prompt", exact=True).fill("What did I write?")
    page.get_by_label("Response A", exact=True).fill("This, and it is long.")
    page.locator("#estimator").select_option("surprisal")
    page.get_by_label("Reward for each").select_option("word")
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("What did I write?")
    expect(page.get_by_label("Response A", exact=True)).to_have_value("This, and it is long.")
    expect(page.locator("#estimator")).to_have_value("surprisal")
    expect(page.get_by_label("Reward for each")).to_have_value("word")
    other = open_page()
    expect(other.get_by_label("Prompt", exact=True)).not_to_have_value("What did I write?")
