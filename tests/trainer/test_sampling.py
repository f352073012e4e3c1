"""Sampled responses: drawn from the right distribution, with their own ids, and the same after any interruption."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import torch
import transformers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.harness.processes import COMMAND, Process, wait_gone
from benchmarks.harness.waiting import wait_for
from tokenreward import cli
from tokenreward.chat_format import ChatFormat
from tokenreward.dataset import read_meta
from tokenreward.errors import BadInput
from tokenreward_trainer.ranking.groups import responses_of
from tokenreward_trainer.sampling.engines import ENGINES, Engine, installed_version
from tokenreward_trainer.sampling.engines.base import Request
from tokenreward_trainer.sampling.engines.transformers import TransformersEngine, draw
from tokenreward_trainer.sampling.requests import Policy, seed_of
from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers.final_answer import answer_of

Row = dict[str, Any]
Build = Callable[..., LlamaForCausalLM]
SHORT = Sampling(n=3, max_tokens=12, segment=2, rows=4, dtype="float32")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast, llama: Build) -> Path:
    """A tiny random policy that ends some of its responses."""
    path = tmp_path_factory.mktemp("policy")
    model = llama(vocab_size=len(tokenizer), spread=0.05)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 8
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": n, "prompt": f"Say {'so ' * n}{n}."}) + "\n" for n in range(7)))
    return path


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


# ---- drawing -----------------------------------------------------------------------------------------------


def test_tokens_are_drawn_with_the_probabilities_of_the_nucleus() -> None:
    probs = torch.tensor([0.5, 0.05, 0.3, 0.15])
    count = 4000
    uniforms = torch.linspace(0, 1 - 1e-9, count, dtype=torch.float64)
    drawn = draw(probs.log().repeat(count, 1), uniforms, temperature=1.0, top_p=0.9)
    shares = torch.bincount(drawn, minlength=4) / count
    # The nucleus is {0, 2, 3}: with 0.8 of the mass it would be too small.
    assert torch.allclose(shares, torch.tensor([0.5, 0.0, 0.3, 0.15]) / 0.95, atol=1e-3)


def test_a_temperature_sharpens_and_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.5]]).repeat(1000, 1)
    uniforms = torch.linspace(0, 1 - 1e-9, 1000, dtype=torch.float64)
    drawn = draw(logits, uniforms, temperature=0.5, top_p=1.0)
    expected = (logits[0] / 0.5).softmax(-1)
    assert torch.allclose(torch.bincount(drawn, minlength=3) / 1000, expected, atol=2e-3)
    assert set(draw(logits, uniforms, temperature=0.0, top_p=1.0).tolist()) == {1}


def test_a_nucleus_larger_than_the_candidates_looked_at_first_is_whole() -> None:
    logits = torch.zeros(3, 5000)
    drawn = draw(logits, torch.tensor([0.0, 0.5, 1 - 1e-9], dtype=torch.float64), temperature=1.0, top_p=0.9)
    assert len(set(drawn.tolist())) == 3
    many = draw(torch.zeros(400, 5000), torch.rand(400, dtype=torch.float64), temperature=1.0, top_p=0.9)
    assert len(set(many.tolist())) > 300


def test_a_batch_gives_what_each_response_would_be_alone(policy: Path) -> None:
    """Against a plain loop: the whole sequence read anew for every token, no cache, no padding, no batch."""
    settings = Sampling(max_tokens=10, dtype="float32", rows=8)
    loaded = Policy.load(str(policy))
    engine = TransformersEngine(str(policy), settings, loaded.stops)
    asked = [
        Request(tuple(loaded.chat.prompt_ids(text)), tuple(seed_of(1, text, n) for n in range(3)), room=10)
        for text in ("a", "a longer one than the others", "bb")
    ]
    found = engine.sample(asked)
    model = LlamaForCausalLM.from_pretrained(policy).eval()
    for request, responses in zip(asked, found, strict=True):
        for seed, response in zip(request.seeds, responses, strict=True):
            dice, drawn = np.random.default_rng(seed), list[int]()
            while len(drawn) < request.room and (not drawn or drawn[-1] not in loaded.stops):
                with torch.no_grad():
                    logits = model(torch.tensor([[*request.ids, *drawn]])).logits[:, -1]
                uniform = torch.tensor([dice.random()], dtype=torch.float64)
                drawn.append(int(draw(logits, uniform, settings.temperature, settings.top_p)))
            assert list(response.token_ids) == drawn
            assert response.finished == (drawn[-1] in loaded.stops)
    lengths = {len(response.token_ids) for responses in found for response in responses}
    assert len(lengths) > 2


# ---- files -------------------------------------------------------------------------------------------------


def test_the_paper_s_settings_are_the_defaults() -> None:
    settings = Sampling()
    assert (settings.n, settings.temperature, settings.top_p, settings.max_tokens) == (5, 0.8, 0.95, 4096)


def test_rows_keep_their_columns_and_gain_responses_with_ids(
    policy: Path, prompts: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    done = sample_file(prompts, tmp_path / "out.jsonl", str(policy), SHORT)
    rows = read(tmp_path / "out.jsonl")
    assert [{key: row[key] for key in ("id", "prompt")} for row in rows] == read(prompts)
    responses = [response for row in rows for response in row["responses"]]
    assert len(responses) == done.counts.responses == 21
    assert {response["finished"] for response in responses} == {True, False}
    for response in responses:
        ids = response["token_ids"]
        assert response["finished"] == (ids[-1] == tokenizer.eos_token_id)
        assert len(ids) == 12 or response["finished"]
        assert response["text"] == tokenizer.decode(ids, skip_special_tokens=True)
    meta = read_meta(tmp_path / "out.jsonl")
    assert meta is not None
    about = meta["sampling"]
    assert about["tokenizer_hash"] == ChatFormat.from_pretrained_tokenizer(tokenizer).hash
    assert about["plan"]["temperature"] == 0.8
    assert (about["engine"], about["engine_version"]) == ("transformers", transformers.__version__)
    assert about["counts"]["tokens"] == sum(len(response["token_ids"]) for response in responses)


def test_a_thought_that_the_prompt_opens_is_noted_and_no_answer_where_it_is_cut_off(
    policy: Path, prompts: Path, tmp_path: Path
) -> None:
    thinking = shutil.copytree(policy, tmp_path / "thinking")
    template = thinking / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if add_generation_prompt %}{{ '<think>\\n' }}{% endif %}")
    sample_file(prompts, tmp_path / "out.jsonl", str(thinking), SHORT)
    for number, row in enumerate(read(tmp_path / "out.jsonl")):
        assert all(response["begun"] == "<think>\n" for response in row["responses"])
        assert not any("think" in response["text"] for response in row["responses"])
        group = responses_of(row, f"row {number}", (), finished_only=False).group
        assert [answer_of(text) for text in group.responses] == [""] * len(group.responses)


def test_half_a_surrogate_pair_in_another_column_leaves_as_it_came(policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "p", "note": "cut off: \\ud83d"}\n')
    sample_file(path, tmp_path / "out.jsonl", str(policy), SHORT)
    assert read(tmp_path / "out.jsonl")[0]["note"] == "cut off: \ud83d"


def test_an_engine_s_version_is_known_without_it() -> None:
    assert installed_version("transformers") == transformers.__version__
    assert installed_version("none-such") is None
    assert (installed_version("vllm") is None) == (importlib.util.find_spec("vllm") is None)


def test_a_response_s_seed_is_its_own(policy: Path, prompts: Path, tmp_path: Path) -> None:
    sample_file(prompts, tmp_path / "all.jsonl", str(policy), SHORT)
    few = tmp_path / "few.jsonl"
    few.write_text("".join(prompts.read_text().splitlines(keepends=True)[3:5]))
    sample_file(few, tmp_path / "some.jsonl", str(policy), SHORT.model_copy(update={"n": 2}))
    both = zip(read(tmp_path / "all.jsonl")[3:5], read(tmp_path / "some.jsonl"), strict=True)
    assert all(whole["responses"][:2] == part["responses"] for whole, part in both)
    sample_file(prompts, tmp_path / "other.jsonl", str(policy), SHORT.model_copy(update={"seed": 1}))
    assert read(tmp_path / "other.jsonl") != read(tmp_path / "all.jsonl")


def test_a_run_that_broke_off_goes_on_to_the_same_file(
    policy: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    sample_file(prompts, whole, str(policy), SHORT)
    sampled = TransformersEngine.sample
    calls: list[int] = []

    def breaks(self: TransformersEngine, requests: Any) -> Any:
        calls.append(len(requests))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sampled(self, requests)

    monkeypatch.setattr(TransformersEngine, "sample", breaks)
    with pytest.raises(KeyboardInterrupt):
        sample_file(prompts, out, str(policy), SHORT)
    assert not out.exists()
    with pytest.raises(BadInput, match=r"beginning of another run \(temperature differ\)"):
        sample_file(prompts, out, str(policy), SHORT.model_copy(update={"temperature": 0.5}))
    sample_file(prompts, out, str(policy), SHORT)
    assert calls == [2, 2, 2, 2, 1]
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.jsonl.partial").exists()
    assert sample_file(prompts, out, str(policy), SHORT).already
    assert len(calls) == 5


def test_nothing_is_overwritten(policy: Path, prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    with pytest.raises(BadInput, match="is not what this command makes"):
        sample_file(prompts, out, str(policy), SHORT)
    out.unlink()
    sample_file(prompts, out, str(policy), SHORT)
    with pytest.raises(BadInput, match=r"made otherwise \(max_tokens, n differ\)"):
        sample_file(prompts, out, str(policy), SHORT.model_copy(update={"n": 1, "max_tokens": 4}))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": 7}, "row 1: `prompt` must be text, or messages"),
        ({"prompt": ""}, "row 1: `prompt` must be text"),
        ({"prompt": [{"role": "user"}]}, "row 1, column 'prompt': message 0: a message has `content`, or"),
        ({"prompt": [{"role": "user", "content": "a", "images": [1]}]}, "column 'prompt': message 0 has `images`"),
        (
            {"prompt": [{"role": "assistant", "content": "a"}]},
            "row 1, column 'prompt': the prompt ends in an assistant",
        ),
        ({"prompt": "p", "responses": []}, "row 1: has a column 'responses' already"),
        ({"prompt": "long " * 100}, r"row 1: its prompt is \d+ tokens, and the model takes 256"),
    ],
)
def test_a_prompt_that_cannot_be_sampled_is_named_before_anything_is(
    policy: Path, tmp_path: Path, row: Row, says: str
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"prompt": "fine"}) + "\n" + json.dumps(row))
    with pytest.raises(BadInput, match=says):
        sample_file(path, tmp_path / "out.jsonl", str(policy), SHORT)
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]


def test_the_command_samples_and_names_a_wrong_option(
    policy: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", str(prompts), "--out", str(tmp_path / "out.jsonl"), "--model", str(policy), "--n", "2"]
    assert cli.main([*command, "--max-tokens", "4", "--dtype", "float32"]) == 0
    said = capsys.readouterr()
    assert "sampled: 14 responses to 7 prompts" in said.out
    assert "sampled 14/14 responses" in said.err
    assert cli.main([*command, "--top-p", "1.5"]) == 1
    assert "--top-p 1.5: Input should be less than or equal to 1" in capsys.readouterr().err


# ---- vLLM --------------------------------------------------------------------------------------------------

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module")
def vllm_policy(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast, llama: Build) -> Path:
    """Random, and of a shape that vLLM's attention takes."""
    path = tmp_path_factory.mktemp("vllm-policy")
    sizes: Row = {"hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64}
    model = llama(vocab_size=len(tokenizer), spread=0.05, **sizes)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 14
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@needs_vllm
@pytest.mark.vllm
def test_vllm_samples_the_same_again_and_dies_with_its_parent(
    vllm_policy: Path,
    prompts: Path,
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SHORT.model_copy(update={"engine": "vllm", "kv_gib": 0.05})
    out, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    command = [*COMMAND, "sample", str(prompts), "--out", str(out), "--model", str(vllm_policy)]
    options = settings.model_dump(exclude={"top_p"})
    command += [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    killed = Process(command, tmp_path / "log")
    wait_for(lambda: list((tmp_path / "out.jsonl.partial").glob("*.done")), 240, "the first segment")
    os.kill(killed.pid, signal.SIGSTOP)  # So that it does not come to its end while we look for its children.
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    assert children
    wait_gone(children)

    engine = ENGINES["vllm"](str(vllm_policy), settings, Policy.load(str(vllm_policy)).stops, 256)
    try:
        monkeypatch.setitem(ENGINES, "vllm", lambda *_: _Kept(engine))  # Starting it is most of this test's time.
        sample_file(prompts, out, str(vllm_policy), settings)
        sample_file(prompts, again, str(vllm_policy), settings)
    finally:
        engine.close()
    assert again.read_bytes() == out.read_bytes()
    responses = [response for row in read(out) for response in row["responses"]]
    for response in responses:
        assert response["finished"] == (response["token_ids"][-1] == tokenizer.eos_token_id)
        assert max(response["token_ids"]) < len(tokenizer)
        assert len(response["token_ids"]) == settings.max_tokens or response["finished"]
    assert {response["finished"] for response in responses} == {True, False}


class _Kept:
    """An engine that stays open."""

    def __init__(self, engine: Engine) -> None:
        self.sample = engine.sample

    def close(self) -> None: ...


def test_a_model_that_is_none_is_an_error(prompts: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no tokenizer"):
        sample_file(prompts, tmp_path / "out.jsonl", str(tmp_path), SHORT)
