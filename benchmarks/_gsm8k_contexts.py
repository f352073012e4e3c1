"""GSM8K responses with one replaced number, and what other students wrote to the same prompts as their context.

The right and the wrong solution are other students'. Neither is the scored response, nor the solution that it was made
from by replacing a number: a model that is shown (nearly) the response copies it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: The set's name.
NAME = "gsm8k_with_solutions"
#: How many other prompts a response gets as unrelated ones: as many as the estimator reads.
_UNRELATED = 3


def rows(injected: Sequence[dict[str, Any]], solutions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose prompt other students solved, rightly and wrongly, with the column `context`.

    Args:
        injected: Rows with `prompt`, `response`, `bad_spans` and `original`, the solution before a number was replaced.
        solutions: Rows with `prompt`, `chosen` (right) and `rejected` (wrong).
    """
    prompts = [row["prompt"] for row in injected]
    found = []
    for number, row in enumerate(injected):
        own = {row["response"].strip(), row["original"].strip()}
        same = [other for other in solutions if other["prompt"].strip() == row["prompt"].strip()]
        right, wrong = (_others(same, side, own) for side in ("chosen", "rejected"))
        if right and wrong:
            context = {
                "right": right[0],
                "wrong": wrong,
                "reference": right[0],
                "unrelated": _following(prompts, number),
                "feedback": _feedback(right[0]),
                "outcome": "wrong" if row["bad_spans"] else "right",
                "revised": row["original"],
            }
            found.append(row | {"context": context})
    return found


def write_set(data: Path, folder: Path) -> Path | None:
    """Write the set as a file that `tokenreward audit` reads.

    Args:
        data: The folder with the development data.
        folder: Where to write.

    Returns:
        The file; None if the data are not there.
    """
    sources = [data / "spans_gsm8k_injected.jsonl", data / "pairs_gsm8k_solutions.jsonl"]
    if not all(source.is_file() for source in sources):
        return None
    injected, solutions = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in sources)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(injected, solutions)), "utf-8")
    return path


def _feedback(right: str) -> str:
    """Return what a program would say that knows the final answer and no more."""
    return f"The solution has a mistake. Its last line should be: {right.strip().splitlines()[-1]}"


def _following(prompts: Sequence[str], number: int) -> list[str]:
    """Return the next other prompts behind this one, going round at the end."""
    later = [*prompts[number + 1 :], *prompts[:number]]
    return [prompt for prompt in dict.fromkeys(later) if prompt != prompts[number]][:_UNRELATED]


def _others(same: Sequence[dict[str, Any]], side: str, own: set[str]) -> list[str]:
    """Return one side's solutions, each once, without the response's own texts."""
    return list(dict.fromkeys(other[side] for other in same if other[side].strip() not in own))
