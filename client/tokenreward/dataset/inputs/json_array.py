"""Files that are one JSON array of rows, read piece by piece, so that memory does not grow with them.

A file named .json may as well hold one row on each line; what it begins with tells the two apart.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import IO, Any

from tokenreward.dataset.base import Unreadable
from tokenreward.dataset.inputs.compression import readable_bytes
from tokenreward.dataset.inputs.file_kinds import opened
from tokenreward.dataset.json_values import DECODER, KeyTwice, checked_row
from tokenreward.dataset.jsonl import Numbered, numbered_lines
from tokenreward.errors import BadInput

#: Bytes that are read at a time. A row that is longer makes the next piece twice as long.
_PIECE = 1 << 16
_BLANKS = " \t\r\n"
#: Blanks, byte order marks, and what UTF-16 and UTF-32 put around a character of ASCII.
_BLANK_BYTES = b" \t\r\n\xef\xbb\xbf\xff\xfe\x00"


def json_file_rows(path: Path, name: str) -> Numbered:
    """Yield the rows of a .json file, with their places.

    Args:
        path: The file.
        name: What messages call it.

    Raises:
        BadInput: The array breaks off, has something else than commas between its rows or anything behind it, or is
            not text.
    """
    with readable_bytes(name):
        if _first_byte(path) != b"[":
            yield from numbered_lines(path, name)
            return
        with opened(path) as file:
            yield from _array(_Text(file, name), name)


def _first_byte(path: Path) -> bytes:
    """Return what a file begins with in any encoding of JSON, but for blanks; nothing if there is no more."""
    with opened(path) as file:
        while block := file.read(64):
            if found := block.lstrip(_BLANK_BYTES):
                return found[:1]
    return b""


class _Text:
    """The text of a file, of which the beginning is forgotten as it is used up."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._decoder: codecs.IncrementalDecoder | None = None
        self._piece = _PIECE
        self.text, self.at, self.ended = "", 0, False

    def more(self) -> bool:
        """Read on, and say whether there was anything."""
        block = self._file.read(self._piece)
        self.ended = not block
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(json.detect_encoding(block))("surrogatepass")
        try:
            self.text = self.text[self.at :] + self._decoder.decode(block, final=self.ended)
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{self._name}: not text in UTF-8 ({error.reason}, in the encoding {error.encoding}); save it as UTF-8"
            ) from None
        self.at, self._piece = 0, min(self._piece * 2, 1 << 26)
        return not self.ended

    def row_read(self) -> None:
        """Note that a row was complete, so that pieces may be short again."""
        self._piece = _PIECE

    def first(self) -> str:
        """Return the next character that is not blank, without taking it; nothing at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _BLANKS:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if self.ended or not self.more():
                return ""


def _array(text: _Text, name: str) -> Numbered:
    text.first()
    text.at += 1
    number = 0
    while (found := text.first()) != "]":
        if number and found != ",":
            raise BadInput(f"{name}, behind row {number - 1}: {found!r} where ',' or ']' is due; is the file whole?")
        if number:
            text.at += 1
            text.first()
        yield f"row {number}", _row(text, f"{name}, row {number}")
        number += 1
    text.at += 1
    if behind := text.first():
        raise BadInput(
            f"{name}: {behind!r} behind the array, which ends after {number} rows; give one array, or one row on each "
            "line"
        )


def _row(text: _Text, where: str) -> dict[str, Any] | Unreadable:
    while True:
        try:
            row, end = DECODER.raw_decode(text.text, text.at)
        except KeyTwice as error:
            raise BadInput(f"{where}: {error}") from None
        except RecursionError:
            raise BadInput(f"{where}: lists and objects are nested too deeply") from None
        except ValueError as error:
            if text.ended or not text.more():
                raise BadInput(f"{where}: not JSON ({error}); is the file whole?") from None
            continue
        # A number or a word at the end of what was read may go on, but then it is no row anyway.
        brackets = text.text.count("[", text.at, end) + text.text.count("{", text.at, end)
        text.at = end
        text.row_read()
        return checked_row(row, brackets, where)
