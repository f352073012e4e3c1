"""Context fields in the playground: the form asks for what the template shows, and sends it."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.support.webpage import Open


def test_an_estimator_brings_its_template_and_the_fields_to_fill_in(open_page: Open) -> None:
    page = open_page()
    page.locator("#prompt-text").fill("What is 2+2?")
    page.locator("#response-a").fill("It is 4.")
    expect(page.locator("#contexts")).to_be_hidden()
    page.locator("#estimator").select_option("rlcsd")
    expect(page.locator("#template")).to_have_value("siblings")
    page.locator("#context-right").fill("Four.")
    page.locator("#context-wrong").fill("Five.\n---\nSix.")
    with page.expect_request("**/v1/label") as asked:
        page.get_by_role("button", name="Label").click()
    item = json.loads(asked.value.post_data or "")["items"][0]
    assert item["context"] == {"right": "Four.", "wrong": ["Five.", "Six."]}
    page.locator(".heat .t").first.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("log p wrong[1]")
    page.locator("#template").select_option("revision")
    expect(page.locator("#contexts")).to_be_hidden()


def test_a_missing_field_is_named_in_the_result(open_page: Open) -> None:
    page = open_page()
    page.locator("#estimator").select_option("privileged")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#answer")).to_contain_text("'reference'")
