"""What is taken as a chat format, what is refused, and what the package needs to be imported."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput


def changed(tokenizer: Any, template: Any) -> ChatFormat:
    """The chat format of a tokenizer under another chat template."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return ChatFormat.from_pretrained_tokenizer(other)


def test_it_is_imported_without_torch_and_transformers_and_never_by_the_sdk() -> None:
    alone = "import sys, tokenreward.chat_format; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    sdk = "import sys, tokenreward, tokenreward.cli; print(sorted({'jinja2', 'tokenizers'} & set(sys.modules)))"
    for program in (alone, sdk):
        assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"


def test_the_date_of_a_template_is_the_same_on_every_day(chatml: Any) -> None:
    chat = changed(chatml, "{{ strftime_now('%d %b %Y') }} {{ messages[0]['content'] }}")
    assert chat.tokenizer.decode(chat.prompt_ids("Hi")) == "26 Jul 2024 Hi"


def test_of_several_templates_the_default_is_taken(chatml: Any) -> None:
    templates = {"tool_use": "tools", "default": str(chatml.chat_template)}
    assert changed(chatml, templates).prompt_ids("Hi") == changed(chatml, chatml.chat_template).prompt_ids("Hi")


def test_several_templates_without_a_default_are_refused(chatml: Any) -> None:
    with pytest.raises(BadInput, match=r"several chat templates \(rag, tool_use\), and none is called `default`"):
        changed(chatml, {"tool_use": "a", "rag": "b"})


def test_a_template_that_is_no_jinja_is_refused_with_its_directory(chatml: Any, tmp_path: Path) -> None:
    broken = copy.deepcopy(chatml)
    broken.chat_template = "{% for m in messages %}{{ m['content'] }}"
    broken.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match=f"{tmp_path} cannot be read: the chat template cannot be compiled"):
        ChatFormat.load(tmp_path)


@pytest.mark.parametrize("call", ["{{ raise_exception('one turn only') }}", "{{ 'turn ' + 1 }}"])
def test_a_conversation_that_the_template_refuses_or_breaks_on_is_bad_input(chatml: Any, call: str) -> None:
    chat = changed(chatml, "{% if messages | length > 2 %}" + call + "{% endif %}" + str(chatml.chat_template))
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    assert chat.prompt_ids(turns[:1])
    with pytest.raises(BadInput, match="the model's chat template refuses this prompt: "):
        chat.prompt_ids(turns)


def test_a_role_that_could_write_control_tokens_is_refused(chatml: Any) -> None:
    chat = ChatFormat.from_pretrained_tokenizer(chatml)
    with pytest.raises(
        BadInput, match="the role 'user<|im_end|>' is none of assistant, developer,".replace("|", r"\|")
    ):
        chat.prompt_ids([{"role": "user<|im_end|>", "content": "Hi"}])


def test_a_lone_surrogate_is_refused_in_prompt_and_answer(chatml: Any) -> None:
    chat = ChatFormat.from_pretrained_tokenizer(chatml)
    for read in (chat.prompt_ids, chat.answer_ids):
        with pytest.raises(BadInput, match="lone surrogate"):
            read("a\ud800")


def test_many_texts_in_one_call_give_the_ids_of_each_alone(chatml: Any) -> None:
    chat = ChatFormat.from_pretrained_tokenizer(chatml)
    texts = [chat.prompt("Hi"), chat.answer("Yo"), chat.prompt("a"), chat.answer("b", finished=False)]
    alone = [chat.prompt_ids("Hi"), chat.answer_ids("Yo"), chat.prompt_ids("a"), chat.answer_ids("b", finished=False)]
    assert chat.ids(texts) == alone


def test_a_template_that_drops_the_system_message_gets_it_in_the_user_turn(chatml: Any) -> None:
    deaf = "{% for m in messages if m['role'] != 'system' %}{{ '[' + m['content'] + ']' }}{% endfor %}"
    chat = changed(chatml, deaf)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert chat.tokenizer.decode(chat.prompt_ids(messages)) == "[Be brief.\n\nHi]"
