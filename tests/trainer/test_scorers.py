"""What a response is worth: by its last number, by its form, by a reward model, an endpoint, or a function."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from benchmarks.harness.waiting import patience
from tokenreward.errors import BadInput, ConnectionFailed, UnknownName
from tokenreward_trainer.scorers import Group, scorer_of
from tokenreward_trainer.scorers.constraints import keeps
from tokenreward_trainer.scorers.endpoint import Endpoint, Waiting


def group(*responses: str, prompt: Any = "p", **row: Any) -> Group:
    return Group(prompt, responses, [[1, 2]] * len(responses), row, "samples.jsonl, row 4")


def test_a_final_number_is_right_or_wrong() -> None:
    scores = scorer_of("final_number").score([group("so 8", "so 9", "none", "8.0", answer="4 + 4\n#### 8")])
    assert scores == [[1.0, 0.0, 0.0, 1.0]]
    assert scorer_of("final_number:solution").score([group("7", solution=7)]) == [[1.0]]
    with pytest.raises(BadInput, match=r"row 4: no column 'answer'"):
        scorer_of("final_number").score([group("8")])


@pytest.mark.parametrize(
    ("constraint", "kept", "broken"),
    [
        ({"name": "lowercase"}, "all low, 3 of it.", "One capital."),
        ({"name": "uppercase"}, "ALL HIGH, 3 OF IT.", "ALL HIGh."),
        ({"name": "words", "most": 3}, "one two-fold three", "one two three four"),
        ({"name": "words", "least": 2, "most": 3}, "it isn't", "one"),
        ({"name": "sentences", "exactly": 2}, 'He said "no." Then 3.5 left.', "One. Two. Three"),
        ({"name": "sentences", "exactly": 1}, "Without an end", "Really?! Yes."),
        ({"name": "forbidden", "characters": ",z"}, "none of it", "A Zebra"),
        ({"name": "contains", "word": "cup"}, "A Cup of tea", "hiccups"),
    ],
)
def test_a_constraint_is_kept_or_broken(constraint: dict[str, Any], kept: str, broken: str) -> None:
    assert keeps(kept, constraint)
    assert not keeps(broken, constraint)
    assert not keeps("  ", constraint)


def test_constraints_score_the_share_that_is_kept() -> None:
    constraints = [{"name": "lowercase"}, {"name": "forbidden", "characters": ","}]
    assert scorer_of("constraints").score([group("a b", "A b", "A, b", constraints=constraints)]) == [[1.0, 0.5, 0.0]]


def test_a_check_that_cannot_be_read_is_named() -> None:
    verify = scorer_of("verify")
    for check, says in [
        (None, "needs a column `check`"),
        ({"kind": "poem"}, "needs a column `check`"),
        ({"kind": "final_number"}, "not complete"),
        ({"kind": "constraints", "constraints": [{"name": "rhyme"}]}, "unknown constraint 'rhyme'"),
        ({"kind": "constraints", "constraints": [{"name": "words"}]}, "one of exactly, least and most"),
        ({"kind": "constraints", "constraints": []}, "with at least one"),
        ({"kind": "constraints", "constraints": {"name": "lowercase"}}, "constraints are a list"),
        ({"kind": "constraints", "constraints": [{"name": "forbidden", "characters": 5}]}, "wrong options"),
    ]:
        with pytest.raises(BadInput, match=f"row 4.*{says}"):
            verify.score([group("a", check=check)])


def test_a_row_whose_answer_or_constraints_cannot_be_read_is_named() -> None:
    with pytest.raises(BadInput, match=r"row 4: the answer 'none' has no number"):
        scorer_of("final_number").score([group("8", answer="none")])
    with pytest.raises(BadInput, match=r"row 4: unknown constraint 'rhyme'"):
        scorer_of("constraints").score([group("a", constraints=[{"name": "rhyme"}])])
    with pytest.raises(BadInput, match=r"row 4: constraints are a list"):
        scorer_of("constraints").score([group("a", constraints="lowercase")])


def test_options_that_a_columnar_file_fills_with_nulls_are_none() -> None:
    assert keeps("one two", {"name": "words", "most": 2, "characters": None, "word": None})


def test_an_unknown_scorer_is_told_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"unknown scorer 'bleu'; known: verify, .*http"):
        scorer_of("bleu")


# ---- functions ---------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a module into the current directory; its name is used once."""
    monkeypatch.chdir(tmp_path)
    name = f"rewards_{time.monotonic_ns()}"

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield write
    sys.modules.pop(name, None)


