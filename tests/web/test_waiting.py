"""A job whose set-up nobody serves, on the page: it says so, and Retry gives it another one."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from benchmarks.harness.stack import Stack
from tests.support.next_version import next_version
from tests.support.webpage import Open, make_job


def test_a_job_that_nobody_serves_is_pinned_anew_by_retry(open_page: Open, tmp_path: Path) -> None:
    with Stack(tmp_path, {"TOKENREWARD_CACHE_TTL_SECONDS": "0"}) as stack:
        stack.start_api()
        first = stack.start_worker()
        stack.wait_ready()
        first.stop()
        job = make_job(stack, ["left behind"], model="synthetic")
        page = open_page(f"/#/jobs/{job}", stack=stack)
        note, retry = page.locator("#job .note"), page.get_by_role("button", name="Retry")
        expect(note).to_contain_text("which nobody serves any more; no other set-up of synthetic is served")
        expect(page.locator("#job .state")).to_have_text("queued, not served")
        expect(retry).to_be_hidden()
        next_version(stack)
        stack.wait_ready()
        expect(note).to_contain_text("served now: synthetic@")
        retry.click()
        expect(page.locator("#job .state")).to_have_text("succeeded")
        expect(note).to_be_hidden()
        page.get_by_text("Provenance").click()
        expect(page.locator(".provenance")).to_contain_text("synthetic 2, float32")
        page.close()  # before its service ends, which it would ask again
