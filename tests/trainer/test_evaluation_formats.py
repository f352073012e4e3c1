"""The answers as AlpacaEval and Arena-Hard read them: AlpacaEval's own tool runs on them, against a loopback judge."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alpaca_eval
import numpy as np
import pytest
import sklearn
from alpaca_eval.metrics import glm_winrate
from alpaca_eval.utils import load_or_convert_to_dataframe

from tests.support.judge_server import by_rule, judge_server
from tokenreward_trainer.evaluation.answers import Answer, Answers
from tokenreward_trainer.evaluation.judging.comparisons import Comparisons
from tokenreward_trainer.evaluation.judging.judge import Judging
from tokenreward_trainer.evaluation.output.formats import write_formats

pytestmark = pytest.mark.trains

COUNT = 60


@pytest.fixture
def routing() -> Iterator[None]:
    """AlpacaEval turns scikit-learn's metadata routing on for the whole process."""
    before = sklearn.get_config()["enable_metadata_routing"]
    yield
    sklearn.set_config(enable_metadata_routing=before)


def answered(folder: Path, name: str, texts: list[str], rows: list[dict[str, Any]]) -> Answers:
    path = folder / f"{name}.jsonl"
    path.touch()
    given = [[Answer(text, tuple(range(len(text) + 1)), True)] for text in texts]
    return Answers(name, path, rows, given, {})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_alpaca_eval_s_loader_takes_the_file(tmp_path: Path) -> None:
    rows = [
        {"prompt": "one"},
        {"prompt": [{"role": "user", "content": "two"}], "dataset": "helpful_base"},
        {"prompt": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "three"}]},
    ]
    write_formats([answered(tmp_path, "dpo", ["a", "b", "é"], rows)], tmp_path, "mine")
    loaded = load_or_convert_to_dataframe(str(tmp_path / "alpaca_eval" / "dpo.json"))
    assert loaded.to_dict("records") == [
        {"instruction": "one", "output": "a", "generator": "dpo", "dataset": "mine"},
        {"instruction": "two", "output": "b", "generator": "dpo", "dataset": "helpful_base"},
        {"instruction": "system: Be kind.\n\nuser: three", "output": "é", "generator": "dpo", "dataset": "mine"},
    ]


