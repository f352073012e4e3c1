"""The work that engines are measured on: rendered items of random words, the same in every run."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward import templates
from tokenreward.schema import Item
from tokenreward_workers.engines.flops import body_flops, head_flops
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scoring

WORKLOADS = ("mix", "long_response", "long_prompt", "best_of_5")
_TEXT = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were her all she there would their we him been has when who will more no if out so said what up its about "
    "into than them can only other new some could time these two may then do first any my now such like our over man "
    "apple river seven number because answer every total dozen price minutes train speed left right twice half"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Work:
    """Scorings under the same branches, better and worse unless said otherwise."""

    scorings: Sequence[Scoring]

    @property
    def plain_tokens(self) -> int:
        """Tokens a plain scorer reads."""
        return sum(scoring.tokens for scoring in self.scorings)

    def save(self, path: Path) -> None:
        """As the JSONL that benchmarks/plain.py reads."""
        with path.open("w", encoding="utf-8") as file:
            for s in self.scorings:
                prompts = {name: [*s.prefix, *rest] for name, rest in s.branches.items()}
                file.write(json.dumps(prompts | {"response": list(s.response)}) + "\n")

    def plain_flops(self, config: Mapping[str, Any]) -> float:
        """Of reading every branch whole, and the LM head on every row."""
        total = 0.0
        for s in self.scorings:
            for rest in s.branches.values():
                length = len(s.prefix) + len(rest) + len(s.response)
                total += body_flops(config, range(length)) + length * head_flops(config)
        return total

    def flops(self, config: Mapping[str, Any]) -> float:
        """Of the least that has to be computed: what sequences have in common once, the LM head on response rows."""
        sequences = sorted((*s.prefix, *rest, *s.response[:-1]) for s in self.scorings for rest in s.branches.values())
        total = 0.0
        before: tuple[int, ...] = ()
        for sequence in sequences:
            shared = next((n for n, (a, b) in enumerate(zip(before, sequence, strict=False)) if a != b), None)
            if shared is None:
                shared = min(len(before), len(sequence))
            total += body_flops(config, range(shared, len(sequence)))
            before = sequence
        rows = sum(len(s.response) * len(s.branches) for s in self.scorings)
        return total + rows * head_flops(config)


def workload(name: str, renderer: Renderer, size: int, seed: int = 0) -> Work:
    """About `size` plain tokens of the workload `name`; `mix` is a third of each of the others."""
    if name == "mix":
        parts = [workload(part, renderer, size // 3, seed).scorings for part in WORKLOADS if part != "mix"]
        mixed = [scoring for part in parts for scoring in part]
        random.Random(seed).shuffle(mixed)
        return Work(mixed)
    dice = random.Random(f"{name}{seed}")
    scorings: list[Scoring] = []
    while sum(scoring.tokens for scoring in scorings) < size:
        if name == "best_of_5":
            question, template = words(dice, 150), "opposite"
            items = [Item(prompt=question, response=words(dice, 60)) for _ in range(5)]
        elif name == "long_response":
            items, template = [Item(prompt=words(dice, 40), response=words(dice, 250))], "revision"
        elif name == "long_prompt":
            items, template = [Item(prompt=words(dice, 500), response=words(dice, 30))], "revision"
        else:
            raise SystemExit(f"unknown workload {name!r}; known: {', '.join(WORKLOADS)}")
        prepared = renderer.prepare(items, templates.resolve(template), ["better", "worse"])
        scorings += [ready.scoring for ready in prepared if isinstance(ready, Prepared)]
    return Work(scorings)


def words(dice: random.Random, about: int) -> str:
    """Make a sentence of random words, a quarter more or fewer than `about`."""
    return " ".join(dice.choices(_WORDS, k=dice.randint(about * 3 // 4, about * 5 // 4))) + "."
