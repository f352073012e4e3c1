"""Items to token ids: by the model's chat template, control tokens only from the template, offsets by character."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenreward import templates
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Branch, Item, ItemFailure, Message, Template
from tokenreward_workers.engines import synthetic
from tokenreward_workers.model_files.resolve import ModelFiles
from tokenreward_workers.rendering import Prepared, Renderer

REVISION = templates.resolve("revision")
BRANCHES = ["better", "worse"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def prepared(renderer: Renderer, item: Item, template: Template = REVISION) -> Prepared:
    (outcome,) = renderer.prepare([item], template, [b for b in template.branches if b != "plain"])
    assert isinstance(outcome, Prepared), outcome
    return outcome


def failure(renderer: Renderer, item: Item, template: Template = REVISION) -> ItemFailure:
    (outcome,) = renderer.prepare([item], template, list(template.branches))
    assert isinstance(outcome, ItemFailure)
    return outcome


def whole(scoring: Any, branch: str) -> list[int]:
    return [*scoring.prefix, *scoring.branches[branch], *scoring.response]


def byte_format(chat_template: str | None) -> ChatFormat:
    """The synthetic engine's byte tokenizer with another chat template."""
    serialized = synthetic.chat_format().tokenizer.serialized
    return ChatFormat(serialized, chat_template, {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"})


def test_ids_are_those_of_transformers_chat_template(renderer: Renderer, demo: ModelFiles) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(demo.path)
    for response in ("Paris.", "4 apples,\n\n  and 12345 more \U0001f642", "2 + 2 = 4\nA: 4"):
        item = Item(prompt="What is  the capital?\n", response=response)
        ready = prepared(renderer, item)
        for branch in BRANCHES:
            (message,) = templates.render(REVISION, item)[branch]
            chat = [{"role": "user", "content": message.content}, {"role": "assistant", "content": response}]
            expected = theirs.apply_chat_template(chat, return_dict=False)
            ours = whole(ready.scoring, branch)
            assert ours == expected[: len(ours)]
            assert theirs.decode(expected[len(ours) :]).strip() == ""


def test_the_end_of_turn_token_belongs_to_a_finished_response_only(renderer: Renderer) -> None:
    finished = prepared(renderer, Item(prompt="a", response="b c")).response_ids
    cut = prepared(renderer, Item(prompt="a", response="b c", finished=False)).response_ids
    assert finished == (*cut, renderer.chat.tokenizer.control.ids["<|im_end|>"])


def test_ids_of_the_caller_are_used_untouched(renderer: Renderer) -> None:
    text_ids = prepared(renderer, Item(prompt="a", response="one two")).response_ids
    odd = [*text_ids[:1], 17, 17, *text_ids[1:]]
    assert prepared(renderer, Item(prompt="a", token_ids=odd)).response_ids == tuple(odd)


@given(
    st.lists(
        st.sampled_from([*SPECIAL, "<|im_", "end|>", "user\n", " ", "a", "\U0001f642", "<"]), min_size=1, max_size=8
    ),
    st.lists(st.sampled_from([*SPECIAL, "<|im_", "start|>", "x", "<|im_end|", "\n"]), min_size=1, max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_control_tokens_inside_user_text_stay_text(renderer: Renderer, prompt: list[str], response: list[str]) -> None:
    item = Item(prompt="".join(prompt), response="".join(response))
    ready = prepared(renderer, item)
    tame = prepared(renderer, Item(prompt="a", response="b"))
    control = set(renderer.chat.tokenizer.control.ids.values())
    for branch in BRANCHES:
        found = [i for i in whole(ready.scoring, branch) if i in control]
        assert found == [i for i in whole(tame.scoring, branch) if i in control]
        said = renderer.chat.tokenizer.decode(whole(ready.scoring, branch))
        assert templates.render(REVISION, item)[branch][0].content in said
    assert renderer.chat.tokenizer.decode(ready.response_ids) == item.response


def test_a_template_that_builds_control_tokens_and_trims_text_cannot_be_fooled() -> None:
    template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{{ m['content'] | trim }}{{ '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    renderer = Renderer(byte_format(template), 10_000, synthetic.VOCABULARY)
    direct = Template(
        name="t", branches={"better": Branch(conversation=True), "worse": Branch(context="q", directive="w")}
    )
    chat = [Message(role="tool", content=" <|im_end|> "), Message(role="user", content="q")]
    ready = prepared(renderer, Item(prompt=chat, response="<|im_end|>"), direct)
    control = [i for i in whole(ready.scoring, "better") if i >= 256]
    assert control == [258, 258, 258]  # two ends of turn, and the answer's own
    for role in ("im_end|><|im_start", "im_end"):
        chat = [Message(role=role, content="a")]
        assert failure(renderer, Item(prompt=chat, response="b"), direct).code == "invalid_item"


def test_a_model_without_a_system_role_gets_its_text_in_the_first_user_turn() -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ':' + m['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
    )
    renderer = Renderer(byte_format(template), 10_000, synthetic.VOCABULARY)
    plain = Template(name="t", branches={"better": Branch(conversation=True)})
    chat = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
    ready = prepared(renderer, Item(prompt=chat, response="Yo"), plain)
    assert renderer.chat.tokenizer.decode(whole(ready.scoring, "better")) == "user:Be brief.\n\nHiassistant:Yo"
    refused = failure(renderer, Item(prompt=[chat[0]], response="Yo"), plain)
    assert refused.code == "invalid_item"
    assert "System role not supported" in refused.message


def test_what_a_template_writes_around_an_answer_belongs_to_the_response() -> None:
    template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' <|im_end|>' }}"
        "{% else %}{{ '[' + m['content'] + ']' }}{% endif %}{% endfor %}"
    )
    renderer = Renderer(byte_format(template), 10_000, synthetic.VOCABULARY)
    ready = prepared(renderer, Item(prompt="a", response="bc"))
    assert ready.response_ids == (*b" bc ", 258)
    tokens, offsets = renderer.pieces(ready)
    assert tokens == [" ", "b", "c", " ", "<|im_end|>"]
    assert offsets == [(0, 0), (0, 1), (1, 2), (2, 2), (2, 2)]


def test_a_model_without_a_chat_template_reads_plain_text_and_ends_with_eos() -> None:
    renderer = Renderer(byte_format(None), 10_000, synthetic.VOCABULARY)
    direct = Template(name="t", branches={"better": Branch(conversation=True)})
    ready = prepared(renderer, Item(prompt="Hi", response="Yo"), direct)
    assert bytes(ready.scoring.prefix) == b"Hi\n\n"
    assert ready.response_ids == (*b"Yo", 258)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (Item(prompt="a", token_ids=[5, 49152]), "token_out_of_vocabulary"),
        (Item(prompt="a " * 3000, response="b"), "too_long"),
        (Item(prompt="a", response="b\ud800"), "invalid_item"),
    ],
)
def test_a_bad_item_fails_alone(renderer: Renderer, item: Item, code: str) -> None:
    good = Item(prompt="a", response="b")
    before, bad, after = renderer.prepare([good, item, good], REVISION, BRANCHES)
    assert isinstance(bad, ItemFailure)
    assert bad.code == code
    assert isinstance(before, Prepared)
    assert before == after


def test_a_template_that_repeats_an_item_beyond_any_model_is_not_rendered(renderer: Renderer) -> None:
    directives = {"better": "{prompt}" * 2000, "worse": "w"}
    greedy = Template(name="t", branches={name: Branch(directive=text) for name, text in directives.items()})
    fits, too_long = renderer.prepare([Item(prompt=p, response="r") for p in ("a", "a " * 500)], greedy, BRANCHES)
    assert isinstance(fits, Prepared)
    assert isinstance(too_long, ItemFailure)
    assert too_long.code == "too_long"
    assert "2000000 characters" in too_long.message


def test_a_branch_the_template_does_not_have_is_a_bad_template(renderer: Renderer) -> None:
    (outcome,) = renderer.prepare([Item(prompt="a", response="b")], REVISION, ["better", "sideways"])
    assert isinstance(outcome, ItemFailure)
    assert outcome.code == "bad_template"


@pytest.mark.parametrize(
    "text",
    ["Hé \U0001f469\u200d\U0001f469\u200d\U0001f467 中文字 e\u0301 \u200b.", "plain words", " \n\n a", "\U0001f642"],
)
def test_offsets_name_the_characters_of_every_token(renderer: Renderer, text: str) -> None:
    ready = prepared(renderer, Item(prompt="a", response=text))
    tokens, offsets = renderer.pieces(ready)
    assert len(tokens) == len(offsets) == len(ready.response_ids)
    assert offsets[-1] == (len(text), len(text))
    assert tokens[-1] == "<|im_end|>"
    covered: set[int] = set()
    for token, (start, end) in zip(tokens[:-1], offsets[:-1], strict=True):
        assert start < end
        if "\ufffd" not in token:
            assert text[start:end] == token
        covered.update(range(start, end))
    assert covered == set(range(len(text)))
    assert offsets == sorted(offsets)
    again = prepared(renderer, Item(prompt="a", token_ids=list(ready.response_ids)))
    assert again.text == text
    assert renderer.pieces(again) == (tokens, offsets)


def llama2_like() -> ChatFormat:
    """SentencePiece-style BPE with byte fallback: a blank before the text, characters it lacks as bytes."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "\u2581",
        "a",
        "b",
        "\u2581a",
        "\u2581ab",
    ]
    special = [
        {
            "id": n,
            "content": text,
            "special": True,
            "normalized": False,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
        }
        for n, text in enumerate(pieces[:3])
    ]
    content = {
        "version": "1.0",
        "added_tokens": special,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            ],
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "byte_fallback": True,
            "fuse_unk": True,
            "vocab": {piece: n for n, piece in enumerate(pieces)},
            "merges": [["\u2581", "a"], ["\u2581a", "b"]],
        },
    }
    template = (
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' </s>' }}"
        "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
    )
    return ChatFormat(json.dumps(content), template, {"bos_token": "<s>", "eos_token": "</s>"})


def test_offsets_are_right_for_byte_fallback_and_the_blank_before_a_text() -> None:
    renderer = Renderer(llama2_like(), 10_000, 264)
    text = "ab \U0001f642b a</s>"
    ready = prepared(renderer, Item(prompt="a", response=text))
    tokens, offsets = renderer.pieces(ready)
    conversation = "a [/INST] " + text + " "  # what SentencePiece makes of the whole of it
    (expected,) = renderer.chat.tokenizer.encode([conversation])
    *said, end = ready.response_ids
    assert said == expected[-len(said) :]
    assert end == 2
    assert 2 not in said
    assert [text[start:end] for start, end in offsets if end > start][:3] == ["ab", " ", "\U0001f642"]
    emoji = [n for n, (start, end) in enumerate(offsets) if (start, end) == (3, 4)]
    assert len(emoji) == 4
    assert offsets[-1] == (len(text), len(text))
    assert tokens[-1] == "</s>"


def test_the_date_in_a_chat_template_never_changes() -> None:
    template = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    renderer = Renderer(byte_format(template), 10_000, 259)
    ready = prepared(renderer, Item(prompt="a", response="b"))
    assert bytes(ready.scoring.prefix).startswith(b"26 Jul 2024")


def test_a_text_with_a_token_beyond_the_embedding_fails_alone() -> None:
    """A token was added to the tokenizer, and the model's embedding was never made larger."""
    content = json.loads(synthetic.chat_format().tokenizer.serialized)
    image = {**content["added_tokens"][0], "id": 259, "content": "<image>", "special": False}
    content["added_tokens"].append(image)
    chat = ChatFormat(json.dumps(content), synthetic.chat_format().chat_template, {"eos_token": "<|im_end|>"})
    renderer = Renderer(chat, 10_000, synthetic.VOCABULARY)
    good = Item(prompt="a", response="b")
    for bad in (Item(prompt="see <image>", response="b"), Item(prompt="a", response="an <image>")):
        before, failed, after = renderer.prepare([good, bad, good], REVISION, BRANCHES)
        assert isinstance(failed, ItemFailure)
        assert failed.code == "token_out_of_vocabulary"
        assert "token id 259 ('<image>')" in failed.message
        assert isinstance(before, Prepared)
        assert before == after
