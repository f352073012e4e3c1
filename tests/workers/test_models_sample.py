"""A sample of `make models`: some architectures and chat templates, and that its judges find what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.model_zoo import chat_judge, engine_judge
from benchmarks.model_zoo.architectures import ARCHITECTURES, named
from benchmarks.model_zoo.families import FAMILIES, Family
from benchmarks.models import model_types
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.engines.packed import attention


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def family(name: str) -> Family:
    return next(one for one in FAMILIES if one.name == name)


@pytest.mark.parametrize("name", ["gemma3_text", "cohere", "gpt2", "mixtral", "deepseek_v3", "llama, yarn rotation"])
def test_an_architecture_of_each_kind_of_attention_is_right(name: str) -> None:
    judged = engine_judge.judge("transformers", name)
    assert judged.verdict == "right", judged


@pytest.mark.parametrize("name", ["mamba2", "bloom", "gpt_oss"])
def test_an_architecture_that_packs_cannot_hold_is_refused_with_a_reason(name: str) -> None:
    judged = engine_judge.judge("transformers", name)
    assert judged.verdict == "refused", judged
    assert judged.reason


def test_an_engine_that_ignores_the_window_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Callable[..., Any] = attention.tree_attention

    def careless(*given: Any, sliding_window: int | None = None, **named: Any) -> Any:
        return whole(*given, **named)

    attention.AttentionInterface.register(attention.NAME, careless)
    monkeypatch.setattr("tokenreward_workers.engines.packed.self_check.check", lambda *given: None)
    try:
        assert engine_judge.judge("transformers", "mistral").verdict == "wrong"
    finally:
        attention.AttentionInterface.register(attention.NAME, whole)


def test_a_further_shape_of_a_model_counts_only_if_it_is_wrong() -> None:
    verdicts = {"phi3": "right", "phi3, a window": "right", "stablelm": "refused", "stablelm, normed": "wrong"}
    judged = [engine_judge.Judged(name, verdict) for name, verdict in verdicts.items()]
    assert [one.name for one in model_types(judged)] == ["phi3", "stablelm", "stablelm, normed"]


def test_names_of_architectures_and_templates_are_not_given_twice() -> None:
    for names in ([one.name for one in ARCHITECTURES], [one.name for one in FAMILIES]):
        assert len(names) == len(set(names))
    assert named("llama").vllm


@pytest.mark.parametrize(
    "name", ["ChatML", "Llama 2", "Zephyr", "SmolLM 3", "Mistral, [INST] as a token", "turns that end in plain text"]
)
def test_a_chat_template_of_each_kind_is_read_as_it_is_written(name: str) -> None:
    judged = chat_judge.judge(family(name))
    assert judged.verdict == "right", judged.reads


def test_ids_that_are_not_the_templates_own_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ChatFormat.ids

    def without_the_last(chat: ChatFormat, texts: Any) -> list[list[int]]:
        return [ids[:-1] for ids in whole(chat, texts)]

    monkeypatch.setattr(ChatFormat, "ids", without_the_last)
    judged = chat_judge.judge(family("ChatML"))
    assert judged.verdict == "wrong"
    assert "where the template has" in judged.reads["one turn"].reason
