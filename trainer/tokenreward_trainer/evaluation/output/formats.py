"""The answers, without thoughts, as AlpacaEval and Arena-Hard read them, so that their own tools run on them.

OUT/alpaca_eval/NAME.json                               `alpaca_eval --model_outputs ... --reference_outputs ...`
OUT/arena-hard/model_answer/NAME.jsonl                  data/arena-hard-v2.0/model_answer/ of arena-hard-auto
OUT/arena-hard-v0.1/model_answer/NAME.jsonl             the same of its first version
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.jsonl import json_line
from tokenreward.templates.transcript import in_words
from tokenreward_trainer.evaluation.answers import Answer, Answers
from tokenreward_trainer.resumable.hashes import digest
from tokenreward_trainer.scorers.base import Prompt, messages_of

#: Names that their question files have for a prompt's identity.
_IDS = ("uid", "question_id", "id")
_CODE = re.compile(r"```([^`]*)```")


def write_formats(answers: Sequence[Answers], out: Path, dataset: str) -> None:
    """Writes the first answer to every prompt in all formats.

    Args:
        answers: The answers of each checkpoint.
        out: The evaluation's directory.
        dataset: What AlpacaEval's rows say where a prompt has no such column.
    """
    folders = [out / "alpaca_eval", out / "arena-hard" / "model_answer", out / "arena-hard-v0.1" / "model_answer"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    alpaca, arena, first_arena = folders
    for one in answers:
        rows = list(zip(one.rows, (_without_thought(given[0]) for given in one.given), strict=True))
        with replace(alpaca / f"{one.name}.json") as file:
            outputs = [alpaca_row(row, answer, one.name, dataset) for row, answer in rows]
            file.write(json.dumps(outputs, indent=1, ensure_ascii=False).encode())
        # When it was answered, so that a rerun writes the same file.
        moment = one.path.stat().st_mtime
        for folder, made in ((arena, arena_row), (first_arena, first_arena_row)):
            with replace(folder / f"{one.name}.jsonl") as file:
                file.writelines(json_line(made(row, answer, one.name, moment)) for row, answer in rows)


def text_of(prompt: Prompt) -> str:
    """Returns a prompt as one text: that of a single user message, or a transcript."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return in_words(prompt[0])
    return "\n\n".join(f"{message['role']}: {in_words(message)}" for message in prompt)


def alpaca_row(row: Mapping[str, Any], answer: Answer, name: str, dataset: str) -> dict[str, Any]:
    """Returns an answer as AlpacaEval's model outputs have it."""
    return {
        "instruction": row.get("instruction") or text_of(row["prompt"]),
        "output": answer.text,
        "generator": name,
        "dataset": row.get("dataset") or dataset,
    }


def arena_row(row: Mapping[str, Any], answer: Answer, name: str, moment: float) -> dict[str, Any]:
    """Returns an answer as arena-hard-auto 2's gen_answer.py writes it: the answer's content is an object."""
    uid = _id(row)
    return {
        "uid": uid,
        "ans_id": _answer_id(name, uid, answer),
        "model": name,
        "messages": [*messages_of(row["prompt"]), {"role": "assistant", "content": {"answer": answer.text}}],
        "tstamp": moment,
        "metadata": _style(answer),
    }


def first_arena_row(row: Mapping[str, Any], answer: Answer, name: str, moment: float) -> dict[str, Any]:
    """Returns an answer as arena-hard-auto's first version, v0.1, wrote it."""
    uid = _id(row)
    return {
        "question_id": uid,
        "answer_id": _answer_id(name, uid, answer),
        "model_id": name,
        "choices": [{"index": 0, "turns": [{"content": answer.text, "token_len": answer.tokens}]}],
        "tstamp": moment,
        "conv_metadata": _style(answer),
    }


def _without_thought(answer: Answer) -> Answer:
    return dataclasses.replace(answer, text=answer.without_thought, begun="")


def _id(row: Mapping[str, Any]) -> str:
    found = next((row[name] for name in _IDS if row.get(name) is not None), None)
    return digest({"prompt": row["prompt"]})[:32] if found is None else str(found)


def _answer_id(name: str, uid: str, answer: Answer) -> str:
    return digest({"model": name, "uid": uid, "answer": answer.text})[:22]


def _style(answer: Answer) -> dict[str, Any]:
    """What Arena-Hard's style control reads. Code is no markdown; tokens are the checkpoint's own, not GPT-4o's."""
    text = _CODE.sub("``````", answer.text)

    def count(pattern: str) -> int:
        return len(re.findall(pattern, text, re.MULTILINE))

    return {
        "token_len": answer.tokens,
        "header_count": {f"h{level}": count(rf"^#{{{level}}}\s") for level in range(1, 7)},
        "list_count": {"ordered": count(r"^\s*\d+\.\s"), "unordered": count(r"^\s*[-*+]\s")},
        "bold_count": {"**": count(r"\*\*[^*\n]+\*\*"), "__": count(r"__[^_\n]+__")},
    }
