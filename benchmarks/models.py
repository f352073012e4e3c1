"""Which architectures and chat templates are read rightly, which are refused, and whether one is wrong.

    python benchmarks/models.py [--only architectures,vllm,templates] [--markdown FILE]     (`make models`)

Every architecture is a tiny model with random weights, scored by an engine and compared with a plain float32 pass of
transformers over each whole sequence. Every chat template is read by worker and trainer, and compared with
transformers' rendering of the whole conversation. `benchmarks/model_zoo` has what is tried. Prints the tables of
docs/models.md, writes build/models.json, and exits with 1 if one is wrong or fewer are right than there have to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from benchmarks._report import table, write
from benchmarks.model_zoo import markdown
from benchmarks.model_zoo.architectures import ARCHITECTURES
from benchmarks.model_zoo.engine_judge import Judged, judge
from benchmarks.model_zoo.families import FAMILIES

if TYPE_CHECKING:
    from benchmarks.model_zoo.chat_judge import FamilyJudged

#: How many have to be right.
FLOORS = {"architectures_right": 40, "architectures_right_vllm": 8, "templates_right": 25}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [part for part in _PARTS if part != "vllm" or importlib.util.find_spec("vllm")]
    parser.add_argument("--only", default=",".join(every), help="the parts to run, with commas between them")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    options = parser.parse_args(argv)
    parts = options.only.split(",")
    if unknown := set(parts) - set(_PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")

    started = time.monotonic()
    # Two threads wait for each other longer than a tiny model computes, and two processes must not share a core.
    os.environ |= {"OMP_NUM_THREADS": "1", "KMP_AFFINITY": "disabled"}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = [_PARTS[part](pool) for part in parts]
    figures = {name: value for part in done for name, value in part.figures.items()}
    figures |= {"wrong": sum(part.wrong for part in done), "seconds": round(time.monotonic() - started, 1)}
    tables = "\n\n".join(part.markdown for part in done)
    print(tables)
    if options.markdown:
        options.markdown.write_text(tables + "\n", "utf-8")
    broken = [
        f"{figures[name]} {name}, not {least}" for name, least in FLOORS.items() if figures.get(name, least) < least
    ]
    broken += [f"{figures['wrong']} wrong"] if figures["wrong"] else []
    table("models", [*figures.items(), ("holds", "no: " + "; ".join(broken) if broken else "yes")])
    print(write("models", figures))
    return 1 if broken else 0


class Judgement(Protocol):
    """What came of one architecture or template: "right", "refused" or "wrong"."""

    @property
    def name(self) -> str: ...
    @property
    def verdict(self) -> str: ...


T = TypeVar("T", bound=Judgement)


@dataclass(frozen=True)
class Part:
    """What came of one part: its figures, how many are wrong, and its tables."""

    figures: dict[str, int]
    wrong: int
    markdown: str


def templates(pool: Executor) -> Part:
    judged = told(pool.map(judge_family, [family.name for family in FAMILIES]))
    return Part(*counted("templates", judged), markdown.templates(judged))


def architectures(pool: Executor) -> Part:
    names = [one.name for one in ARCHITECTURES]
    judged = told(pool.map(partial(judge, "transformers"), names))
    return Part(*counted("architectures", model_types(judged)), markdown.architectures("transformers", judged))


def in_vllm(pool: Executor) -> Part:
    names = [one.name for one in ARCHITECTURES if one.vllm]
    judged = told(pool.map(partial(judge, "vllm"), names))
    return Part(*counted("architectures", model_types(judged), "_vllm"), markdown.architectures("vllm", judged))


_PARTS = {"templates": templates, "architectures": architectures, "vllm": in_vllm}


def judge_family(name: str) -> FamilyJudged:
    """Judge a chat template; what that needs is imported where it is done."""
    from benchmarks.model_zoo import chat_judge

    return chat_judge.judge(next(family for family in FAMILIES if family.name == name))


def told(judged: Iterable[T]) -> list[T]:
    """All of them; a line tells of each as it is done."""
    done = []
    for one in judged:
        print(f"{one.name}: {one.verdict}", file=sys.stderr, flush=True)
        done.append(one)
    return done


def model_types(judged: Sequence[Judged]) -> list[Judged]:
    """The results that count: one for each type of model, and every one that is wrong."""
    return [one for one in judged if "," not in one.name or one.verdict == "wrong"]


def counted(name: str, judged: Sequence[Judgement], suffix: str = "") -> tuple[dict[str, int], int]:
    """The figures of one part, and how many are wrong."""
    verdicts = [one.verdict for one in judged]
    return {f"{name}_{one}{suffix}": verdicts.count(one) for one in ("right", "refused")}, verdicts.count("wrong")


if __name__ == "__main__":
    raise SystemExit(main())
