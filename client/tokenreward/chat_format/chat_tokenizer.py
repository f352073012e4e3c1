"""A model's tokenizer and chat template, in the form rendering needs: control tokens only ever come from the template.

The tokenizer here is a copy whose special tokens carry secret names, drawn at random when it is loaded. What a
chat template writes as `<|im_end|>` is renamed before it is tokenized (`control`), so it becomes the control
token; the same characters out of a prompt or response are not, so they stay text. Nothing imports torch;
transformers is imported only where a model's own files are read.

Chat templates run in jinja2's sandbox with what transformers offers them, except that the date is fixed:
the same item must be read the same way tomorrow.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
from tokenizers import Tokenizer

from tokenreward.errors import BadInput
from tokenreward.tokenizer_hash import tokenizer_hash

#: For models without a chat template: every message as it is, an empty line after it.
PLAIN_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] + '\n\n' }}{% endfor %}"
#: What chat templates are told today's date is (and what Llama 3.1's takes when it is told none).
_TODAY = datetime(2024, 7, 26, tzinfo=UTC)


class ChatTokenizer:
    """Text to ids, special tokens by their id only, and a chat template.

    Safe to share between threads: nothing changes after `__init__`.

    serialized: JSON of the model's `tokenizers.Tokenizer`.
    chat_template: jinja2 source, or None for a model without one (`PLAIN_TEMPLATE` is then used).
    special_tokens: by their role, e.g. {"bos_token": "<s>", "eos_token": "</s>"}.
    Raises BadInput and jinja2.TemplateError for a tokenizer or template that cannot be used.
    """

    def __init__(self, serialized: str, chat_template: str | None, special_tokens: dict[str, str]) -> None:
        self.serialized = serialized
        self.special_tokens = special_tokens
        self.chat_template = chat_template or _plain_template(serialized, special_tokens)
        added = json.loads(serialized)["added_tokens"]
        #: Special tokens by their text. One of a single character could not be told from text.
        self.special = {t["content"]: int(t["id"]) for t in added if t["special"] and len(t["content"]) > 1}
        secret = secrets.token_hex(8)
        self._names = {text: f"\ue000{secret}.{number}\ue001" for text, number in self.special.items()}
        self._secret = re.compile(f"\ue000{secret}\\.(\\d+)\ue001")
        self._tokenizer = _renamed(serialized, self._names)
        if any(self._tokenizer.token_to_id(self._names[text]) != number for text, number in self.special.items()):
            raise BadInput("the ids of this tokenizer's special tokens do not survive being read again")
        self._pattern = _any_of(self.special)
        self._look_alike = re.compile(f"(?={self._pattern.pattern})(.)", re.DOTALL)
        self._compiled = _environment().from_string(self.chat_template)

    @classmethod
    def load(cls, path: Path) -> ChatTokenizer:
        """Of a model directory, as transformers reads it. Raises BadInput if it cannot."""
        from transformers import AutoTokenizer

        try:
            theirs = AutoTokenizer.from_pretrained(path)
            serialized = theirs.backend_tokenizer.to_str()
        except (OSError, ValueError, AttributeError, KeyError, ImportError) as error:
            raise BadInput(f"the tokenizer of {path} cannot be loaded: {error}") from error
        template = theirs.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        special = {role: str(text) for role, text in theirs.special_tokens_map.items() if isinstance(text, str)}
        try:
            return cls(serialized, template, special)
        except jinja2.TemplateError as error:
            raise BadInput(f"the chat template of {path} cannot be read: {error}") from error

    @cached_property
    def hash(self) -> str:
        return tokenizer_hash(self.serialized)

    @property
    def vocabulary(self) -> int:
        """Ids are in [0, vocabulary)."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def render(self, messages: Sequence[dict[str, str]], *, generation_prompt: bool = True) -> str:
        """The chat as the model's text, with every special token out of the template renamed, ready for `encode`.

        Raises jinja2.TemplateError if the template refuses the conversation.
        """
        hostile = any(self._pattern.search(text) for message in messages for text in message.values())
        if not hostile:
            return self.control(self._render(messages, generation_prompt))
        # A marker inside every look-alike keeps it out of the renaming, whatever the template does to the text.
        marker = _unused_character(text for message in messages for text in message.values())
        inert = [{key: self._look_alike.sub(rf"\g<1>{marker}", text) for key, text in m.items()} for m in messages]
        return self.control(self._render(inert, generation_prompt)).replace(marker, "")

    def _render(self, messages: Sequence[dict[str, str]], generation_prompt: bool) -> str:
        return self._compiled.render(
            messages=messages,
            tools=None,
            documents=None,
            add_generation_prompt=generation_prompt,
            **self.special_tokens,
        )

    def control(self, text: str) -> str:
        """`text` with every special token's text replaced by its secret name: `encode` makes it the control token."""
        return self._pattern.sub(lambda match: self._names[match[0]], text)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, no special token added, none recognised but those that `control` renamed."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def located(self, lead: str, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        """The ids of `text` behind `lead`, and the [start, end) characters of `text` that each stands for, whatever a
        normaliser made of them. Nothing if the two grew together."""
        before = self._tokenizer.encode(lead, add_special_tokens=False).ids
        encoding = self._tokenizer.encode(lead + text, add_special_tokens=False)
        if encoding.ids[: len(before)] != before:
            return (), []
        spans = [(max(0, a - len(lead)), max(0, b - len(lead))) for a, b in encoding.offsets[len(before) :]]
        return tuple(encoding.ids[len(before) :]), spans

    def first_special(self, rendered: str) -> tuple[int | None, str]:
        """Of a rendered text: the id of its first control token (None if it has none) and the text before that."""
        found = self._secret.search(rendered)
        return (int(found[1]), rendered[: found.start()]) if found else (None, "")

    @property
    def anchor(self) -> str:
        """The secret name of some control token to tokenize behind; empty if the tokenizer has none."""
        greedy = {t["content"] for t in json.loads(self.serialized)["added_tokens"] if t["rstrip"]}
        return next((name for text, name in self._names.items() if text not in greedy), "")

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def token(self, token_id: int) -> str:
        """The vocabulary's entry, of a special token its real text; empty for an id it does not have."""
        return self._special_text.get(token_id) or str(self._tokenizer.id_to_token(token_id) or "")

    @cached_property
    def decoder(self) -> str:
        """JSON of the decoder: how entries of the vocabulary become text."""
        return json.dumps(json.loads(self.serialized).get("decoder"))

    @cached_property
    def _special_text(self) -> dict[int, str]:
        return {number: text for text, number in self.special.items()}

    def is_special(self, token_id: int) -> bool:
        return token_id in self._special_text


