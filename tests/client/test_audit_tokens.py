"""Character spans to tokens, with the real demo tokenizer and with one that falls back to bytes."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers

from tokenreward import templates
from tokenreward.audit.tokens import BAD, GOOD, LEFT_OUT, judged, unseen
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Item
from tokenreward_workers.engines import synthetic
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Prepared, Renderer

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # three people and two joiners: five characters, one picture
TEXTS = (
    "plain words, and 12345.",
    "smile \U0001f642 now",
    f"a {FAMILY} b",
    "\U0001f1eb\U0001f1f7 flag",
    "北京是中国的首都。",
    "日本語とEnglish",
    "cafe\u0301 and nai\u0308ve",  # combining marks behind their letters
    "हिन्दी में",
    "\u1eb6\u0103\u0306\u0323 stacked",
    "tab\tand\nline\r\nends  ",
    "\U00010348\U00020000 rare",
)


def bytes_tokenizer() -> ChatFormat:
    """SentencePiece-like: a few words, and every other character as the bytes of its UTF-8."""
    pieces = [
        "<unk>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "\u2581",
        "a",
        "n",
        "d",
        "\u2581a",
        "nd",
        "\u2581and",
    ]
    merges = [("\u2581", "a"), ("n", "d"), ("\u2581a", "nd")]
    model = models.BPE({piece: n for n, piece in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True)
    made = Tokenizer(model)
    made.normalizer = normalizers.Replace(" ", "\u2581")
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["</s>"])
    return ChatFormat(made.to_str(), None, {"eos_token": "</s>"})


def _renderer(chat: ChatFormat) -> Renderer:
    return Renderer(chat, 4096, chat.tokenizer.vocabulary)


@pytest.fixture(scope="module", params=[pytest.param("demo", marks=pytest.mark.demo_model), "bytes"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    made: dict[str, Callable[[], ChatFormat]] = {
        "demo": lambda: ChatFormat.load(resolve_model("demo").path),
        "bytes": bytes_tokenizer,
    }
    return _renderer(made[request.param]())


def tokens_of(renderer: Renderer, text: str) -> tuple[list[bytes], np.ndarray]:
    """Each token's own bytes, asked of the tokenizer alone, and its offsets as the service gives them."""
    (ready,) = renderer.prepare([Item(prompt="p", response=text)], templates.resolve("opposite"), ["plain"])
    assert isinstance(ready, Prepared), ready
    _, offsets = renderer.pieces(ready)
    entries = [renderer.chat.tokenizer.token(number) for number in ready.response_ids]
    parts = []
    for entry, number in zip(entries, ready.response_ids, strict=True):
        if renderer.chat.tokenizer.is_control(number):
            parts.append(b"")
        elif entry.startswith("<0x"):
            parts.append(bytes([int(entry[3:5], 16)]))
        elif "ByteLevel" in renderer.chat.tokenizer.decoder:
            parts.append(_byte_level(entry))
        else:
            parts.append(entry.replace("\u2581", " ").encode())
    return parts, np.array(offsets)


def _byte_level(entry: str) -> bytes:
    """GPT-2's alphabet, written out once more: printable bytes are themselves, the others follow from 256 on."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = {256 + n: byte for n, byte in enumerate(b for b in range(256) if b not in kept)}
    return bytes(moved.get(ord(c), ord(c)) for c in entry)


def expected(parts: list[bytes], text: str, start: int, end: int) -> list[int]:
    """By bytes: a token is bad if one of its bytes is one of a bad character's."""
    first, last = len(text[:start].encode()), len(text[:end].encode())
    found, at = [], 0
    for part in parts:
        bad = at < last and at + len(part) > first
        found.append(LEFT_OUT if not part else BAD if bad else GOOD)
        at += len(part)
    assert at == len(text.encode())
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_every_span_of_a_text_finds_the_tokens_that_hold_its_bytes(renderer: Renderer, text: str) -> None:
    parts, offsets = tokens_of(renderer, text)
    for start in range(len(text)):
        for end in range(start + 1, min(len(text), start + 6) + 1):
            assert judged(offsets, [(start, end)], []).tolist() == expected(parts, text, start, end), (start, end)
            assert unseen(offsets, [(start, end)]) == 0


