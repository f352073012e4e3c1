"""Checkpoints compared: what they answer, what it scores, and how sure the difference is."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward import cli
from tokenreward.errors import BadInput, UnknownName
from tokenreward.statistics.bootstrap import Resamples
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.evaluation import Answering, evaluate
from tokenreward_trainer.evaluation.answers import Answer, Answers
from tokenreward_trainer.evaluation.output.page import shown_places
from tokenreward_trainer.evaluation.statistics import difference_of, sign_test, slices_of, values_of
from tokenreward_trainer.prompts import parts_of, write_prompts
from tokenreward_trainer.report.run_sections import scores
from tokenreward_trainer.sampling.engines.transformers import TransformersEngine
from tokenreward_trainer.scorers.constraints import Constraints

pytestmark = pytest.mark.trains

Build = Callable[..., LlamaForCausalLM]
SHORT = Answering(max_tokens=8, dtype="float32")


@pytest.fixture(scope="module")
def models(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast, llama: Build
) -> dict[str, str]:
    """Three tiny random policies that end some of their responses."""
    made = {}
    for seed, name in enumerate(("start", "dpo", "reg")):
        path = tmp_path_factory.mktemp(name)
        model = llama(vocab_size=len(tokenizer), spread=0.05, seed=seed)
        with torch.no_grad():
            model.lm_head.weight[tokenizer.eos_token_id] *= 4
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
        made[name] = str(path)
    return made


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    write_prompts(path, parts_of(["arithmetic:1", "format:2"]), 8, seed=0)
    return path


@pytest.fixture
def two(models: dict[str, str]) -> dict[str, str]:
    return {name: models[name] for name in ("start", "dpo")}


def said(name: str, *rows: Sequence[tuple[str, int, bool]]) -> Answers:
    given = [[Answer(text, tuple(range(tokens)), finished) for text, tokens, finished in row] for row in rows]
    return Answers(name, Path("answers.jsonl"), [{"prompt": "p"}] * len(rows), given, {})


# ---- numbers -----------------------------------------------------------------------------------------------


def test_the_sign_test_is_mcnemar_s_exact_test() -> None:
    assert sign_test(7, 1) == pytest.approx(2 * (1 + 8) / 2**8)
    assert sign_test(1, 7) == sign_test(7, 1)
    assert sign_test(0, 0) == 1.0
    for higher, lower in [(12, 3), (40, 22), (5, 5)]:
        tail = sum(math.comb(higher + lower, k) for k in range(max(higher, lower), higher + lower + 1))
        assert sign_test(higher, lower) == pytest.approx(min(1.0, 2 * tail / 2 ** (higher + lower)))
    assert sign_test(30, 10) == binomtest(30, 40).pvalue


def test_a_paired_difference_is_surer_than_two_means() -> None:
    """Prompts differ more than checkpoints do: only the pairing sees the small, even gain."""
    random = np.random.default_rng(0)
    baseline = random.uniform(0, 10, 200)
    better = baseline + random.normal(0.2, 0.3, 200)
    resamples = Resamples("all", 200)
    found = difference_of(better, baseline, resamples)
    assert found.interval.value == pytest.approx((better - baseline).mean())
    assert found.interval.low > 0
    standard_error = (better - baseline).std(ddof=1) / math.sqrt(200)
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert resamples.mean(better).interval.low < resamples.mean(baseline).interval.high
    assert found.p < 1e-6
    assert (found.higher + found.lower, found.equal) == (200, 0)


def test_the_interval_of_a_difference_holds_the_truth_nineteen_times_in_twenty() -> None:
    random = np.random.default_rng(1)
    resamples = Resamples("all", 60)
    held = 0
    for _ in range(200):
        baseline = (random.random(60) < 0.4).astype(float)
        better = (random.random(60) < 0.55).astype(float)
        interval = difference_of(better, baseline, resamples).interval
        held += interval.low <= 0.15 <= interval.high
    assert 180 <= held <= 199


def test_a_prompt_is_worth_the_mean_of_its_answers_and_an_unscored_one_nothing() -> None:
    answers = [
        said("a", [("x", 4, True), ("y", 8, False)], [("z", 2, True)], [("w", 2, True)]),
        said("b", [("x", 1, True), ("y", 1, True)], [("z", 3, True)], [("w", 3, True)]),
    ]
    scores = {"a": [[1.0, 0.0], [None], [0.5]], "b": [[1.0, 1.0], [1.0], [0.5]]}
    values = values_of(answers, scores)
    assert values["a"]["tokens"].tolist() == [6, 2, 2]
    assert values["a"]["finished"].tolist() == [0.5, 1, 1]
    assert values["a"]["right"][[0, 2]].tolist() == [0.5, 0]
    (whole,) = slices_of(answers[0].rows, values)
    assert whole.values["a"]["score"].value == 0.5
    # The prompt that one checkpoint has no score for is in no difference.
    difference = whole.differences["b"]["score"]
    assert (difference.higher, difference.lower, difference.equal) == (1, 0, 1)
    assert difference.interval.value == 0.25


def test_a_share_that_is_right_needs_scores_that_know_what_right_is() -> None:
    answers = [said("a", [("x", 1, True)]), said("b", [("y", 1, True)])]
    assert "right" in values_of(answers, {"a": [[1.0]], "b": [[0.25]]})["a"]
    assert "right" not in values_of(answers, {"a": [[1.0]], "b": [[-3.5]]})["a"]
    assert set(values_of(answers, {})["a"]) == {"tokens", "finished"}


def test_slices_are_by_family_and_level_where_prompts_have_them() -> None:
    rows = [{"family": family, "level": level} for family, level in [("a", 1), ("b", 2), ("a", 1), ("a", 2)]]
    values = {name: {"tokens": np.array([1.0, 2.0, 3.0, 4.0]) * scale} for name, scale in (("s", 1), ("t", 2))}
    found = slices_of(rows, values)
    assert [(part.name, part.prompts) for part in found] == [
        ("all", 4),
        ("a, level 1", 2),
        ("a, level 2", 1),
        ("b, level 2", 1),
    ]
    assert found[1].values["s"]["tokens"].value == 2.0
    assert found[3].differences["t"]["tokens"].interval.value == 2.0
    assert [part.name for part in slices_of([{"family": "a"}] * 4, values)] == ["all"]


@pytest.mark.parametrize(
    ("row", "name"), [({"family": "a", "level": 1}, "a, level 1"), ({"family": "a"}, "a"), ({"level": 2}, "level 2")]
)
def test_prompts_with_one_of_both_columns_have_a_group_too(row: dict[str, Any], name: str) -> None:
    response = {"score": 1.0}
    assert f"<td>{name}</td>" in scores([row], [{"responses": [response]}])
    assert "<td>all</td>" in scores([{}], [{"responses": [response]}])


def test_examples_are_spread_over_the_file() -> None:
    assert shown_places(100, 4) == [0, 25, 50, 75]
    assert shown_places(2, 12) == [0, 1]
    assert shown_places(5, 0) == []


# ---- files -------------------------------------------------------------------------------------------------


def test_checkpoints_are_compared_with_the_first(models: dict[str, str], prompts: Path, tmp_path: Path) -> None:
    found = evaluate(prompts, models, tmp_path / "out", SHORT, "verify")
    assert found.baseline == "start"
    assert set(found.overall.differences) == {"dpo", "reg"}
    assert [part.prompts for part in found.slices] == [8, 4, 4]
    rows = [json.loads(line) for line in prompts.read_text().splitlines()]
    for name in models:
        answers = [
            json.loads(line) for line in (tmp_path / "out" / "answers" / f"{name}.jsonl").read_text().splitlines()
        ]
        assert [row["prompt"] for row in answers] == [row["prompt"] for row in rows]
        tokens = [len(row["responses"][0]["token_ids"]) for row in answers]
        assert found.overall.values[name]["tokens"].value == pytest.approx(np.mean(tokens))
        finished = [row["responses"][0]["finished"] for row in answers]
        assert found.overall.values[name]["finished"].value == pytest.approx(np.mean(finished))
    gap = found.overall.values["reg"]["tokens"].value - found.overall.values["start"]["tokens"].value
    assert found.overall.differences["reg"]["tokens"].interval.value == pytest.approx(gap)
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["slices"][0]["values"]["dpo"]["tokens"]["value"] == found.overall.values["dpo"]["tokens"].value
    assert content["scorer"] == {"scorer": "verify", "version": 2}


def test_what_was_answered_and_scored_is_not_asked_again(
    two: dict[str, str], prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) | {"constraints": [{"name": "words", "most": 3}]} for line in prompts.open()]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    calls: list[str] = []
    sampled, scored = TransformersEngine.sample, Constraints.score

    def counted_sample(self: TransformersEngine, requests: Any) -> Any:
        calls.append("sample")
        return sampled(self, requests)

    def counted_score(self: Constraints, groups: Any) -> Any:
        calls.append("score")
        return scored(self, groups)

    monkeypatch.setattr(TransformersEngine, "sample", counted_sample)
    monkeypatch.setattr(Constraints, "score", counted_score)
    first = evaluate(prompts, two, tmp_path / "out", SHORT, "constraints")
    # A look at each prompt, then two checkpoints.
    assert calls == [*["score"] * 8, "sample", "sample", "score", "score"]
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert evaluate(prompts, two, tmp_path / "out", SHORT, "constraints") == first
    assert calls[12:] == ["score"] * 8
    assert (tmp_path / "out" / "report.html").read_bytes() == page
    # Another scorer has the same answers.
    evaluate(prompts, two, tmp_path / "out", SHORT, "verify")
    assert calls.count("sample") == 2
    with pytest.raises(BadInput, match=r"start\.jsonl exists and was made otherwise \(max_tokens differ\)"):
        evaluate(prompts, two, tmp_path / "out", SHORT.model_copy(update={"max_tokens": 9}), "verify")


def test_several_answers_to_each_prompt_are_scored_together(two: dict[str, str], prompts: Path, tmp_path: Path) -> None:
    settings = SHORT.model_copy(update={"n": 3, "temperature": 1.0})
    found = evaluate(prompts, two, tmp_path / "out", settings, "verify")
    rows = [json.loads(line) for line in (tmp_path / "out" / "answers" / "dpo.jsonl").read_text().splitlines()]
    assert [len(row["responses"]) for row in rows] == [3] * 8
    means = [np.mean([len(response["token_ids"]) for response in row["responses"]]) for row in rows]
    assert found.overall.values["dpo"]["tokens"].value == pytest.approx(np.mean(means))
    assert found.n == 3


def test_the_page_shows_answers_side_by_side_and_runs_nothing(
    two: dict[str, str], tmp_path: Path, prompts: Path
) -> None:
    prompts.write_text(json.dumps({"id": "<b>x", "prompt": "<script>alert(1)</script>"}) + "\n")
    evaluate(prompts, two, tmp_path / "out", SHORT)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<section>") == 2
    for name in two:
        assert f"<h4>{name}</h4>" in page
    assert "http-equiv" in page


def test_a_checkpoint_beside_itself_is_told_apart_from_a_null_result(
    models: dict[str, str], prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"start={models['start']}", f"again={models['start']}"]
    command = ["evaluate", str(prompts), "--models", *given, "--out", str(tmp_path / "out"), "--scorer", "verify"]
    assert cli.main([*command, "--max-tokens", "4", "--dtype", "float32", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "start and again are the same model by content." in shown
    assert "Differences from start" in shown
    assert str(tmp_path / "out" / "report.html") in shown.replace("\n", "")


# ---- what is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["start"], r"--models start: write NAME=DIRECTORY"),
        (["a=x", "a=y"], r"two checkpoints are called 'a'"),
        (["a=x"], r"needs two checkpoints or more"),
        (["a=x", "../b=y"], r"the name '\.\./b': letters, digits"),
        (["a=x", "A=y"], r"the names 'a' and 'A' are the same file on some systems"),
    ],
)
def test_names_that_cannot_be_used_are_named(
    given: list[str], says: str, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate", str(prompts), "--models", *given, "--out", str(tmp_path / "out")]) == 1
    assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_scored_is_found_before_anything_is_sampled(
    two: dict[str, str], prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with prompts.open("a") as file:
        file.write(json.dumps({"prompt": "no check"}) + "\n")
    with pytest.raises(BadInput, match=r"prompts\.jsonl, row 8: `verify` needs a column `check`"):
        evaluate(prompts, two, out, SHORT, "verify")
    with pytest.raises(BadInput, match=r"prompts\.jsonl, row 0: no column 'solution'"):
        evaluate(prompts, two, out, SHORT, "final_number:solution")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"prompt": "p", "answer": "none", "constraints": [{"name": "rhyme"}]}) + "\n")
    with pytest.raises(BadInput, match=r"other\.jsonl, row 0: the answer 'none' has no number in it"):
        evaluate(other, two, out, SHORT, "final_number")
    with pytest.raises(BadInput, match=r"other\.jsonl, row 0: unknown constraint 'rhyme'"):
        evaluate(other, two, out, SHORT, "constraints")
    with pytest.raises(UnknownName, match="unknown scorer 'bleu'"):
        evaluate(prompts, two, out, SHORT, "bleu")
    with pytest.raises(BadInput, match="no such directory"):
        evaluate(prompts, two | {"lost": str(tmp_path / "nothing")}, out, SHORT)
    assert not out.exists()


def test_answers_in_fewer_bits_than_the_weights_have_are_doubtful(
    two: dict[str, str], prompts: Path, tmp_path: Path
) -> None:
    with pytest.warns(DoubtfulOption, match="dpo has float32 weights and answers in bfloat16.*--dtype float32"):
        evaluate(prompts, two, tmp_path / "rounded", Answering(max_tokens=2))


def test_answers_in_the_weights_own_precision_are_not(two: dict[str, str], prompts: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulOption)
        evaluate(prompts, two, tmp_path / "exact", SHORT)