def test_a_function_is_called_as_trl_calls_it(module: Callable[[str], str]) -> None:
    name = module(
        "def score(prompts, completions, completion_ids, style, **_):\n"
        "    seen = zip(prompts, completions, completion_ids, style)\n"
        "    return [len(p) + len(c) * 10 + sum(i) + s for p, c, i, s in seen]\n"
    )
    scorer = scorer_of(f"function:{name}:score")
    assert scorer.score([group("a", "bb", style=100), group("c", prompt="pp", style=200)]) == [[114, 124], [215]]


def test_a_conversational_prompt_comes_with_conversational_completions(module: Callable[[str], str]) -> None:
    name = module("def score(completions, **_): return [len(c[0]['content']) for c in completions]")
    messages = [{"role": "user", "content": "p"}]
    assert scorer_of(f"function:{name}:score").score([group("abc", prompt=messages)]) == [[3.0]]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def score(completions, **_): return [1.0]", "one number or None for each completion, not 1 values"),
        ("def score(completions, **_): return ['a', 'b']", "it returned 'a'"),
        ("def score(completions, **_): return 3.0", "not float"),
        ("async def score(completions, **_): return [1, 2]", "not coroutine"),
        ("nothing = 1", "has no attribute 'score'"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_function_that_does_not_give_scores_is_named(module: Callable[[str], str], source: str, says: str) -> None:
    name = module(source)
    with pytest.raises(BadInput, match=says):
        scorer_of(f"function:{name}:score").score([group("a", "b")])


def test_a_changed_function_is_another_scorer(module: Callable[[str], str]) -> None:
    name = module("def score(completions, **_): return [1.0 for _ in completions]")
    before = scorer_of(f"function:{name}:score").identity
    sys.modules.pop(name)
    module("def score(completions, **_): return [2.0 for _ in completions]")
    assert scorer_of(f"function:{name}:score").identity != before


# ---- reward models -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny random one, as a decoder with one logit."""
    path = tmp_path_factory.mktemp("reward-model")
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        num_labels=1,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=2,
    )
    LlamaForSequenceClassification(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_reward_model_scores_as_it_does_alone(reward_model: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = ["yes", "a much longer answer than the first", "no, never"]
    found = scorer_of(f"reward_model:{reward_model}").score(
        [group(*texts[:2], prompt="q"), group(texts[2], prompt="r")]
    )
    model = LlamaForSequenceClassification.from_pretrained(reward_model).eval()
    for text, prompt, score in zip(texts, "qqr", [*found[0], *found[1]], strict=True):
        chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            assert score == pytest.approx(model(**ids).logits.item(), abs=1e-5)
    assert len({*found[0], *found[1]}) == 3


def test_padding_that_ends_a_conversation_too_is_not_mistaken_for_padding(
    reward_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = LlamaForSequenceClassification.from_pretrained(reward_model)
    model.config.pad_token_id = tokenizer.convert_tokens_to_ids("\u010a")  # The line end that ChatML ends with.
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    groups = [group("yes", "a much longer answer than the first")]
    assert scorer_of(f"reward_model:{tmp_path}").score(groups)[0] == pytest.approx(
        scorer_of(f"reward_model:{reward_model}").score(groups)[0], abs=1e-5
    )


def test_a_reward_model_that_tells_prompt_from_response_is_told(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "it", "a", "good", "bad", "answer"]
    tokenizer = BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=1,
        initializer_range=0.3,
    )
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["a good answer", "bad"]
    (found,) = scorer_of(f"reward_model:{tmp_path}").score([group(*texts, prompt="what is it")])
    for text, score in zip(texts, found, strict=True):
        with torch.no_grad():
            assert score == pytest.approx(
                model(**tokenizer("what is it", text, return_tensors="pt")).logits.item(), abs=1e-5
            )


def test_what_is_too_long_for_a_reward_model_has_no_score(reward_model: Path) -> None:
    ((short, long),) = scorer_of(f"reward_model:{reward_model}").score([group("short", "long " * 100)])
    assert short is not None
    assert long is None


def test_a_model_that_is_no_reward_model_is_refused(reward_model: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such directory"):
        scorer_of(f"reward_model:{tmp_path / 'nothing'}")
    model = LlamaForSequenceClassification.from_pretrained(reward_model, num_labels=3, ignore_mismatched_sizes=True)
    model.save_pretrained(tmp_path / "three")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "three" / name).write_bytes((reward_model / name).read_bytes())
    with pytest.raises(BadInput, match="gives 3 logits"):
        scorer_of(f"reward_model:{tmp_path / 'three'}")


# ---- endpoints ---------------------------------------------------------------------------------------------

Answer = Callable[[list[dict[str, Any]]], tuple[int, Any]]


@contextmanager
def endpoint(*answers: Answer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP scorer that gives these answers in turn, the last for ever; yields its address and what it was sent."""
    waiting, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append({"body": body, "authorization": self.headers.get("authorization")})
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            status, content = answer(body["items"])
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/score?model=a", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def lengths(items: list[dict[str, Any]]) -> tuple[int, Any]:
    return 200, {"scores": [None if item["response"] == "?" else len(item["response"]) for item in items]}


def test_an_endpoint_scores_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_API_KEY", "secret")
    with endpoint(lengths) as (url, seen):
        groups = [group("a", "bb", "?")] + [group("c" * n) for n in range(1, 41)]
        scores = scorer_of(url).score(groups)
    assert scores == [[1, 2, None]] + [[n] for n in range(1, 41)]
    assert [len(one["body"]["items"]) for one in seen] == [32, 11]
    assert seen[0]["body"]["items"][1] == {"prompt": "p", "response": "bb"}
    assert {one["authorization"] for one in seen} == {"Bearer secret"}


def test_an_endpoint_that_is_busy_is_asked_again() -> None:
    with endpoint(lambda _: (503, b"starting"), lambda _: (429, b""), lambda _: (500, b""), lengths) as (url, seen):
        assert scorer_of(url).score([group("abc")]) == [[3.0]]
    assert len(seen) == 4


def test_patience_begins_with_the_first_failure() -> None:
    def slow(_: list[dict[str, Any]]) -> tuple[int, Any]:
        time.sleep(1.5)
        return 503, b"too much"

    with endpoint(slow, lengths) as (url, seen):
        assert Endpoint(url, Waiting(answer=5, patience=1)).score([group("abc")]) == [[3.0]]
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda _: (404, b"no such model"), "refused with HTTP 404: no such model"),
        (lambda _: (200, b"<html>"), "answered no .*scores.*<html>"),
        (lambda _: (200, [1, 2]), "answered no"),
        (lambda _: (200, {"scores": [1]}), "one number or null for each of 2 items"),
        (lambda _: (200, {"scores": [1, "good"]}), "one number or null"),
    ],
)
def test_an_endpoint_that_gives_no_scores_is_told_what_it_said(answer: Answer, says: str) -> None:
    with endpoint(answer) as (url, _), pytest.raises(BadInput, match=says):
        scorer_of(url).score([group("a", "b")])


def test_an_endpoint_that_nobody_serves_is_given_up_in_time() -> None:
    scorer = Endpoint("http://127.0.0.1:9/score", Waiting(connect=0.5, answer=0.5, patience=0.5))
    with pytest.raises(
        ConnectionFailed, match=r"gave no scores within 0\.5 s \(ConnectError.*goes on where it stopped"
    ):
        scorer.score([group("a")])


def test_an_endpoint_that_hangs_is_given_up_in_time() -> None:
    ended = threading.Event()

    def hang(items: list[dict[str, Any]]) -> tuple[int, Any]:
        ended.wait(patience(30))
        return lengths(items)

    with endpoint(hang) as (url, _):
        scorer = Endpoint(url, Waiting(answer=0.3, patience=0.3))
        with pytest.raises(ConnectionFailed, match="ReadTimeout"):
            scorer.score([group("a")])
        ended.set()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="address"):
        scorer_of("http://")