@given(
    text=st.text(
        st.characters(exclude_categories=["Cs", "Cn", "Co", "Cc"], include_characters="\t\n"), min_size=1, max_size=20
    ),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_text_will_do(renderer: Renderer, text: str, data: st.DataObject) -> None:
    if not text.strip() or "</s>" in text:
        return
    parts, offsets = tokens_of(renderer, text)
    # A vocabulary may lack a byte: SmolLM2's has no token for some control characters and drops them.
    assume(b"".join(parts) == text.encode())
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert judged(offsets, [(start, end)], []).tolist() == expected(parts, text, start, end)


def test_several_tokens_that_hold_one_emoji_are_all_bad_and_their_neighbours_are_not() -> None:
    parts, offsets = tokens_of(_renderer(bytes_tokenizer()), "and \U0001f642 and")
    found = judged(offsets, [(4, 5)], [])
    assert [part for part, kind in zip(parts, found, strict=True) if kind == BAD] == [
        b"\xf0",
        b"\x9f",
        b"\x99",
        b"\x82",
    ]
    assert (found == LEFT_OUT).tolist() == [False] * (len(found) - 1) + [True]


def test_a_joined_picture_may_be_bad_in_part() -> None:
    parts, offsets = tokens_of(_renderer(bytes_tokenizer()), f"a{FAMILY}")
    found = judged(offsets, [(3, 4)], [])  # the second of the three people
    assert b"".join(part for part, kind in zip(parts, found, strict=True) if kind == BAD) == "\U0001f469".encode()


def test_a_combining_mark_is_a_character_of_its_own() -> None:
    text = "cafe\u0301"
    assert unicodedata.normalize("NFC", text) != text
    parts, offsets = tokens_of(_renderer(bytes_tokenizer()), text)
    found = judged(offsets, [(4, 5)], [])
    assert [part for part, kind in zip(parts, found, strict=True) if kind == BAD] == [b"\xcc", b"\x81"]


def composing_tokenizer() -> ChatFormat:
    """Like Qwen's: bytes behind a normaliser that joins combining marks to their letters (NFC)."""
    base = json.loads(synthetic.chat_format().tokenizer.serialized)
    base["normalizer"] = {"type": "NFC"}
    return ChatFormat(json.dumps(base), None, {"eos_token": "<|im_end|>"})


def test_a_normaliser_that_joins_marks_to_letters_shifts_nothing_behind_them() -> None:
    text = "cafe\u0301, nai\u0308ve \U0001f642 and wrong"
    _, offsets = tokens_of(_renderer(composing_tokenizer()), text)
    assert [text[start:end] for start, end in offsets[-6:-1]] == list("wrong")
    start = text.index("wrong")
    assert np.flatnonzero(judged(offsets, [(start, start + 5)], []) == BAD).tolist() == list(
        range(len(offsets) - 6, len(offsets) - 1)
    )
    # Letter and mark have become one character of two bytes, each a token: both are bad if either is.
    for place in (3, 4):
        assert np.flatnonzero(judged(offsets, [(place, place + 1)], []) == BAD).tolist() == [3, 4]
    assert all(unseen(offsets, [(place, place + 1)]) == 0 for place in range(len(text)))


def test_what_overlaps_an_ignore_span_is_left_out_even_if_it_is_bad() -> None:
    offsets = np.array([[0, 2], [2, 5], [5, 6], [6, 9], [9, 9]])
    assert judged(offsets, [(4, 6)], []).tolist() == [GOOD, BAD, BAD, GOOD, LEFT_OUT]
    assert judged(offsets, [(4, 6)], [(5, 7)]).tolist() == [GOOD, BAD, LEFT_OUT, LEFT_OUT, LEFT_OUT]
    assert judged(offsets, [], []).tolist() == [GOOD, GOOD, GOOD, GOOD, LEFT_OUT]


def test_spans_are_half_open() -> None:
    offsets = np.array([[0, 3], [3, 6]])
    assert judged(offsets, [(0, 3)], []).tolist() == [BAD, GOOD]
    assert judged(offsets, [(3, 4)], []).tolist() == [GOOD, BAD]
    assert judged(offsets, [(2, 4)], []).tolist() == [BAD, BAD]


def test_a_token_without_characters_inside_a_bad_span_is_left_out_and_a_span_without_tokens_is_counted() -> None:
    offsets = np.array([[0, 3], [3, 3], [5, 6]])
    assert judged(offsets, [(0, 6)], []).tolist() == [BAD, LEFT_OUT, BAD]
    assert unseen(offsets, [(3, 5), (0, 1)]) == 1
