"""Label in the playground, by mouse and by keyboard, and take what it shows elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from benchmarks.harness.stack import Stack
from tests.support.webpage import Open, label


def copied(page: Page, button: str) -> str:
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("#said")).to_contain_text("copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


def test_a_newcomer_presses_label_and_sees_which_tokens_helped(open_page: Open) -> None:
    page = open_page()
    expect(page.get_by_text("Which tokens helped?")).to_be_visible()
    page.get_by_role("button", name="Label").click()
    expect(page.locator(".heat")).to_have_count(2)
    expect(page.locator(".difference .verdict")).to_contain_text("The labels")


def test_a_token_shows_its_reward_logprobs_and_id_when_pointed_at(open_page: Open, synthetic: Stack) -> None:
    page = open_page()
    label(page, "Name a colour.", "Blue.")
    page.locator(".heat .t").nth(1).hover()
    (row,) = httpx2.post(
        synthetic.url + "/v1/label",
        json={"items": [{"prompt": "Name a colour.", "response": "Blue."}], "include": ["logprobs"]},
    ).json()["results"]
    tip = page.get_by_role("tooltip")
    reward = row["rewards"][1]
    expect(tip).to_contain_text(f"{'−' if reward < 0 else '+'}{abs(reward):.6f}")
    for branch, values in row["logprobs"].items():
        expect(tip).to_contain_text(f"log p {branch}−{abs(values[1]):.4f}")
    expect(tip).to_contain_text(f"token id{row['token_ids'][1]}")
    expect(tip).to_contain_text("position2 of 6")
    mean = sum(row["rewards"]) / len(row["rewards"])
    expect(page.locator(".result .figures")).to_contain_text(f"mean{'−' if mean < 0 else '+'}{abs(mean):.4f}")


def test_the_playground_works_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#estimator")).to_have_value("contrast")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "prompt-text":
            break
    else:
        pytest.fail("Tab does not lead to the prompt")
    page.keyboard.press("Control+A")
    page.keyboard.type("Name two colours.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".heat")).to_have_count(2)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.heat .t')"):
            break
    else:
        pytest.fail("Tab does not lead to the tokens")
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("position1 of")
    page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("position2 of")
    page.keyboard.press("ArrowDown")
    expect(tip).not_to_contain_text("position2 of")
    page.keyboard.press("End")
    expect(tip).to_contain_text("<|im_end|>")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.keyboard.press("Tab")  # one stop a map: the next is beyond its hundred tokens
    assert page.evaluate("document.activeElement.closest('.result h3, .heat')?.ariaLabel ?? ''").startswith(
        "Response B"
    )


def test_a_link_restores_the_view_with_its_heat_maps(open_page: Open, synthetic: Stack) -> None:
    page = open_page()
    label(page, "Say 'hi' — 你好 😀", "Hi & <b>bye</b>", "你好, ça va?")
    link = copied(page, "Copy link")
    assert link.startswith(synthetic.url + "/#/play/")
    before = page.locator(".sides").inner_text()
    other = open_page(link.removeprefix(synthetic.url))
    expect(other.locator("#status")).to_contain_text("Restored from the link")
    expect(other.get_by_label("Prompt", exact=True)).to_have_value("Say 'hi' — 你好 😀")
    expect(other.get_by_label("Response B", exact=True)).to_have_value("你好, ça va?")
    assert other.locator(".sides").inner_text() == before


def test_a_link_whose_results_are_gone_restores_the_form_and_computes_nothing(
    open_page: Open, synthetic: Stack
) -> None:
    page = open_page()
    label(page, "Gone?", "Yes.")
    link = copied(page, "Copy link")
    job = httpx2.get(synthetic.url + "/v1/jobs").json()["jobs"][0]["id"]
    httpx2.delete(f"{synthetic.url}/v1/jobs/{job}").raise_for_status()
    jobs = len(httpx2.get(synthetic.url + "/v1/jobs").json()["jobs"])
    other = open_page(link.removeprefix(synthetic.url), allow=("404",))
    expect(other.locator("#status")).to_contain_text("expired")
    expect(other.get_by_label("Response A", exact=True)).to_have_value("Yes.")
    assert len(httpx2.get(synthetic.url + "/v1/jobs").json()["jobs"]) == jobs


@pytest.mark.parametrize("fragment", ["%%%", "AAAA", "q1YqKMrPLCjOz1OyUjIyMAAA", "<script>alert(1)</script>"])
def test_a_damaged_link_is_a_message(open_page: Open, fragment: str) -> None:
    page = open_page(f"/#/play/{fragment}")
    expect(page.locator("#status")).to_contain_text("damaged")


def test_what_is_copied_gives_the_same_rewards_elsewhere(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    label(page, "It's 5 o'clock; $HOME `x` \\n \"q\"", 'Don\'t "panic"\n\\ $(ls) 😀')
    shown: Any = json.loads(copied(page, "JSON"))
    assert shown["provenance"]["fingerprint"]["engine"] == "synthetic"
    by_curl = subprocess.run(["bash", "-c", copied(page, "curl")], capture_output=True, text=True, check=True)
    assert json.loads(by_curl.stdout)["results"] == shown["results"]
    script = tmp_path / "copied.py"
    script.write_text(copied(page, "Python") + "print('REWARDS', [float(r) for r in answer.results[0].rewards])\n")
    by_python = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    rewards = json.loads(re.search(r"REWARDS (.*)", by_python.stdout)[1])  # type: ignore[index]
    assert rewards == pytest.approx(shown["results"][0]["rewards"])


def test_a_template_of_ones_own_is_previewed_while_it_is_written_and_used(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Template").select_option("custom…")
    page.get_by_text("What the model is asked").click()
    branches = page.locator("#branches")
    expect(branches).to_contain_text("[Question]")
    page.get_by_label("Context, shared by all branches").fill("Q={prompt} A={response} {other}. ")
    page.get_by_label("Directive").first.fill("Be splendid.")
    page.get_by_label("Prompt", exact=True).fill("P {response}")
    page.get_by_label("Response A", exact=True).fill("R")
    expect(branches).to_contain_text("Q=P {response} A=R {other}. Be splendid.")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#status")).to_contain_text("labeled by")
    page.get_by_text("Provenance").click()
    expect(page.locator(".provenance")).to_contain_text("custom ·")


def test_a_template_without_the_estimators_branches_is_said_in_words(open_page: Open) -> None:
    page = open_page(allow=("422",))
    page.get_by_label("Template").select_option("custom…")
    page.get_by_label("Branch name").first.fill("nicer")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#status")).to_contain_text("needs branch 'better'")


def test_a_conversation_is_sent_as_messages(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Conversation").click()
    page.get_by_label("What is said").first.fill("Hello.")
    page.get_by_role("button", name="Add a turn").click()
    page.get_by_label("What is said").last.fill("Hi, what is up?")
    page.get_by_role("button", name="Add a turn").click()
    page.get_by_label("What is said").last.fill("Tell me a joke.")
    page.get_by_text("What the model is asked").click()
    expect(page.locator("#branches")).to_contain_text("User: Hello.\n\nAssistant: Hi, what is up?", use_inner_text=True)
    with page.expect_request("**/v1/label") as sent:
        page.get_by_role("button", name="Label").click()
    prompt = sent.value.post_data_json["items"][0]["prompt"]
    assert [turn["role"] for turn in prompt] == ["user", "assistant", "user"]
    expect(page.locator(".heat")).to_have_count(2)


def test_an_empty_response_is_asked_for_before_anything_is_sent(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Response A", exact=True).fill("")
    page.get_by_role("button", name="Label").click()
    expect(page.locator("#status")).to_have_text("Write a response first.")
    expect(page.get_by_label("Response A", exact=True)).to_be_focused()


def test_an_item_that_cannot_be_labeled_shows_why_beside_its_neighbour(open_page: Open) -> None:
    page = open_page()
    label(page, "Too long?", "x" * 40_000, "No.")
    expect(page.locator(".result.failed")).to_contain_text("too_long")
    expect(page.locator(".heat")).to_have_count(1)


def test_maps_that_no_longer_fit_the_form_say_so(open_page: Open) -> None:
    page = open_page()
    label(page, "Name a colour.", "Blue.")
    page.get_by_label("Response A", exact=True).fill("Red.")
    expect(page.locator("#answer")).to_have_class(re.compile("outdated"))
    page.get_by_label("Response A", exact=True).fill("Blue.")
    expect(page.locator("#answer")).not_to_have_class(re.compile("outdated"))