def test_arena_hard_s_answers_are_found_by_their_questions(tmp_path: Path) -> None:
    text = "# Title\n\n- one\n* two\n1. three\n**bold** and __bold__\n```\n# no title\n- no list\n```"
    rows = [{"uid": "0a1b", "prompt": "q"}, {"question_id": 7, "prompt": "r"}, {"prompt": "s"}]
    answers = answered(tmp_path, "dpo", [text, "plain", ""], rows)
    write_formats([answers], tmp_path, "mine")
    second = lines(tmp_path / "arena-hard" / "model_answer" / "dpo.jsonl")
    first = lines(tmp_path / "arena-hard-v0.1" / "model_answer" / "dpo.jsonl")
    # What arena-hard-auto 2 looks at: load_model_answers, gen_judgment.py, show_result.py.
    by_uid = {line["uid"]: line for line in second}
    assert by_uid["0a1b"]["messages"][-1]["content"]["answer"] == text
    assert by_uid["0a1b"]["messages"][0] == {"role": "user", "content": "q"}
    assert {line["model"] for line in second} == {"dpo"}
    assert len({line["ans_id"] for line in second}) == 3
    assert by_uid["0a1b"]["metadata"] == {
        "token_len": len(text) + 1,
        "header_count": {"h1": 1, "h2": 0, "h3": 0, "h4": 0, "h5": 0, "h6": 0},
        "list_count": {"ordered": 1, "unordered": 2},
        "bold_count": {"**": 1, "__": 1},
    }
    # And what its first version does.
    by_question = {line["question_id"]: line for line in first}
    assert set(by_question) == set(by_uid)
    assert by_question["7"]["choices"][0]["turns"][0]["content"] == "plain"
    assert by_question["7"]["model_id"] == "dpo"
    assert by_question["0a1b"]["conv_metadata"] == by_uid["0a1b"]["metadata"]
    assert all(isinstance(line["tstamp"], float) for line in [*first, *second])
    before = (tmp_path / "arena-hard" / "model_answer" / "dpo.jsonl").read_bytes()
    write_formats([answers], tmp_path, "mine")
    assert (tmp_path / "arena-hard" / "model_answer" / "dpo.jsonl").read_bytes() == before


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_alpaca_eval_finds_the_same_win_rates_on_the_same_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, routing: None
) -> None:
    """From the files that we write to its leaderboard, by its own annotator, with the same judge."""
    random = np.random.default_rng(0)
    rows = [{"prompt": f"prompt {number}"} for number in range(COUNT)]
    made = [["w" * int(length) for length in random.integers(1, 90 + 40 * side, COUNT)] for side in (0, 1)]
    answers = [answered(tmp_path, name, texts, rows) for name, texts in zip(("start", "dpo"), made, strict=True)]
    write_formats(answers, tmp_path, "mine")
    gamed = gamed_table(tmp_path / "df_gamed.csv")
    monkeypatch.setattr(glm_winrate, "hf_hub_download", lambda **_: str(gamed))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with judge_server(by_rule(rule)) as served:
        ours = Comparisons.of(prompts, Judging(served.url, "referee"), None, gamed).judge(answers, tmp_path, False)
        found, _ = alpaca_eval.evaluate(
            model_outputs=str(tmp_path / "alpaca_eval" / "dpo.json"),
            reference_outputs=str(tmp_path / "alpaca_eval" / "start.json"),
            annotators_config=str(annotator(tmp_path, served.url)),
            metric_kwargs={"save_weights_dir": None},
            output_path=str(tmp_path / "theirs"),
            precomputed_leaderboard=None,
            is_return_instead_of_print=True,
        )
    rate, theirs = ours.rates["dpo"], found.loc["dpo"]
    assert ours.formula == "length_controlled_v1"
    assert (theirs["n_wins"], theirs["n_wins_base"], theirs["n_draws"]) == (rate.wins, rate.losses, rate.ties)
    assert rate.ties > 0
    assert rate.losses > 0
    assert 100 * rate.rate.value == pytest.approx(theirs["win_rate"], abs=5e-4)
    assert rate.length_controlled is not None
    assert 100 * rate.length_controlled.value == pytest.approx(theirs["length_controlled_winrate"], abs=5e-4)
    assert abs(rate.length_controlled.value - rate.rate.value) > 0.01
    assert int(theirs["avg_length"]) == int(rate.characters[0])


def rule(first: str, second: str) -> str:
    """Likes length, and has other likings that are the same in both orders."""

    def worth(text: str) -> float:
        return len(text) + hashlib.sha256(text.encode()).digest()[0] / 4

    gap = worth(first) - worth(second)
    return "C" if abs(gap) < 5 else "A" if gap > 0 else "B"


def annotator(folder: Path, url: str) -> Path:
    """AlpacaEval's configuration of a judge that is asked with our tags and answers with our letters."""
    config = folder / "judge"
    config.mkdir()
    (config / "client.yaml").write_text(json.dumps({"default": [{"api_key": "x", "base_url": url}]}))
    tags = "{instruction}\n<answer A>\n{output_1}\n</answer A>\n<answer B>\n{output_2}\n</answer B>"
    (config / "prompt.txt").write_text(f"<|im_start|>user\n{tags}\n<|im_end|>\n")
    judge = {
        "prompt_template": str(config / "prompt.txt"),
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": "referee",
            "max_tokens": 5,
            "temperature": 0,
            "requires_chatml": True,
            "client_config_path": str(config / "client.yaml"),
        },
        "batch_size": 1,
    }
    # JSON is YAML, but for keys that are numbers.
    letters = '{1: "^A", 2: "^B", 1.5: "^C"}'
    text = json.dumps(judge)[:-1] + f', "completion_parser_kwargs": {{"outputs_to_match": {letters}}}}}'
    (config / "configs.yaml").write_text(f"referee: {text}\n")
    return config / "configs.yaml"


def gamed_table(path: Path) -> Path:
    random = np.random.default_rng(5)
    difficulties = random.normal(0, 1, COUNT)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["model", "index", "preference", "instruction_difficulty", "std_delta_len", "not_gamed_baseline"]
        )
        for model, delta in (("concise", 1.0), ("verbose", -1.0)):
            for number in range(COUNT):
                drawn = random.normal(delta, 0.4)
                liked = 1 / (1 + np.exp(0.6 * drawn))
                writer.writerow([model, number, f"{liked:.6f}", f"{difficulties[number]:.6f}", f"{drawn:.6f}", False])
    return path
