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
from tokenreward.audit import builtin, plan
from tokenreward.audit.measures.judged_tokens import BASELINES
from tokenreward.commands import audit
from tokenreward.dataset.formats import numbered_rows

LABELS = plan.labels(templates.of_one_model(), list(estimators.shipped().values()))
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
    assert max(map(len, printed.splitlines()[:-2])) <= 80, "but for the names of files"
    printed = " ".join(printed.split())
    content = json.loads(figures.read_text())["figures"]
    names = {label.name for label in LABELS if not label.reads_context}
    for name in builtin.NAMES:
        assert f"{name}: 5 responses" in printed
        assert f"{name} (5)" in printed
        told = names | {"correct/rlmec"}  # the sets of spans say that every response has an error
        assert set(BASELINES) | told == content["auroc"][name].keys() == content["same_place"][name].keys()
        assert set(BASELINES) - {"position"} | names == content["pairs"][name].keys()
        assert set(content["gains"][name]["surprisal"]) == {"surprisal", "position", "step_length", "length"}
        assert content["drift"][name].keys() == content["auroc"][name].keys()
    for label in names:
        low, value, high = sorted(content["auroc"]["overall"][label])
        assert [value, low, high] == content["auroc"]["overall"][label]
        said = content["verdicts"][label]["overall"]
        assert said.startswith("too few to say: 5 responses with errors, and it takes 30")
        assert f"{label}: {said}." in printed
        assert content["advice"][label]["overall"] == "unknown"
    assert content["too_few"] == list(builtin.NAMES)
    assert "(surprisal)" in printed
    check_page(page.read_text("utf-8"), names | {"correct/rlmec"})


def test_a_set_that_mixes_tasks_is_judged_within_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Most errors are in the longer responses, which are those to one of the tasks.
    kinds = [{"task": "sums", "bad_spans": [[0, 12]]}, {"task": "facts", "bad_spans": [[0, 1]]}]
    texts = ["The sum is {:02}, dear.", "Yes, {:02}."]
    given = [{"prompt": f"p{n}", "response": texts[n % 2].format(n)} | kinds[n % 2] for n in range(80)]
    mixed, plain = rows(tmp_path / "mixed.jsonl", *given), spans(tmp_path)
    out, table = tmp_path / "out", tmp_path / "figures.parquet"
    command = [mixed, plain, "--templates", "plain", "--estimators", "step", "--parquet", str(table)]
    assert audit.main([*command, "--out", str(out), "--quiet"]) == 0
    figures = json.loads((out / "audit.json").read_text())["figures"]
    assert figures["same_place"]["mixed"]["length"][0] > 0.6
    assert figures["same_task"]["mixed"]["length"] == [0.5, 0.5, 0.5]
    assert figures["same_task"]["mine"]["length"] == [None, None, None]
    assert figures["same_task"]["overall"] == figures["same_task"]["mixed"], "the set without tasks does not count"
    written = {(row["set"], row["label"]): row for _, row in numbered_rows(table) if row["figure"] == "same_task"}
    assert written["mixed", "length"]["value"] == written["mixed", "length"]["high"] == 0.5
    page = (out / "audit.html").read_text("utf-8")
    assert "<th>same step</th><th>same task</th><th>same kind</th>" in page
    assert "<td>-</td><td>0.500 [0.500, 0.500]</td><td>0." in page, "no steps, the task, and the kind without interval"
    printed = capsys.readouterr().out
    first, second = (printed.index(f"{name}: {count} responses") for name, count in (("mixed", 80), ("mine", 6)))
    heads = [line.split() for line in printed.splitlines() if line.split()[:2] == ["label", "AUROC"]]
    assert first < second
    assert [head[4] for head in heads[:2]] == ["task", "kind"]
    lengths = [line.split() for line in printed.splitlines() if "(length)" in line]
    assert lengths[0][4:7] == ["0.95", "-", "0.50"], "place, step and task"
    assert max(map(len, printed.splitlines()[:-3])) <= 80, "but for the names of files"


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
    assert "1 responses or pairs could not be scored" in " ".join(printed.split())
    assert "too_long" in printed
    html = page.read_text("utf-8")
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_pairs_are_judged_by_their_rewards(tmp_path: Path) -> None:
    pairs = [{"prompt": f"p{n}", "chosen": f"good {n}", "rejected": f"bad{'!' * (n % 3)} {n}"} for n in range(8)]
    path, out = rows(tmp_path / "pairs.jsonl", *pairs), tmp_path / "out"
    command = [path, "--templates", "opposite", "--estimators", "contrast", "--out", str(out), "--quiet"]
    assert audit.main(command) == 0
    assert "<h2>Pairs</h2>" in (out / "audit.html").read_text("utf-8")
    content = json.loads((out / "audit.json").read_text())["figures"]
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
        (["--model", "nope"], "the service knows no model 'nope'; known: synthetic"),
        (["--labeler", "nope"], "the service knows no model 'nope'"),
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


def test_the_help_loads_no_server_library() -> None:
    code = "from tokenreward.cli import main\ntry: main(['audit', '--help'])\nexcept SystemExit: pass"
    script = f"import sys\n{code}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "--estimators" in done.stdout
    heavy = {"torch", "transformers", "fastapi", "redis", "pyarrow", "scipy", "sklearn", "numpy", "httpx2"}
    assert not heavy & set(done.stdout.splitlines()[-1].split())
