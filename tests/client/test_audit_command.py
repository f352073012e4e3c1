"""`tokenreward audit` against a real service: what it asks for, what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.harness.stack import Stack
from tokenreward import Client, cli, estimators, templates
from tokenreward.audit import auditing, builtin, plan
from tokenreward.audit.scoring import score
from tokenreward.audit.sets import PairSet, Response, SpanSet, thinned
from tokenreward.audit.verdict import on_spans
from tokenreward.commands import audit
from tokenreward.dataset.progress import Quiet
from tokenreward.statistics.bootstrap import Interval

LABELS = plan.labels(list(templates.shipped().values()), list(estimators.shipped().values()))
#: Something for every context field of a shipped template.
CONTEXT: dict[str, Any] = {
    "right": "a right one",
    "wrong": ["a wrong one", "another wrong one"],
    "reference": "a solution",
    "feedback": "some feedback",
    "unrelated": ["another question"],
    "outcome": "wrong",
    "revised": "answer 7, \U0001f642 revised",
}
HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e"


@pytest.fixture(autouse=True)
def address(synthetic: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_URL", synthetic.url)
    monkeypatch.setenv("TOKENREWARD_PATIENCE", "2")


def rows(path: Path, *content: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return str(path)


def spans(tmp_path: Path, count: int = 6) -> str:
    texts = [f"The answer is {n}, as \U0001f642 said." for n in range(count)]
    return rows(
        tmp_path / "mine.jsonl",
        *(
            {"id": f"i{n}", "prompt": f"p{n}", "response": text, "bad_spans": [[14, 15]]}
            for n, text in enumerate(texts)
        ),
    )


def test_rewards_computed_here_are_those_the_service_gives() -> None:
    responses = [Response(f"question {n}", f"answer {n} \U0001f642 {'x' * n}", CONTEXT) for n in range(3)]
    with Client() as client:
        scores = score(client, [(response, LABELS) for response in responses], None, Quiet())
        for label in LABELS:
            theirs = client.label(
                [response.item(plan.Request.of(label).fields) for response in responses],
                template=label.template.name,
                estimator=label.estimator.name,
            ).results
            for response, result in zip(responses, theirs, strict=True):
                ours = scores.of(response)
                assert ours.token_ids == result.token_ids
                np.testing.assert_array_equal(ours.rewards(label), np.array(result.rewards, dtype=np.float32))


def test_a_response_is_scored_once_however_many_sets_and_labels_it_is_in() -> None:
    asked: list[int] = []

    class Counting(Quiet):
        def begin(self, total: int, done: int) -> None:
            asked.append(total)

    twice = [Response("p", text, CONTEXT) for text in ("one", "two", "one")]
    with Client() as client:
        before = Counter(job.id for job in client.jobs.list())
        scores = score(client, [(response, LABELS) for response in twice], None, Counting())
        after = Counter(job.id for job in client.jobs.list())
    assert asked == [2 * len(plan.requests(LABELS))]
    assert len(scores.by_key) == 2
    assert not after - before, "the audit leaves no jobs behind"


def test_figures_are_those_of_the_rewards_and_the_spans(tmp_path: Path) -> None:
    path, out = spans(tmp_path), tmp_path / "out"
    status = audit.main([path, "--templates", "revision", "--estimators", "contrast", "--out", str(out), "--quiet"])
    assert status == 0
    content = json.loads((out / "audit.json").read_text())
    bad, rewards, plain = [], [], []
    given = [json.loads(line) for line in Path(path).read_text().splitlines()]
    with Client() as client:
        items = [{"prompt": row["prompt"], "response": row["response"]} for row in given]
        bare = templates.resolve("revision").branches["plain"]
        inline = templates.resolve("revision").model_copy(
            update={"name": "x", "branches": {"better": bare, "worse": bare}}
        )
        labeled = client.label(items, include=["tokens"]).results
        surprisal = client.label(items, template=inline, include=["logprobs"]).results
    for row, result, other in zip(given, labeled, surprisal, strict=True):
        assert result.offsets is not None
        assert result.rewards is not None
        assert other.logprobs is not None
        for offset, reward, logprob in zip(result.offsets, result.rewards, other.logprobs["better"], strict=True):
            if offset[0] < offset[1]:
                bad.append(offset[0] < row["bad_spans"][0][1] and offset[1] > row["bad_spans"][0][0])
                rewards.append(reward)
                plain.append(logprob)
    figures = content["figures"]
    assert figures["auroc"]["mine"]["contrast"][0] == pytest.approx(roc_auc_score(bad, -np.array(rewards)), abs=1e-6)
    assert figures["auroc"]["mine"]["surprisal"][0] == pytest.approx(roc_auc_score(bad, -np.array(plain)), abs=1e-6)
    assert content["spans"]["mine"]["bad_tokens"] == sum(bad) == 6
    assert content["spans"]["mine"]["tokens"] == len(bad)
    assert content["spans"]["mine"]["left_out_tokens"] == 6  # the ends of turn
    inside = content["spans"]["mine"]["labels"]["contrast"]["mean_inside"]
    assert inside == pytest.approx(np.mean(np.array(rewards)[np.array(bad)]), abs=1e-5)


def test_the_built_in_sets_need_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, figures = tmp_path / "audit.html", tmp_path / "audit.json"
    arguments = ["--limit", "5", "--html", str(page), "--json", str(figures), "--resamples", "100", "--quiet"]
    assert audit.main(arguments) == 0
    printed = capsys.readouterr().out
    content = json.loads(figures.read_text())["figures"]
    names = {label.name for label in LABELS if not label.reads_context}
    for name in builtin.NAMES:
        assert f"{name}: 5 responses" in printed
        assert f"{name} (5)" in printed
        assert {"surprisal", "random", "position"} | names == content["auroc"][name].keys()
        assert {"surprisal", "random", "length"} | names == content["pairs"][name].keys()
    for label in names:
        assert f"{label}: these labels" in printed
        of = {
            name: Interval(*content[name]["overall"][label]) for name in ("auroc", "stratified", "gain_over_surprisal")
        }
        assert of["auroc"].low <= of["auroc"].value <= of["auroc"].high
        assert content["verdicts"][label]["overall"] == on_spans(*of.values()).words
    assert "surprisal (baseline)" in printed
    check_page(page.read_text("utf-8"), names)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in {"meta", "line", "circle", "polyline", "rect", "br", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def check_page(html: str, labels: set[str]) -> None:
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert not page.tags["script"]
    assert not [value for name, value in page.attributes if name in {"src", "href"}], "it needs nothing else"
    assert page.tags["polyline"] >= 3 * len(labels)
    assert page.tags["details"] == len(labels)
    assert "wrong" in html
    assert "nan" not in re.sub(r"<[^>]*>", "", html).lower().split()


def test_text_from_a_file_does_nothing_to_the_page_or_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "id": HOSTILE,
        "prompt": HOSTILE,
        "response": f"{HOSTILE} wrong",
        "bad_spans": [[len(HOSTILE) + 1, len(HOSTILE) + 3]],
    }
    page = tmp_path / "audit.html"
    path = rows(tmp_path / "mine.jsonl", row, row | {"response": "too long " * 20_000})
    assert audit.main([path, "--html", str(page), "--quiet"]) == audit.SOME_FAILED
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "1 responses or pairs could not be scored" in printed
    assert "too_long" in printed
    html = page.read_text("utf-8")
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_pairs_are_judged_by_their_rewards(tmp_path: Path) -> None:
    pairs = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad{'!' * (n % 3)} {n}"} for n in range(8)]
    path, figures = rows(tmp_path / "pairs.jsonl", *pairs), tmp_path / "audit.json"
    assert (
        audit.main([path, "--templates", "opposite", "--estimators", "contrast", "--json", str(figures), "--quiet"])
        == 0
    )
    content = json.loads(figures.read_text())["figures"]
    with Client() as client:
        sides = [
            client.label(
                [{"prompt": row["prompt"], "response": row[side]} for row in pairs], template="opposite"
            ).results
            for side in ("chosen", "rejected")
        ]
    won = [np.mean(c.rewards or []) > np.mean(r.rewards or []) for c, r in zip(*sides, strict=True)]
    assert content["pairs"]["pairs"]["contrast"][0] == pytest.approx(np.mean(won))
    won = [np.sum(c.rewards or []) > np.sum(r.rewards or []) for c, r in zip(*sides, strict=True)]
    assert content["pairs_by_sum"]["pairs"]["contrast"][0] == pytest.approx(np.mean(won))
    assert content["auroc"] == {}


def test_an_audit_says_with_what_it_was_made(tmp_path: Path) -> None:
    figures = tmp_path / "audit.json"
    assert audit.main([spans(tmp_path), "--json", str(figures), "--quiet", "--seed", "3"]) == 0
    provenance = json.loads(figures.read_text())["provenance"]
    assert provenance["fingerprint"]["engine"] == "synthetic"
    assert provenance["seed"] == 3
    label = provenance["labels"]["revision/contrast"]
    assert label["template_hash"] == templates.resolve("revision").hash
    assert label["estimator_hash"] == estimators.resolve("contrast").hash


def test_a_template_of_ones_own_is_audited_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name = "mine"\n[branches.better]\ndirective = "{prompt} good"\n[branches.worse]\ndirective = "bad"\n'
    )
    assert audit.main([spans(tmp_path), "--templates", f"{mine},revision", "--estimators", "contrast", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "mine/contrast" in printed
    assert "revision/contrast" in printed
    found = plan.labels(audit._templates(f"{mine},revision"), [estimators.resolve("contrast")])
    assert [label.name for label in found] == ["mine/contrast", "revision/contrast"]


def test_two_files_of_one_name_are_two_sets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [spans(tmp_path / name) for name in "ab"]
    sets = audit._sets(audit._parser().parse_args(paths))
    assert [one.name for one in sets] == ["mine", paths[1]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--templates", "nope"], "unknown template 'nope'"),
        (["--estimators", "nope"], "unknown estimator 'nope'"),
        (["--builtin", "nope"], "unknown built-in set 'nope'; known: number"),
        (["/no/such.jsonl"], "/no/such.jsonl: no such file"),
        (["--model", "nope"], "nope"),
        (["--url", "http://127.0.0.1:9", "--limit", "1"], "Is the service running?"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "--quiet", *arguments]) == 1
    assert says in capsys.readouterr().err


def test_a_set_without_errors_or_without_anything_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for spans_given, kind in (([], "bad"), ([[0, 4]], "good")):
        path = rows(tmp_path / "mine.jsonl", {"prompt": "p", "response": "four", "bad_spans": spans_given})
        assert cli.main(["audit", "--quiet", path]) == 1
        assert f"no token of it is {kind}" in capsys.readouterr().err


def test_another_service_version_with_another_template_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenreward.errors import BadInput

    changed = templates.resolve("revision").model_copy(update={"context": "another {prompt}"})
    label = plan.labels([changed], [estimators.resolve("contrast")])
    monkeypatch.setattr(plan.Request, "sent", property(lambda request: request.template.name))
    with Client() as client, pytest.raises(BadInput, match="bring both to one version"):
        score(client, [(Response("p", "r"), label)], None, Quiet())


def test_statistics_do_not_depend_on_the_other_sets_of_an_audit() -> None:
    spans_set, pair_set = (thinned(one, 12) for one in builtin.load(["code"]))
    assert isinstance(spans_set, SpanSet)
    assert isinstance(pair_set, PairSet)
    other = thinned(builtin.load(["entity"])[0], 12)
    with Client() as client:
        alone, together = (
            auditing.audit(client, sets, LABELS, model=None, progress=Quiet(), resamples=50)
            for sets in ([spans_set], [other, spans_set, pair_set])
        )
    for name, figures in alone.spans[0].figures.items():
        assert together.spans[1].figures[name].auroc.interval == figures.auroc.interval
    assert set(together.overall) == set(alone.overall)


def test_the_help_loads_no_server_library() -> None:
    code = "from tokenreward.cli import main\ntry: main(['audit', '--help'])\nexcept SystemExit: pass"
    script = f"import sys\n{code}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--estimators" in done.stdout
    heavy = {"torch", "transformers", "fastapi", "redis", "pyarrow", "scipy", "sklearn", "numpy", "httpx2"}
    assert not heavy & set(done.stdout.splitlines()[-1].split())
