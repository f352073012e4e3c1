"""A file from the visitor's computer becomes a job; what is wrong with it is said before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.webpage import Open

ROWS = [{"prompt": f"Question {n}?", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(6)]


def test_a_file_of_pairs_becomes_a_job_with_chosen_beside_rejected(open_page: Open, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    page = open_page("/#/jobs")
    page.get_by_role("button", name="Label a file…").click()
    dialog = page.get_by_role("dialog", name="Label a file")
    dialog.get_by_label("File").set_input_files(file)
    expect(dialog.get_by_role("status")).to_contain_text("6 rows, pairs of chosen and rejected")
    dialog.get_by_role("button", name="Label", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("mine.jsonl")
    expect(page.locator("#job .state")).to_have_text("succeeded")
    expect(page.locator(".together").first.locator(".heat")).to_have_text(["good 0<|im_end|>", "bad 0<|im_end|>"])


def test_rows_of_messages_are_read_too(open_page: Open, tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Hi?"}]
    rows = [
        {"prompt": asked, "completion": [{"role": "assistant", "content": "Hello."}]},
        {"prompt": "Again?", "completion": "Yes."},
    ]
    file = tmp_path / "talk.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    page = open_page("/#/jobs")
    page.get_by_role("button", name="Label a file…").click()
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("dialog").get_by_role("button", name="Label", exact=True).click()
    expect(page.locator("#job .heat")).to_have_text(["Hello.<|im_end|>", "Yes.<|im_end|>"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "There are no rows in this file."),
        ('{"prompt": "p", "response": "r"}\n{"prompt"\n', "Line 2 is not JSON"),
        ('{"question": "q", "answer": "a"}\n', "Line 1: a row needs `prompt` and `response`"),
        ('{"prompt": "p", "response": "r"}\n\n{"prompt": "p", "response": ""}\n', "Line 3: `response` is neither"),
        ("[1, 2]\n", "Line 1 is not a JSON object"),
        ('{"prompt": "' + "x" * (17 * 2**20) + '", "response": "r"}\n', "the page takes 16 MB"),
    ],
    ids=["empty", "broken", "columns", "no response", "no object", "too large"],
)
def test_a_file_that_cannot_be_labeled_is_refused_by_its_line(
    open_page: Open, tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "wrong.jsonl"
    file.write_text(content)
    page = open_page("/#/jobs")
    page.get_by_role("button", name="Label a file…").click()
    dialog = page.get_by_role("dialog", name="Label a file")
    dialog.get_by_label("File").set_input_files(file)
    expect(dialog.get_by_role("status")).to_contain_text(says)
    expect(dialog.get_by_role("button", name="Label", exact=True)).to_be_disabled()
