"""OUT/report.html: the tables, and what the checkpoints said to some of the prompts, side by side.

It is one HTML file that loads nothing and runs nothing, and it looks like the training report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.html.document import text
from tokenreward.templates.transcript import in_words
from tokenreward_trainer.evaluation.answers import Answer, Answers
from tokenreward_trainer.evaluation.output.table import Grid, grids, notes
from tokenreward_trainer.evaluation.result import Evaluation, Judged
from tokenreward_trainer.evaluation.scores import Scores
from tokenreward_trainer.report.page import page_of


def write_page(
    path: Path, evaluation: Evaluation, answers: Sequence[Answers], scores: Mapping[str, Scores], examples: int
) -> None:
    """Writes the page.

    Args:
        path: The HTML file.
        evaluation: What was found.
        answers: The answers of each checkpoint.
        scores: Their scores, by checkpoint; empty without a scorer.
        examples: Prompts that are shown with all answers.
    """
    title = f"Evaluation: {' beside '.join(evaluation.models)}"
    sections = [_origin(evaluation), *map(_grid, grids(evaluation)), _notes(evaluation)]
    page = page_of(title, [*sections, _side_by_side(answers, scores, evaluation.judged, examples)])
    with replace(path) as file:
        file.write(page.encode())


def shown_places(count: int, examples: int) -> list[int]:
    """Returns places spread evenly over the file, so that nobody has picked them."""
    shown = min(count, examples)
    return [number * count // shown for number in range(shown)]


def _origin(evaluation: Evaluation) -> str:
    how = "greedy" if evaluation.settings["temperature"] == 0 else f"temperature {evaluation.settings['temperature']}"
    scorer = evaluation.scorer["scorer"] if evaluation.scorer else "none"
    said = (
        f"Prompts: {evaluation.prompts}. Answers: {evaluation.n} a prompt, {how}, at most "
        f"{evaluation.settings['max_tokens']} tokens. Scorer: {scorer}."
    )
    return f"<p>{text(said)}</p>"


def _grid(grid: Grid) -> str:
    head = "".join(f"<th scope='col'>{text(name)}</th>" for name in grid.head)
    body = "".join(
        f"<tr><th scope='row'>{text(first)}</th>{''.join(f'<td>{text(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in grid.rows
    )
    return f"<h2>{text(grid.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _notes(evaluation: Evaluation) -> str:
    return "".join(f"<p class='quiet'>{text(note)}</p>" for note in notes(evaluation))


def _side_by_side(
    answers: Sequence[Answers], scores: Mapping[str, Scores], judged: Judged | None, examples: int
) -> str:
    rows = answers[0].rows
    places = shown_places(len(rows), examples)
    if not places:
        return ""
    articles = [_article(place, rows[place], answers, scores, judged) for place in places]
    count = f"{len(places)} of {len(rows)} prompts, evenly spread over the file; the first answer to each."
    return "\n".join(["<h2>Answers side by side</h2>", f"<p class='quiet'>{count}</p>", *articles])


def _article(
    place: int,
    row: Mapping[str, Any],
    answers: Sequence[Answers],
    scores: Mapping[str, Scores],
    judged: Judged | None,
) -> str:
    sides = [
        _side(
            one.name,
            one.given[place][0],
            scores[one.name][place][0] if one.name in scores else None,
            None if judged is None or one.name not in judged.preferences else judged.preferences[one.name][place],
        )
        for one in answers
    ]
    name = row.get("id", f"row {place}")
    return (
        f"<article><h3>{text(str(name))}</h3><pre>{text(_prompt(row['prompt']))}</pre>"
        f"<div class='sides'>{''.join(sides)}</div></article>"
    )


def _side(name: str, answer: Answer, score: float | None, preference: float | None) -> str:
    facts = [f"score {score:.3g}"] if score is not None else []
    facts += [f"preferred by {preference:.3g}"] if preference is not None else []
    facts += [f"{answer.tokens} tokens" + ("" if answer.finished else ", cut off")]
    return (
        f"<section><h4>{text(name)}</h4><p class='quiet'>{text(', '.join(facts))}</p>"
        f"<div class='text' dir='auto'>{text(answer.text)}</div></section>"
    )


def _prompt(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(f"{m['role']}: {in_words(m)}" for m in prompt)
