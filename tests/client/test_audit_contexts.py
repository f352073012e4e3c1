"""An audit of items that bring context fields: which labels it measures on which set, and pooled rewards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.stack import Stack
from tokenreward import Client, cli, estimators, templates
from tokenreward.audit import plan
from tokenreward.audit.contents import Content
from tokenreward.audit.fitting import fitting
from tokenreward.audit.scored import Scored
from tokenreward.audit.scoring import score
from tokenreward.audit.served_models import chosen_model
from tokenreward.audit.set_files import load
from tokenreward.audit.sets import PairItem, PairSet, Response, SpanItem, SpanSet
from tokenreward.commands import audit
from tokenreward.dataset.progress import Quiet
from tokenreward.errors import BadInput

LABELS = plan.labels(templates.of_one_model(), list(estimators.shipped().values()))
BARE = {label.name for label in LABELS if not label.reads_context}
GOOD = {"prompt": "What is 2+2?", "response": "It is 5.", "bad_spans": [[6, 7]]}


def written(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def label(estimator: str, template: str, **how: Any) -> plan.Label:
    (found,) = plan.labels([templates.resolve(template)], [estimators.resolve(estimator)], **how)
    return found


# What a file says.


def test_context_fields_come_from_an_object_and_from_columns(tmp_path: Path) -> None:
    row = GOOD | {"context": {"right": "Four.", "wrong": ["Six."], "empty": None}, "solution": "It is 4."}
    (item,) = load(written(tmp_path / "a.jsonl", row), contexts={"reference": "solution"}).items
    assert isinstance(item, SpanItem)
    assert item.context == {"right": "Four.", "wrong": ["Six."], "empty": None, "reference": "It is 4."}


def test_the_sides_of_a_pair_may_have_fields_of_their_own(tmp_path: Path) -> None:
    row = {"prompt": "p", "chosen": "c", "rejected": "r", "context": {"a": "both"}, "rejected_context": {"b": "one"}}
    (item,) = load(written(tmp_path / "a.jsonl", row), contexts={"outcome": "@outcome", "right": "@chosen"}).items
    assert isinstance(item, PairItem)
    assert item.chosen_context == {"a": "both", "outcome": "right"}  # never its own hint
    assert item.rejected_context == {"a": "both", "b": "one", "outcome": "wrong", "right": "c"}


def test_a_column_of_that_name_without_objects_is_left_alone(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [GOOD | {"context": "a passage"}, GOOD | {"context": None}]
    assert [item.responses[0].context for item in load(written(tmp_path / "a.jsonl", *rows)).items] == [{}, {}]
    with pytest.raises(BadInput, match=r"line 1, field 'context': 'a passage' is not an object"):
        load(written(tmp_path / "b.jsonl", *rows, GOOD | {"context": {"right": "Four."}}))


@pytest.mark.parametrize(
    ("row", "contexts", "says"),
    [
        (GOOD | {"context": {"right": 5}}, {}, "line 1, field 'context', column 'right': a context field is text"),
        (GOOD, {"reference": "solution"}, "line 1: no column 'solution', which the context field 'reference'"),
        (GOOD, {"reference": "@nobody"}, "unknown source '@nobody'"),
    ],
)
def test_a_wrong_context_is_named(tmp_path: Path, row: dict[str, Any], contexts: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput) as error:
        load(written(tmp_path / "a.jsonl", row), contexts=contexts)
    assert says in str(error.value)


# Which labels fit.


def test_one_item_without_its_field_leaves_a_label_out_for_its_set_and_says_so() -> None:
    items = tuple(SpanItem(str(n), "p", "r", (), context={"right": "a", "wrong": ["b"]}) for n in range(3))
    kept, left_out = fitting(SpanSet("s", items), LABELS)
    assert {one.name for one in kept} == BARE | {"siblings/rlcsd"}
    kept, left_out = fitting(SpanSet("s", (*items, SpanItem("3", "p", "r", ()))), LABELS)
    assert {one.name for one in kept} == BARE
    reasons = {one.label: one.reason for one in left_out}
    assert reasons["siblings/rlcsd"] == "right in 1 of 4 items"
    assert reasons["edit/edit"] == "revised or original"


def test_a_pair_needs_the_fields_on_both_sides() -> None:
    both = {"chosen_context": {"reference": "a"}, "rejected_context": {"reference": "a"}}
    whole, half = PairItem("0", "p", "c", "r", **both), PairItem("1", "p", "c", "r", chosen_context={"reference": "a"})
    names = [{one.name for one in fitting(PairSet("s", (item,)), LABELS)[0]} for item in (whole, half)]
    assert names == [BARE | {"reference/privileged"}, BARE]


# What is computed.


def test_pooled_rewards_are_judged_word_by_word() -> None:
    text = "ab cd"
    scored = Scored(text, token_ids=[1, 2, 3, 4], offsets=np.array([[0, 1], [1, 2], [2, 5], [5, 5]]))
    rows = np.log(np.array([0.5, 0.25, 0.1, 0.9], dtype=np.float32))
    one = label("surprisal", "plain")
    (content,) = one.contents.values()
    scored.logprobs[content] = rows
    own = scored.rewards(one)
    by_word = scored.rewards(label("surprisal", "plain", pool="word"))
    np.testing.assert_allclose(by_word, [own[:2].mean(), own[:2].mean(), own[2], own[3]], rtol=1e-6)
    np.testing.assert_allclose(
        scored.rewards(label("surprisal", "plain", pool="word", pool_by="min"))[0], own[:2].min()
    )


def test_an_estimator_that_asks_no_model_reads_text_and_places() -> None:
    offsets = np.array([[0, 2], [3, 5], [5, 7], [7, 8], [8, 8]])
    scored = Scored("It is 5.", {"revised": "It is 4."}, [1, 2, 3, 4, 5], offsets=offsets)
    np.testing.assert_array_equal(scored.rewards(label("edit", "edit")), [0, 0, -0.5, 0, 0])


def test_a_repeated_branch_is_averaged_over_its_rows() -> None:
    one = label("rlcsd", "siblings")
    right, wrong = (one.contents[name] for name in ("right", "wrong"))
    assert wrong.most == 3
    scored = Scored("ab", token_ids=[1], offsets=np.array([[0, 2]]))
    scored.logprobs |= {right: np.array([-1], np.float32), wrong: np.array([[-1.01], [-1.03]], np.float32)}
    np.testing.assert_allclose(scored.rewards(one), np.tanh(0.02 / 0.03) / 2, rtol=1e-4)


# With a service.


def test_what_responses_have_in_common_is_one_item_even_if_their_contexts_differ(
    synthetic: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Counting(Quiet):
        def begin(self, total: int, done: int) -> None:
            asked.append(total)

    labels = [label("surprisal", "plain"), label("rlcsd", "siblings")]
    contexts = [{"right": "a", "wrong": ["b", "c"]}, {"right": "a", "wrong": ["d"]}]
    wanted = [(Response("p", "one", context), labels) for context in contexts] + [(Response("p", "one"), labels[:1])]
    with Client(synthetic.url) as client:
        scores = score(client, wanted, chosen_model(client.models(), None), Counting())
    assert asked == [1 + 2]
    rows = [scores.of(response).logprobs for response, _ in wanted]
    plain = labels[0].contents["plain"]
    for one in rows:
        np.testing.assert_array_equal(one[plain], rows[0][plain])
    assert [one[labels[1].contents["wrong"]].shape[0] for one in rows[:2]] == [2, 1]
    assert set(rows[2]) == {Content(True)}


def test_sets_with_and_without_contexts_are_audited_together(
    synthetic: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"The answer is {n}, I think." for n in range(6)]
    plain = [{"prompt": f"p{n}", "response": text, "bad_spans": [[14, 15]]} for n, text in enumerate(texts)]
    context = {
        "right": "It is 7.",
        "wrong": ["It is 8.", "It is 9."],
        "outcome": "wrong",
        "revised": "The answer is 7, I think.",
    }
    rich = [row | {"context": context} for row in plain]
    alone, both = tmp_path / "alone.json", tmp_path / "both.json"
    first, second = (
        str(written(tmp_path / f"{name}.jsonl", *rows)) for name, rows in (("bare", plain), ("rich", rich))
    )
    common = ["--url", synthetic.url, "--quiet", "--resamples", "50"]
    assert audit.main([first, *common, "--json", str(alone)]) == 0
    capsys.readouterr()
    out = tmp_path / "out"
    assert audit.main([first, second, *common, "--json", str(both), "--html", str(out / "a.html")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    before, found = (json.loads(path.read_text())["figures"] for path in (alone, both))
    more = {"siblings/rlcsd", "correct/rlmec", "edit/edit"}
    assert found["auroc"]["bare"] == before["auroc"]["bare"]
    assert found["auroc"]["rich"].keys() == found["auroc"]["bare"].keys() | more
    assert found["auroc"]["rich"]["edit/edit"][0] > 0.9
    assert found["verdicts"]["siblings/rlcsd"].keys() == {"rich", "overall"}
    assert found["left_out"]["rich"].keys() == found["left_out"]["bare"].keys() - more
    assert "bare: left out for want of a context field: " in printed
    assert printed.count("siblings/rlcsd (right)") == 1
    assert "siblings/rlcsd (1 of 2 sets)" in printed
    assert "left out for want of a context field" in (out / "a.html").read_text("utf-8")


def test_fields_that_no_item_has_leave_nothing_to_measure(
    synthetic: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written(tmp_path / "mine.jsonl", GOOD))
    assert cli.main(["audit", path, "--estimators", "rlcsd", "--url", synthetic.url, "--quiet"]) == 1
    assert "siblings/rlcsd needs the context field right" in capsys.readouterr().err
    assert cli.main(["audit", "--context", "a=b", "--url", synthetic.url]) == 1
    assert "no file is given" in capsys.readouterr().err


def test_a_field_that_an_estimator_cannot_use_is_the_items_own_failure(
    synthetic: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = GOOD | {"context": {"revised": "a", "original": "b"}}
    path = str(written(tmp_path / "mine.jsonl", GOOD | {"context": {"revised": "It is 4."}}, odd))
    arguments = ["audit", path, "--estimators", "edit,surprisal", "--url", synthetic.url, "--quiet"]
    assert cli.main(arguments) == audit.SOME_FAILED
    assert "not both" in capsys.readouterr().out
