"""Prompt sets made by rule, with seeds: free to use, the same everywhere, and with answers that can be checked.

A family makes one prompt of a level from a random generator; `FAMILIES` maps names to families. A row is
`{"id", "prompt", "family", "level", "check"}`; `check` is what the scorer `verify` reads.
"""

from __future__ import annotations

from tokenreward_trainer.prompts.base import Family
from tokenreward_trainer.prompts.sets import FAMILIES, Part, parts_of, prompt_rows, write_prompts

__all__ = ["FAMILIES", "Family", "Part", "parts_of", "prompt_rows", "write_prompts"]
