"""A job's page shows what was said: prompts, responses as text, chosen beside rejected; and what became of the job."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
from playwright.sync_api import expect

from benchmarks.harness.stack import Stack
from tests.support.webpage import Open, make_job
from tests.web.test_jobs import ended
from tokenreward import label_dataset


def test_a_job_without_tokens_shows_text_all_the_same_and_leaves_no_other_job(
    open_page: Open, synthetic: Stack
) -> None:
    job = make_job(synthetic, ["ab", "and some more"], include=[])
    ended(synthetic, job)
    before = {one["id"] for one in httpx2.get(synthetic.url + "/v1/jobs").json()["jobs"]}
    page = open_page(f"/#/jobs/{job}")
    expect(page.locator(".heat").nth(1)).to_have_text("and some more<|im_end|>")
    expect(page.locator(".result .prompt").first).to_contain_text("Say something.")
    after = {one["id"] for one in httpx2.get(synthetic.url + "/v1/jobs").json()["jobs"]}
    assert after == before


def test_chosen_stands_beside_rejected_below_their_prompt(open_page: Open, synthetic: Stack, tmp_path: Path) -> None:
    source = tmp_path / "taste.jsonl"
    rows = [{"prompt": f"Question {n}?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(7)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    label_dataset(source, tmp_path / "out.jsonl", url=synthetic.url, keep_jobs=True)
    page = open_page("/#/jobs")
    page.get_by_role("link", name="taste.jsonl").click()
    row = page.locator(".together").nth(2)
    expect(row.locator("h3")).to_have_text("Row 3")
    expect(row.locator("h4")).to_have_text(["chosen", "rejected"])
    expect(row.locator(".prompt")).to_contain_text("Question 2?")
    expect(row.locator(".heat").first).to_have_text("good 2<|im_end|>")
    left, right = (row.locator(".card").nth(n).bounding_box() for n in (0, 1))
    assert left is not None
    assert right is not None
    assert (left["y"], left["x"] < right["x"]) == (right["y"], True)
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".together h3")).to_have_text(["Row 6", "Row 7"])


def test_what_the_command_line_labeled_is_found_after_its_rows_were_removed(
    open_page: Open, synthetic: Stack, tmp_path: Path
) -> None:
    source = tmp_path / "last week.jsonl"
    source.write_text("".join(json.dumps({"prompt": "p", "response": f"r{n}"}) + "\n" for n in range(9)))
    label_dataset(source, tmp_path / "out.jsonl", url=synthetic.url, rows_per_job=2)
    page = open_page("/#/jobs")
    row = page.get_by_role("row").filter(has_text="last week.jsonl")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("9 / 9")
    expect(row).to_contain_text("synthetic · revision")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("last week.jsonl")
    expect(page.locator("#job .note")).to_contain_text("the service has removed its copy")
    expect(page.get_by_role("button", name="Download NDJSON")).to_be_hidden()


def test_a_job_whose_items_all_failed_is_not_called_a_success(open_page: Open, synthetic: Stack) -> None:
    failed, partly = make_job(synthetic, ["", ""]), make_job(synthetic, ["fine", ""])
    for job in (failed, partly):
        ended(synthetic, job)
    page = open_page("/#/jobs")
    for job, words, look in ((failed, "all failed", "failed"), (partly, "1 failed", "partly")):
        state = page.locator(f"tr[data-id='{job}'] .state")
        expect(state).to_have_text(words)
        expect(state).to_have_attribute("data-state", look)
    page.goto(f"{synthetic.url}/#/jobs/{failed}")
    expect(page.locator("#job .state")).to_have_text("all failed")


def test_time_that_is_left_and_time_that_was_taken_have_their_own_names(open_page: Open, slow: Stack) -> None:
    page = open_page("/#/jobs", stack=slow)  # the browser's start is not to take the job's time
    job = make_job(slow, [f"and a few words more, {n}" for n in range(300)])
    page.goto(f"{slow.url}/#/jobs/{job}")
    names = page.locator("#job .figures.wrap dt:visible")
    expect(names).to_contain_text(["time left"])
    expect(page.locator("#job .state")).to_have_text("succeeded")
    expect(names).to_contain_text(["took"])
    assert "time left" not in names.all_inner_texts()
    page.goto(f"{slow.url}/#/jobs")
    expect(page.locator(f"tr[data-id='{job}'] [data-name=Time]")).to_contain_text("took")
    assert page.get_by_role("columnheader", name="Time left").count() == 0


def test_tokens_that_nobody_can_spell_are_ids_and_the_page_says_why(open_page: Open, tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        worker = stack.start_worker()
        stack.start_api()
        stack.wait_ready()
        job = make_job(stack, ["ab"], include=[])
        ended(stack, job)
        worker.stop()
        page = open_page(f"/#/jobs/{job}", stack=stack, allow=("503", "ERR_"))
        expect(page.locator(".heat")).to_have_text("97 98 258 ")
        expect(page.get_by_text("no worker with this job's set-up can spell them now")).to_be_visible()
