"""Jobs as people watch them: progress, cancel, retry, delete, pages of results, downloads; and who does the work."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
from playwright.sync_api import expect

from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tests.support.webpage import Open, make_job
from tokenreward import Client


def ended(stack: Stack, job: str) -> dict:
    def look() -> dict | None:
        found: dict = httpx2.get(f"{stack.url}/v1/jobs/{job}").json()
        return found if found["finished_at"] else None

    return wait_for(look, 60, "the end of the job")


def test_a_job_is_watched_until_it_is_done(open_page: Open, slow: Stack) -> None:
    page = open_page("/#/jobs", stack=slow)
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    job = make_job(slow, [f"something to say, {n}" for n in range(240)])
    row = page.locator(f"tr[data-id='{job}']")
    expect(row.locator(".state")).to_have_text("running")
    seen = set()
    while row.locator(".state").inner_text() == "running":
        seen.add(row.locator("progress").get_attribute("value") or row.locator("progress").evaluate("n => n.value"))
        page.wait_for_timeout(100)
    expect(row.locator(".state")).to_have_text("succeeded")
    expect(row).to_contain_text("240 / 240")
    assert any(0 < int(value) < 240 for value in seen), seen


def test_the_page_of_a_job_fills_while_it_runs_and_nothing_moves(open_page: Open, slow: Stack) -> None:
    page = open_page("/#/jobs", stack=slow)  # the browser's start is not to take the job's time
    job = make_job(slow, [f"this is number {n}" for n in range(250)])
    page.goto(f"{slow.url}/#/jobs/{job}")
    expect(page.locator("#job .state")).to_have_text("running")
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach(e => {"
        " if (!e.hadRecentInput) window.shift += e.value })).observe({type: 'layout-shift', buffered: false})"
    )
    expect(page.locator("#job .state")).to_have_text("succeeded")
    expect(page.locator(".heat")).to_have_count(10)
    assert page.evaluate("window.shift") < 0.1


def test_a_job_is_cancelled_retried_and_deleted(open_page: Open, slow: Stack) -> None:
    page = open_page("/#/jobs", stack=slow)
    job = make_job(slow, [f"take your time, {n}" for n in range(200)])
    row = page.locator(f"tr[data-id='{job}']")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".state")).to_have_text("cancelled")
    row.get_by_role("button", name="Retry").click()
    expect(row.locator(".state")).to_have_text("running")
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".state")).to_have_text("cancelled")
    remove = row.get_by_role("button", name="Delete")
    remove.click()
    expect(remove).to_have_text("Sure?")
    remove.click()
    expect(row).to_have_count(0)
    assert httpx2.get(f"{slow.url}/v1/jobs/{job}").status_code == 404


def test_results_are_paged_filtered_and_sorted(open_page: Open, synthetic: Stack) -> None:
    responses = [f"answer number {n}" for n in range(25)]
    responses[13] = ""
    job = make_job(synthetic, responses)
    ended(synthetic, job)
    page = open_page(f"/#/jobs/{job}")
    titles = page.locator(".result h3")
    expect(titles).to_have_count(10)
    expect(titles.first).to_have_text("Item 1 · row-0")
    page.get_by_role("button", name="Next").click()
    expect(titles.first).to_have_text("Item 11 · row-10")
    expect(page.locator(".result.failed")).to_contain_text("invalid_item")
    page.get_by_role("button", name="Next").click()
    expect(titles).to_have_count(5)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.go_back()
    expect(titles.first).to_have_text("Item 11 · row-10")
    page.get_by_label("Which results").select_option("Only errors")
    expect(titles).to_have_count(1)
    expect(page.get_by_text("1 error: invalid_item 1.")).to_be_visible()
    page.get_by_label("Which results").select_option("Best mean first")
    lines = httpx2.get(f"{synthetic.url}/v1/jobs/{job}/results").text.splitlines()
    rows = [row for row in map(json.loads, lines) if row.get("rewards")]
    best = max(rows, key=lambda row: sum(row["rewards"]) / len(row["rewards"]))
    expect(titles.first).to_have_text(f"Item {best['index'] + 1} · {best['id']}")


def test_results_are_downloaded_as_ndjson(open_page: Open, synthetic: Stack) -> None:
    job = make_job(synthetic, ["one", "two"])
    ended(synthetic, job)
    page = open_page(f"/#/jobs/{job}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download NDJSON").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert [json.loads(line).get("id") for line in lines] == ["row-0", "row-1", None]
    page.get_by_text("Provenance").click()
    expect(page.locator(".provenance")).to_contain_text("synthetic")


def test_provenance_says_which_model_scored_which_branch(open_page: Open, synthetic: Stack, tmp_path: Path) -> None:
    write_adapter(tmp_path / "dpo", 1)
    with Client(synthetic.url) as client:
        made = client.adapters.put("dpo", tmp_path / "dpo")
        job = make_job(synthetic, ["one"], template="opposite", models={"better": "dpo"})
        ended(synthetic, job)
        client.adapters.delete("dpo")
    page = open_page(f"/#/jobs/{job}")
    page.get_by_text("Provenance").click()
    rows = page.locator(".provenance")
    expect(rows.locator("dt", has_text="scores better")).to_be_visible()
    expect(rows).to_contain_text(f"dpo@{made.version}, an adapter of {made.model}")
    expect(rows.locator("dt", has_text="scores worse")).to_be_visible()
    plain = make_job(synthetic, ["one"])
    ended(synthetic, plain)
    page.goto(f"{synthetic.url}/#/jobs/{plain}")
    page.get_by_text("Provenance").click()
    expect(rows).to_contain_text("template")
    expect(rows).not_to_contain_text("scores")


def test_a_job_that_is_not_there_is_said(open_page: Open) -> None:
    page = open_page("/#/jobs/nosuchjob", allow=("404",))
    expect(page.get_by_role("heading", level=1, name="No such job")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("There is no job nosuchjob here.")
    page.get_by_role("link", name="All jobs that are here").click()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_workers_and_models_are_shown(open_page: Open, synthetic: Stack) -> None:
    page = open_page("/#/workers")
    worker = httpx2.get(synthetic.url + "/v1/workers").json()["workers"][0]
    expect(page.get_by_role("table", name="Workers")).to_contain_text(f"{worker['host']}:{worker['pid']}")
    expect(page.get_by_role("table", name="Models")).to_contain_text(worker["fingerprint_digest"])
    expect(page.locator("#alive")).to_contain_text("1 worker")
