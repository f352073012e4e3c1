"""The alphabet in which byte-level BPE writes bytes."""

from __future__ import annotations

from functools import cache


@cache
def byte_level_table() -> dict[str, int]:
    """The byte of each printable character that stands for one: GPT-2's `bytes_to_unicode`, inverted."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
