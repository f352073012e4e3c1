"""How a response is drawn: one scale for all, no slivers, code in columns, segments, and A against B in words."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from benchmarks.harness.stack import Stack
from tests.support.webpage import Open, label

DRAW = """async ([text, tokens, rewards]) => {
  const at = new URL('result.js', new URL(document.querySelector('script[type=module]').src)).href;
  const { resultCard } = await import(at);
  let end = 0;
  const offsets = tokens.map((token) => [end, (end += Array.from(token).length)]);
  const result = { index: 0, token_ids: tokens.map((_, i) => i), rewards, tokens, offsets };
  document.getElementById('answer').replaceChildren(resultCard(result, { title: 'Drawn', end: 0.25, text }));
}"""


def draw(page: Page, tokens: list[str], rewards: list[float] | None = None) -> None:
    """Draws a response of these tokens, which the synthetic engine (a token is a byte) cannot make."""
    page.evaluate(DRAW, ["".join(tokens), tokens, rewards or [0.2] * len(tokens)])


def colours(page: Page, card: int = 0) -> list[str]:
    tokens = page.locator(".result").nth(card).locator(".heat .t")
    return [re.sub(r" (code|begins|special)", "", str(c)) for c in tokens.evaluate_all("t => t.map(n => n.className)")]


def test_the_same_reward_has_the_same_colour_whatever_stands_beside_it(open_page: Open) -> None:
    page = open_page()
    draw(page, ["weak", " strong"], [0.05, 0.25])
    first = colours(page)
    draw(page, ["weak", " weaker"], [0.05, 0.01])
    assert first == ["t up l2", "t up l10"]
    assert colours(page) == ["t up l2", "t"]


def test_the_scale_says_its_numbers_and_can_be_stretched_to_each_response(open_page: Open) -> None:
    page = open_page()
    label(page, "Name a colour.", "Blue.", "Red, and some more of it.")
    ramp = page.get_by_role("img", name="Colour scale")
    expect(ramp).to_have_count(1)
    expect(ramp).to_have_text(re.compile(r"−0\.25.*0.*\+0\.25"))
    fixed = colours(page)
    page.get_by_role("button", name="Stretch to each response").click()
    expect(ramp).to_have_count(2)  # one for each response, with its own numbers
    ends = ramp.all_inner_texts()
    assert all(re.search(r"\+0\.\d\d", text) for text in ends)
    assert colours(page) != fixed
    page.reload()
    label(page, "Name a colour.", "Blue.", "Red, and some more of it.")
    expect(page.get_by_role("button", name="Stretch to each response")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Fixed scale").click()
    expect(ramp).to_have_count(1)
    assert colours(page) == fixed


def test_a_blank_before_a_word_has_no_colour_and_a_blank_token_has(open_page: Open) -> None:
    page = open_page()
    draw(page, ["One", " two", "  ", " three", "\n", "\n\nfour"])
    texts = page.locator(".heat .t").evaluate_all("nodes => nodes.map(n => n.textContent)")
    assert texts == ["One", "two", "  ", "three", "↵\n", "four"]
    assert page.locator(".heat").evaluate("n => n.textContent") == "One two   three↵\n\n\nfour"


@pytest.mark.parametrize(
    ("tokens", "code"),
    [
        (["Use this:\n", "```python\n", "x = 1\n", "```\n", "Done."], ["```python\n", "x = 1\n", "```\n"]),
        (["def f(n):\n", "    return n", " + 1\n"], ["def f(n):\n", "return n", "+ 1\n"]),
        (["I return it to you; for now.\n", "  Yours"], []),
        (["Plain words, and no more."], []),
    ],
)
def test_code_is_drawn_in_columns_and_words_are_not(open_page: Open, tokens: list[str], code: list[str]) -> None:
    page = open_page()
    draw(page, tokens)
    assert page.locator(".heat .code").evaluate_all("nodes => nodes.map(n => n.textContent)") == code
    for node in page.locator(".heat .code").all():
        assert "mono" in str(node.evaluate("n => getComputedStyle(n).fontFamily")).lower()


def test_tabs_and_long_lines_stay_inside_the_card(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 844})
    draw(page, ["\t" * 40, "x", "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t", "y" * 300, "\n\t\treturn x"])
    card = page.locator(".result").bounding_box()
    assert card is not None
    edges = page.locator(".heat .t").evaluate_all("ts => ts.flatMap(t => [...t.getClientRects()].map(r => r.right))")
    assert max(edges) <= card["x"] + card["width"]


def test_segments_are_drawn_where_rewards_are_pooled(open_page: Open, synthetic: Stack) -> None:
    page = open_page()
    page.get_by_label("Reward for each").select_option("word")
    with page.expect_request("**/v1/label") as asked:
        label(page, "Name two colours.", "Blue, and red.")
    assert asked.value.post_data_json["include"] == ["logprobs", "tokens", "segments"]
    assert page.locator(".heat .begins").evaluate_all("nodes => nodes.map(n => n.textContent)") == [
        "B",
        ",",
        "a",
        "r",
        ".",
    ]
    page.locator(".heat .t").nth(1).hover()
    expect(page.get_by_role("tooltip")).to_contain_text("segment 1 of 5: ")


def test_two_responses_are_compared_in_words_and_where_they_differ(open_page: Open, synthetic: Stack) -> None:
    page = open_page()
    texts = ("The capital is Rome, of course.", "The capital is Oslo, of course.")
    label(page, "What is the capital of Italy?", *texts)
    items = [{"prompt": "What is the capital of Italy?", "response": text} for text in texts]
    rows = httpx2.post(synthetic.url + "/v1/label", json={"items": items}).json()["results"]
    apart = sum(rows[0]["rewards"]) - sum(rows[1]["rewards"])
    verdict = page.locator(".difference .verdict")
    expect(verdict).to_contain_text(f"by sum {'+' if apart > 0 else '−'}{abs(apart):.3f}")
    expect(verdict).to_contain_text(f"The labels prefer {'A' if apart > 0 else 'B'}")
    expect(verdict).to_contain_text("“Rome,” in A against “Oslo,” in B")
    cells = page.locator(".difference tbody tr:not(.same) td:nth-child(odd) span")
    expect(cells).to_have_text(["Rome,", "Oslo,"])
    label(page, "What?", "Same.", "Same.")
    expect(verdict).to_contain_text("do not tell A from B")


def test_labels_come_with_what_their_last_audit_found(open_page: Open, synthetic: Stack) -> None:
    page = open_page()
    page.locator("#estimator").select_option("surprisal")
    label(page, "Name a colour.", "Blue.")
    expect(page.locator("#answer .trust")).to_contain_text("Nobody has audited these labels")
    asked = {"estimator": "surprisal", "template": page.locator("#template").input_value()}
    item = {"items": [{"prompt": "p", "response": "r"}], **asked}
    provenance: dict[str, Any] = httpx2.post(synthetic.url + "/v1/label", json=item).json()["provenance"]
    names = ("fingerprint_digest", "template", "template_hash", "estimator", "estimator_hash")
    words = "these labels find the errors no better than chance: do not train on them"
    verdict = {name: provenance[name] for name in names} | {"advice": "no", "words": words, "responses": 300}
    httpx2.put(synthetic.url + "/v1/audits", json={"audits": [verdict]}).raise_for_status()
    label(page, "Name a colour.", "Red.")
    expect(page.locator("#answer .trust")).to_contain_text(f"do not train on them: {words} (300 responses, just now).")
