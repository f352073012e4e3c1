"""The page at the end of a run: what was sampled, which pairs came of it, their labels, and what training made of them.

One HTML file that loads nothing and runs nothing, in the clothes of the training report.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tokenreward.html.escaping import visible
from tokenreward.show.rows import Shown, ShownRow, shown_rows
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput
from tokenreward_trainer.ranking.rank_file import scores_path
from tokenreward_trainer.report import document, title_of, training_sections
from tokenreward_trainer.report.heat import map_row, percentile
from tokenreward_trainer.resumable.segments import read_rows
from tokenreward_trainer.training.run_record import RunRecord, ShownPair, ShownResponse

_DROPPED = {
    "too_few": "no pair: fewer than two different responses",
    "all_equal": "no pair: all scores are equal",
    "tied": "no pair: a tie",
    "length_ratio": "no pair: lengths too different",
}


def write_page(work: StageInput) -> StageOutput:
    options = work.recipe.report
    sampled = read_rows(work.inputs["sample"] / "samples.jsonl")
    scored = read_rows(scores_path(work.inputs["rank"] / "pairs.jsonl"))
    records = [read_record(work.inputs[n] / "model" / "run.json") for n in ("baseline", "train") if n in work.inputs]
    labeled = work.inputs["label"] / "labeled.jsonl"
    pairs = shown_rows(labeled, 0, options.pairs, _nobody) if options.pairs else []
    page = document(
        f"From prompts to {title_of(records)}",
        [
            _stages(work),
            _scores(sampled, scored),
            _samples(scored[: options.samples]),
            _pairs(pairs),
            *training_sections(records),
        ],
    )
    (work.folder / "report.html").write_text(page, "utf-8")
    return StageOutput(["report.html"], f"{min(len(scored), options.samples)} groups and {len(pairs)} pairs shown")


def read_record(path: Path) -> RunRecord:
    """What a training run left."""
    content = json.loads(path.read_bytes())
    examples = [
        ShownPair(pair["id"], pair["prompt"], [ShownResponse(**response) for response in pair["responses"]])
        for pair in content.pop("examples")
    ]
    return RunRecord(**content, examples=examples)


def _nobody(items: list[dict[str, Any]]) -> Sequence[Any]:
    raise AssertionError("the label stage keeps the tokens' texts, so no service is asked")


def _stages(work: StageInput) -> str:
    rows = []
    for name, folder in work.inputs.items():
        record = json.loads((folder / "stage.json").read_bytes())
        rows.append((name, f"{record['seconds']:.0f} s", record["summary"]))
    return _table(("stage", "time", "what came of it"), rows)


def _scores(sampled: Sequence[Mapping[str, Any]], scored: Sequence[Mapping[str, Any]]) -> str:
    """Mean scores, by family and level where the prompts have them."""
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for prompt, group in zip(sampled, scored, strict=True):
        name = f"{prompt['family']}, level {prompt['level']}" if "family" in prompt else "all"
        paired = "chosen" in group
        groups[name] += [(r["score"], paired) for r in group["responses"] if r["score"] is not None]
    rows = [
        (name, str(len(found)), f"{sum(score for score, _ in found) / len(found):.2f}", _share(found))
        for name, found in sorted(groups.items())
        if found
    ]
    return "<h2>Scores</h2>" + _table(("prompts", "different responses", "mean score", "in groups with a pair"), rows)


def _share(found: Sequence[tuple[float, bool]]) -> str:
    return f"{sum(paired for _, paired in found) / len(found):.0%}"


def _samples(scored: Sequence[Mapping[str, Any]]) -> str:
    if not scored:
        return ""
    return "<h2>Samples</h2>\n" + "\n".join(map(_group, scored))


def _group(group: Mapping[str, Any]) -> str:
    places = {group["chosen"]: "chosen", group["rejected"]: "rejected"} if "chosen" in group else {}
    rows = [
        (
            "-" if response["score"] is None else f"{response['score']:.3g}",
            places.get(number, ""),
            f"{response['tokens']} tokens" + ("" if response["finished"] else ", cut off"),
            response["text"],
        )
        for number, response in enumerate(group["responses"])
    ]
    why = f"<p class='quiet'>{escape(_DROPPED[group['dropped']])}</p>" if "dropped" in group else ""
    return (
        f"<article><h3>{_text(group['id'])}</h3><pre>{_text(_prompt(group['prompt']))}</pre>"
        f"{_table(('score', '', 'length', 'response'), rows)}{why}</article>"
    )


def _pairs(rows: Sequence[ShownRow]) -> str:
    if not rows:
        return ""
    scale = percentile(value for row in rows for response in row.responses for value in response.rewards)
    explanation = (
        "<p>What the trainer learns from: the labels of pairs. Blue: a good token; red and underlined: a bad one; "
        f"point at a token for its value. Full colour stands for &plusmn;{scale:.2g}.</p>"
    )
    maps = [
        f"<article><h3>{_text(row.name)}</h3><details><summary>prompt</summary><pre>{_text(row.prompt)}</pre></details>"
        f"<div class='sides'>{''.join(_side(response, scale) for response in row.responses)}</div></article>"
        for row in rows
    ]
    return "\n".join(["<h2>Pairs and their labels</h2>", explanation, *maps])


def _side(response: Shown, scale: float) -> str:
    if response.error is not None:
        return f"<section><h4>{_text(response.side)}</h4><p>{_text(response.error)}</p></section>"
    texts = [visible(cell.text) for cell in response.cells]
    head = f"sum {response.total:+.2f}, mean {response.mean:+.3f}"
    drawn = map_row(head, texts, [cell.reward for cell in response.cells], scale)
    return f"<section><h4>{_text(response.side)}</h4>{drawn}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{_text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _prompt(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(f"{m['role']}: {m['content']}" for m in prompt)


def _text(value: Any) -> str:
    return escape(visible(str(value)), quote=True)
