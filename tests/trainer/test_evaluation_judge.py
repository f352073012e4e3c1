"""A judge: asked in both orders, read with care, never asked twice, and what its verdicts amount to."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alpaca_eval.metrics import get_winrate
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.harness.waiting import patience
from tests.support.judge_server import by_rule, completion, judge_server, longer
from tokenreward import cli
from tokenreward.errors import BadInput, ConnectionFailed
from tokenreward_trainer.evaluation.judging.baseline_answers import read_reference
from tokenreward_trainer.evaluation.judging.judge import Judge, Judging
from tokenreward_trainer.evaluation.judging.judge_prompt import messages_for
from tokenreward_trainer.evaluation.judging.judgements import AnswerPair, Judgement, judge_pairs
from tokenreward_trainer.evaluation.judging.winrate import win_rate
from tokenreward_trainer.scorers.http_post import Waiting

pytestmark = pytest.mark.trains

Build = Callable[..., LlamaForCausalLM]


def pairs_of(*texts: tuple[str, str]) -> list[AnswerPair]:
    return [AnswerPair("dpo", f"prompt {number}", answer, baseline) for number, (answer, baseline) in enumerate(texts)]


def judging(url: str, **changes: Any) -> Judging:
    return Judging(url, "referee", **changes)


# ---- replies -----------------------------------------------------------------------------------------------


def test_texts_are_put_before_a_judge_as_they_are() -> None:
    system, user = messages_for("{prompt} {0}", "first {second}", "second %s")
    assert system["role"] == "system"
    assert "<prompt>\n{prompt} {0}\n</prompt>" in user["content"]
    assert user["content"].index("first {second}") < user["content"].index("second %s")


# ---- asking ------------------------------------------------------------------------------------------------


def test_a_liking_for_a_position_is_no_liking_for_a_checkpoint(tmp_path: Path) -> None:
    pairs = pairs_of(*((f"mine {n}", f"base {n}") for n in range(6)))
    with judge_server(by_rule(lambda first, second: "A")) as served:
        found = judge_pairs(pairs, judging(served.url), tmp_path / "j.jsonl")
    assert len(served.seen) == 12
    assert [one.preference for one in found] == [0.5] * 6
    rate = win_rate(pairs, found, None, None)
    assert (rate.wins, rate.ties, rate.losses, rate.p) == (0, 6, 0, 1.0)
    assert (rate.consistent.value, rate.shown_first.value) == (0.0, 1.0)


def test_what_a_judge_prefers_is_counted_once_a_prompt(tmp_path: Path) -> None:
    pairs = pairs_of(("longer one", "short"), ("x", "longer"), ("same!", "other"), ("alike", "alike"), ("longest", "y"))
    with judge_server(by_rule(longer)) as served:
        found = judge_pairs(pairs, judging(served.url), tmp_path / "j.jsonl")
    assert [one.preference for one in found] == [1.0, 0.0, 0.5, 0.5, 1.0]
    assert len(served.seen) == 8  # Nobody is asked about the same text twice.
    rate = win_rate(pairs, found, None, None)
    assert (rate.wins, rate.ties, rate.losses, rate.identical) == (2, 2, 1, 1)
    assert rate.rate.value == 0.6
    assert (rate.consistent.value, rate.shown_first.value) == (1.0, 0.5)
    assert rate.characters == (np.mean([10, 1, 5, 5, 7]), np.mean([5, 6, 5, 5, 1]))
    theirs = get_winrate([{"preference": 1 + (one.preference or 0.0)} for one in found])
    assert theirs["win_rate"] == pytest.approx(100 * rate.rate.value)
    assert (theirs["n_wins"], theirs["n_wins_base"], theirs["n_draws"]) == (rate.wins, rate.losses, rate.ties)


def test_replies_that_are_no_verdict_are_counted_and_their_prompts_left_out(tmp_path: Path) -> None:
    def rule(first: str, second: str) -> str:
        return "I cannot say" if first == "odd" else longer(first, second)

    pairs = pairs_of(("long", "s"), ("odd", "x"), ("s", "long"))
    with judge_server(by_rule(rule)) as served:
        found = judge_pairs(pairs, judging(served.url), tmp_path / "j.jsonl")
    assert (found[1].first, found[1].second, found[1].preference) == (None, 1.0, None)
    rate = win_rate(pairs, found, None, None)
    assert (rate.unusable, rate.left_out, rate.rate.value) == (1, 1, 0.5)
    assert rate.wins + rate.ties + rate.losses == 2
    with judge_server(by_rule(longer)) as served:  # Mended; the verdicts that there are stay.
        again = judge_pairs(pairs, judging(served.url), tmp_path / "j.jsonl")
    assert len(served.seen) == 1
    assert [one.preference for one in again] == [1.0, 1.0, 0.0]


def test_a_judge_that_never_gives_a_verdict_is_an_error_that_shows_a_reply(tmp_path: Path) -> None:
    says = r"none of 4 replies of referee is a verdict; .*j\.jsonl has them: 'As a language model"
    with (
        judge_server(by_rule(lambda first, second: "As a language model, ...")) as served,
        pytest.raises(BadInput, match=says),
    ):
        judge_pairs(pairs_of(("a", "b"), ("c", "d")), judging(served.url), tmp_path / "j.jsonl")


def test_a_rerun_asks_only_what_is_missing(tmp_path: Path) -> None:
    pairs, path = pairs_of(*((f"mine {n}{'!' * n}", f"base {n}") for n in range(5))), tmp_path / "j.jsonl"
    answer = by_rule(longer)

    def broke(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return answer(body, before) if before < 7 else (401, b"out of credit")

    with judge_server(broke) as served, pytest.raises(BadInput, match="HTTP 401: out of credit"):
        judge_pairs(pairs, judging(served.url, parallel=1), path)
    kept = path.read_bytes()
    assert kept.count(b"\n") == 7
    path.write_bytes(kept[:-9])  # As a kill in the middle of a line leaves it.
    with judge_server(answer) as served:
        found = judge_pairs(pairs, judging(served.url), path)
        assert len(served.seen) == 4
        assert judge_pairs(pairs, judging(served.url), path) == found
        assert len(served.seen) == 4
        # Another judge, or a changed answer, is another question.
        judge_pairs(pairs, Judging(served.url, "somebody else"), path)
        assert len(served.seen) == 14
        judge_pairs([AnswerPair("dpo", "prompt 0", "changed", "base 0"), *pairs[1:]], judging(served.url), path)
        assert len(served.seen) == 16
    assert [one.preference for one in found] == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_verdicts_that_were_under_way_when_it_broke_are_kept(tmp_path: Path) -> None:
    broken = threading.Event()

    def slow(body: dict[str, Any], before: int) -> tuple[int, Any]:
        if before == 0:
            assert under_way.wait(patience(10))
            broken.set()
            return 401, b"out of credit"
        under_way.set()
        assert broken.wait(patience(10))
        time.sleep(0.2)
        return 200, completion("A")

    under_way = threading.Event()
    path = tmp_path / "j.jsonl"
    with judge_server(slow) as served, pytest.raises(BadInput, match="out of credit"):
        judge_pairs(pairs_of(*((f"mine {n}", "base") for n in range(9))), judging(served.url, parallel=2), path)
    assert path.read_bytes().count(b"\n") >= 1
    assert len(served.seen) < 18


def test_a_file_that_is_something_else_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"mine": 1}\n')
    with pytest.raises(BadInput, match="not the judgements that this command writes"):
        judge_pairs(pairs_of(("a", "b")), judging("http://127.0.0.1:9/v1"), path)
    assert path.read_text() == '{"mine": 1}\n'


def test_the_endpoint_is_asked_as_openai_s_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "secret")
    tops = [{"token": "B", "logprob": math.log(0.75)}, {"token": "A", "logprob": math.log(0.25)}]
    likely = [{"token": "B", "logprob": math.log(0.75), "top_logprobs": tops}]
    with judge_server(lambda body, before: (200, completion("B", likely))) as served:
        plain = Judge(judging(served.url)).compare("p", "a", "b")
        weighed = Judge(judging(served.url + "/", logprobs=True, max_tokens=4)).compare("p", "a", "b")
    assert (plain.preference, plain.tokens) == (0.0, 10)
    assert weighed.preference == pytest.approx(0.25)
    assert {one["path"] for one in served.seen} == {"/v1/chat/completions"}
    assert {one["authorization"] for one in served.seen} == {"Bearer secret"}
    first, second = (one["body"] for one in served.seen)
    assert first == {"model": "referee", "messages": messages_for("p", "a", "b"), "temperature": 0, "max_tokens": 16}
    assert second == first | {"max_tokens": 4, "logprobs": True, "top_logprobs": 20}


def test_a_busy_judge_is_asked_again() -> None:
    answer = by_rule(longer)
    with judge_server(lambda body, before: (429, b"") if before == 0 else answer(body, before)) as served:
        assert Judge(judging(served.url)).compare("p", "longer", "b").preference == 1.0
    assert len(served.seen) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, b"who are you"), "HTTP 401: who are you; the key in the environment variable JUDGE_API_KEY is not set"),
        ((404, b"nothing here"), "/v1/chat/completions refused with HTTP 404: nothing here"),
        ((200, b"<html>"), "answered no chat completion: <html>"),
        ((200, {"choices": []}), "answered no chat completion"),
        ((200, {"choices": [{"message": "hello"}]}), "answered no chat completion"),
        ((200, completion("A")), "gave no logprobs for referee: leave out --judge-logprobs"),
    ],
)
def test_an_endpoint_that_is_no_judge_is_told_what_it_said(
    answer: tuple[int, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    with judge_server(lambda body, before: answer) as served, pytest.raises(BadInput, match=re.escape(says)):
        Judge(judging(served.url, logprobs=True)).compare("p", "a", "b")


def test_a_judge_that_nobody_serves_is_given_up_in_time() -> None:
    judge = Judge(judging("http://127.0.0.1:9/v1"), Waiting(connect=0.5, answer=0.5, patience=0.5))
    with pytest.raises(ConnectionFailed, match=r"the judge at .* gave no verdict within 0\.5 s .*goes on where it"):
        judge.compare("p", "a", "b")


def test_a_reply_without_text_is_no_verdict() -> None:
    with judge_server(lambda body, before: (200, completion(None))) as served:
        assert Judge(judging(served.url)).compare("p", "a", "b").preference is None


# ---- references --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_reference_is_found_by_id_or_prompt(tmp_path: Path, suffix: str) -> None:
    rows = [{"id": 7, "prompt": "p"}, {"prompt": [{"role": "user", "content": "q"}]}, {"prompt": "r"}]
    given = [
        {"instruction": "r", "output": "third"},
        {"prompt": [{"role": "user", "content": "q"}], "response": "second"},
        {"id": 7, "response": "first"},
    ]
    path = tmp_path / f"reference{suffix}"
    path.write_text(json.dumps(given) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in given))
    assert read_reference(path, rows, Path("prompts.jsonl")) == ["first", "second", "third"]
    with pytest.raises(BadInput, match=r"has no answer to prompts\.jsonl, row 3"):
        read_reference(path, [*rows, {"prompt": "new"}], Path("prompts.jsonl"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"prompt": "p"}]', "row 0: needs `response` or `output`"),
        ('[{"response": "p"}]', "row 0: needs `response` or `output`"),
        ('{"prompt": "p"}', "not a list of rows"),
        ("nonsense", "reference.json: Expecting value"),
    ],
)
def test_a_reference_that_cannot_be_read_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "reference.json").write_text(content)
    with pytest.raises(BadInput, match=says):
        read_reference(tmp_path / "reference.json", [{"prompt": "p"}], Path("prompts.jsonl"))


# ---- the command -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast, llama: Build) -> list[str]:
    given = []
    for seed, name in enumerate(("start", "dpo")):
        path = tmp_path_factory.mktemp(name)
        model = llama(vocab_size=len(tokenizer), spread=0.05, seed=seed)
        with torch.no_grad():
            model.lm_head.weight[tokenizer.eos_token_id] *= 4
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
        given.append(f"{name}={path}")
    return given


def command(models: Sequence[str], tmp_path: Path, *more: str) -> list[str]:
    prompts = tmp_path / "prompts.jsonl"
    if not prompts.exists():
        rows = [{"id": n, "prompt": f"Say {n}.", "instruction_difficulty": n / 10} for n in range(8)]
        prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["evaluate", str(prompts), "--models", *models, "--out", str(tmp_path / "out"), "--quiet"]
    return [*given, "--n", "1", "--max-tokens", "8", "--temperature", "1.0", "--dtype", "float32", *more]


def test_the_command_shows_win_rates_and_keeps_them(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with judge_server(by_rule(longer)) as served:
        assert cli.main(command(models, tmp_path, "--judge", served.url, "--judge-model", "referee")) == 0
    shown = capsys.readouterr().out
    assert "referee prefers, against start" in shown
    assert "AlpacaEval's length_controlled_noreg" in shown.replace("\n", " ")
    judged = json.loads((tmp_path / "out" / "evaluation.json").read_text())["judged"]
    assert judged["against"] == "start"
    rate = judged["rates"]["dpo"]
    answers = [
        [len(json.loads(line)["responses"][0]["text"]) for line in (tmp_path / "out" / "answers" / name).open()]
        for name in ("start.jsonl", "dpo.jsonl")
    ]
    wins = sum(mine > base for base, mine in zip(*answers, strict=True))
    assert (rate["wins"], rate["wins"] + rate["ties"] + rate["losses"]) == (wins, 8)
    assert rate["rate"]["low"] <= rate["rate"]["value"] <= rate["rate"]["high"]
    assert 0 <= rate["length_controlled"]["value"] <= 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "referee prefers, against start" in page


def test_a_reference_is_the_baseline_of_all_checkpoints(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(models, tmp_path)
    reference = tmp_path / "strong.jsonl"
    reference.write_text("".join(json.dumps({"id": n, "response": "s" * 99}) + "\n" for n in range(8)))
    with judge_server(by_rule(longer)) as served:
        more = ["--judge", served.url, "--judge-model", "referee", "--reference", str(reference)]
        assert cli.main(command(models, tmp_path, *more)) == 0
    judged = json.loads((tmp_path / "out" / "evaluation.json").read_text())["judged"]
    assert judged["against"] == "strong"
    assert {name: rate["losses"] for name, rate in judged["rates"].items()} == {"start": 8, "dpo": 8}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--judge", "http://127.0.0.1:9/v1"], "needs a model: name it with --judge-model"),
        (["--judge-model", "x"], "--judge-model is for a judge: name it with --judge URL"),
        (["--reference", "x.jsonl"], "--reference is for a judge"),
        (["--judge", "http://", "--judge-model", "x"], "is not an http:// or https:// address"),
        (
            ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "x", "--judge-parallel", "0"],
            "parallel is 0: at least 1",
        ),
    ],
)
def test_a_judge_that_cannot_be_asked_is_refused_before_anything_is_sampled(
    models: list[str], tmp_path: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(models, tmp_path, *more)) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_docs_name_every_option_of_a_judge(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    listed = capsys.readouterr().out.split("judge:")[1].split("answering:")[0]
    options = set(re.findall(r"--[a-z-]+", listed))
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")
    assert options == set(re.findall(r"^\| `(--[a-z-]+)` \|", page, re.MULTILINE))
    assert "--judge-logprobs" in options


def test_a_judgement_needs_both_orders() -> None:
    assert Judgement(1.0, 0.5).preference == 0.75
    assert Judgement(1.0, None).preference is None