@cache
def byte_level_table() -> dict[str, int]:
    """The printable characters by which byte-level BPE writes bytes (GPT-2's `bytes_to_unicode`, inverted)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _plain_template(serialized: str, special_tokens: dict[str, str]) -> str:
    """Starts with the bos token only if the tokenizer itself would."""
    bos = special_tokens.get("bos_token")
    tokenizer = Tokenizer.from_str(serialized)
    ids = tokenizer.encode("a").ids
    starts_with_bos = bos is not None and len(ids) > 1 and ids[0] == tokenizer.token_to_id(bos)
    return PLAIN_TEMPLATE if starts_with_bos else PLAIN_TEMPLATE.removeprefix("{{ bos_token }}")


def _renamed(serialized: str, names: dict[str, str]) -> Tokenizer:
    """The same tokenizer, same ids, with special tokens called by `names`."""
    content = json.loads(serialized)
    for token in content["added_tokens"]:
        if token["content"] in names:
            token["content"] = names[token["content"]]
            token["normalized"] = False
    model = content["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(text, text): number for text, number in vocabulary.items()}
    else:  # Unigram: [text, score] in the order of ids
        model["vocab"] = [[names.get(text, text), score] for text, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    content |= {"truncation": None, "padding": None, "post_processor": None}
    return Tokenizer.from_str(json.dumps(content, ensure_ascii=False))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of `texts`, the longest first; never, if there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("(?:" + ("|".join(map(re.escape, longest_first)) or r"(?!)") + ")")


def _unused_character(texts: Iterable[str]) -> str:
    """A private-use character that occurs in none of `texts`."""
    used = set().union(*texts)
    return next(chr(code) for code in range(0xF0000, 0xFFFFE) if chr(code) not in used)


def _environment() -> jinja2.Environment:
    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = _TODAY.strftime
    return environment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}`, which some templates put around an answer: just its content."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
