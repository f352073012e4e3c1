"""The last number that a text names, exactly: signs, thousands, currencies, fractions and powers as people write them.

A text is first brought into one notation (`_in_one_notation`); then `_NUMBER` finds what can be a number in it. Where
LaTeX boxes an answer, the last box alone is read. Decimal commas are not read, because a comma separates thousands.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from fractions import Fraction

#: Longer runs of digits are no number that anybody meant, and would take long to compute with.
_MOST_DIGITS = 300
#: Powers beyond these are left alone for the same reason. They are powers of numbers below 1000, or of ten.
_LARGEST_POWER, _LARGEST_BASE = 99, 999

_MINUS = "\u2212\u2013\u2012\u2010\u2011\ufe63\uff0d"
_THIN = "\u202f"
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
#: Characters that mean the same as one other.
_ALIKE = str.maketrans(
    dict.fromkeys(_MINUS, "-")
    | dict.fromkeys("\u00a0\u2009\u2007\u2008\u2005\u2006\u2004", _THIN)
    | dict.fromkeys("’＇ʼ", "'")
    | dict.fromkeys("·⋅∙✕✖", "×")
    | {"⁄": "/", "∕": "/", "，": ",", "．": ".", "＄": "$"}
)
_CODES = "USD|EUR|GBP|JPY|CNY|INR|CHF|CAD|AUD|US|Rs\\.?|HK"
_SCRIPTED = re.compile(r"(?<=\d)⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
#: LaTeX and words to the notation that `_NUMBER` reads, in this order.
_NOTATION: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\d)\{,\}(?=\d)", ","),
        (r"\\[,;:> ]|~", _THIN),
        (r"\\!", ""),
        (r"\\([$%#&])", r"\1"),
        (r"\\[dtc]?frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\[dtc]?frac\s*\{\s*-\s*([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}", r" -\1/\2"),
        (r"-\\[dtc]?frac\s*\{\s*([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}", r"-\1/\2"),
        (r"\\[dtc]?frac\s*\{\s*([\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}", r" \1/\2"),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", "×"),
        (r"\\[A-Za-z]+", " "),
        (rf"\b(?:{_CODES})\$?\s*(?=\d)", "$"),
        # A unit's power, as in cm^2.
        (r"(?<=[A-Za-z)\]}])\s*\^\s*\{?\s*[-+]?\d+\s*\}?", " "),
        # A minus with a blank behind it is a sign where nothing can be subtracted from.
        (r"([=:≈(])([ \t]*)-[ \t]+(?=[\d.$€£¥₹])", r"\1\2-"),
    )
)

_WHOLE = "|".join(
    [
        r"\d{1,3}(?:,\d{3})+(?!\d)",
        r"\d{1,2}(?:,\d{2})+,\d{3}(?!\d)",  # India's lakhs.
        *(rf"[1-9]\d{{0,2}}(?:{separator}\d{{3}})+(?!\d)" for separator in ("[ ]", _THIN, "_", "'")),
        r"\d+",
    ]
)
#: 1,234.5 and 7 and .5. A point at the end of a sentence is none of it, nor are digits of a name such as CO2 or v1.2.
_PLAIN = rf"(?<![A-Za-z\d])(?<!\d\.)(?:{_WHOLE})(?:\.\d+)?|(?<![A-Za-z\d.])\.\d+"
#: What a fraction's end is not followed by, as in a date.
_NO_MORE = r"(?!\d|\.\d|\s*/\s*\d)"
_BOTTOM = r"(?=[\d.,]*[1-9])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_NUMBER = re.compile(
    rf"""
    (?P<sign>-\*{{0,2}}(?:[$€£¥₹][ {_THIN}]?)?)?
    (?:
      (?P<mixed>(?<![A-Za-z\d./])\d{{1,3}})[ {_THIN}]+(?P<over>\d+)/(?P<under>0*[1-9]\d*){_NO_MORE}
    | (?<!/)(?P<top>{_PLAIN})\s*/\s*(?P<bottom>{_BOTTOM}){_NO_MORE}
    | (?P<mantissa>{_PLAIN})(?:[eE](?P<exponent>[-+]?\d{{1,3}})(?![A-Za-z\d])
        |\s*(?:×|[xX*])\s*10\s*\^\s*\{{?\s*(?P<scale>[-+]?\d{{1,3}})\s*\}}?)
    | (?P<base>{_PLAIN})\s*\^\s*\{{?\s*(?P<power>[-+]?\d{{1,3}})\s*\}}?
    | (?P<plain>{_PLAIN})
    )
    """,
    re.VERBOSE,
)


def last_number(text: str) -> Fraction | None:
    """Returns the last number in a text, exactly; None if there is none.

    Args:
        text: An answer without its thought. Of a text with LaTeX boxes the last box is read.
    """
    box = _last_box(text)
    found = deque(_NUMBER.finditer(_in_one_notation(text if box is None else box)), maxlen=1)
    return _value(found[0]) if found else None


def _in_one_notation(text: str) -> str:
    text = text.translate(_ALIKE)
    text = _SCRIPTED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
    text = "".join(_vulgar(character) for character in text) if not text.isascii() else text
    for pattern, replacement in _NOTATION:
        text = pattern.sub(replacement, text)
    return text


def _vulgar(character: str) -> str:
    """½ as 1/2, with a blank before it, so that 1½ is 1 1/2."""
    written = unicodedata.normalize("NFKC", character) if unicodedata.category(character) == "No" else ""
    return " " + written.replace("\u2044", "/") if "\u2044" in written else character


def _last_box(text: str) -> str | None:
    """The content of the last `\\boxed{...}` that is closed and not empty."""
    for start in reversed([found.end() for found in re.finditer(r"\\f?boxed\s*\{", text)]):
        depth = 1
        for place in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                if text[start:place].strip():
                    return text[start:place]
                break
    return None


def _value(found: re.Match[str]) -> Fraction | None:
    if sum(character.isdecimal() for character in found[0]) > _MOST_DIGITS:
        return None
    value = _unsigned(found)
    before = found.string[: found.start()][-1:]
    # The hyphen of "3-4" is no sign.
    return -value if found["sign"] and not (before.isalnum() or before in tuple(")]}")) else value


def _unsigned(found: re.Match[str]) -> Fraction:
    if found["mixed"] is not None:
        over, under = int(found["over"]), int(found["under"])
        return Fraction(over, under) + (int(found["mixed"]) if over < under else 0)
    if found["top"] is not None:
        return _plain(found["top"]) / _plain(found["bottom"])
    if found["mantissa"] is not None:
        return _plain(found["mantissa"]) * Fraction(10) ** int(found["exponent"] or found["scale"])
    if found["base"] is not None:
        base, power = _plain(found["base"]), int(found["power"])
        computable = base == 10 or (abs(power) <= _LARGEST_POWER and 0 < base <= _LARGEST_BASE)
        return base**power if computable else base
    return _plain(found["plain"])


def _plain(text: str) -> Fraction:
    """The digits of any script, thousands taken apart by anything, and a point before decimals."""
    whole, _, decimals = "".join(c for c in text if c.isdecimal() or c == ".").partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))
