"""The sections of a whole run's report that stand before the training's: stages, scores, samples, labeled pairs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenreward.html.document import text
from tokenreward.show.heat_map import legend
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import Scale
from tokenreward.templates.transcript import in_words
from tokenreward_trainer.prompts.grouping import group_of
from tokenreward_trainer.report.heat import map_row

_DROPPED = {
    "too_few": "no pair: fewer than two different responses",
    "all_equal": "no pair: all scores are equal",
    "tied": "no pair: a tie",
    "length_ratio": "no pair: lengths too different",
}


def stages(folders: Mapping[str, Path]) -> str:
    """Lists the stages of a run by their folders: their time, and what came of them."""
    rows = []
    for name, folder in folders.items():
        record = json.loads((folder / "stage.json").read_bytes())
        rows.append((name, f"{record['seconds']:.0f} s", record["summary"]))
    return _table(("stage", "time", "what came of it"), rows)


def scores(sampled: Sequence[Mapping[str, Any]], scored: Sequence[Mapping[str, Any]]) -> str:
    """Draws mean scores, by family and level where the prompts have them.

    Args:
        sampled: The prompts with their responses.
        scored: The same groups with their scores, in the same order.
    """
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for prompt, group in zip(sampled, scored, strict=True):
        name = group_of(prompt) or "all"
        paired = "chosen" in group
        groups[name] += [(r["score"], paired) for r in group["responses"] if r["score"] is not None]
    rows = [
        (name, str(len(found)), f"{sum(score for score, _ in found) / len(found):.2f}", _share(found))
        for name, found in sorted(groups.items())
        if found
    ]
    return "<h2>Scores</h2>" + _table(("prompts", "different responses", "mean score", "in groups with a pair"), rows)


def rounds(scored: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Draws mean scores by round: how good the policy was that each round sampled from.

    Args:
        scored: Of each round, the groups with their scores. One round alone is drawn by `scores`.
    """
    if len(scored) == 1:
        return ""
    rows = []
    for number, groups in enumerate(scored, 1):
        found = [r["score"] for group in groups for r in group["responses"] if r["score"] is not None]
        mean = f"{sum(found) / len(found):.3f}" if found else "-"
        rows.append((str(number), str(len(found)), mean, str(sum("chosen" in group for group in groups))))
    return "<h2>Rounds</h2>" + _table(("round", "different responses", "mean score", "pairs"), rows)


def _share(found: Sequence[tuple[float, bool]]) -> str:
    return f"{sum(paired for _, paired in found) / len(found):.0%}"


def samples(scored: Sequence[Mapping[str, Any]]) -> str:
    """Draws groups of responses with their scores, and which of them became a pair."""
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
    why = f"<p class='quiet'>{text(_DROPPED[group['dropped']])}</p>" if "dropped" in group else ""
    return (
        f"<article><h3>{text(str(group['id']))}</h3><pre>{text(_prompt(group['prompt']))}</pre>"
        f"{_table(('score', '', 'length', 'response'), rows)}{why}</article>"
    )


def pairs(rows: Sequence[ShownRow]) -> str:
    """Draws labeled pairs as heat maps."""
    if not rows:
        return ""
    scale = Scale.fixed(value for row in rows for response in row.responses for value in response.rewards)
    explanation = f"<p>What the trainer learns from: the labels of pairs.</p>{legend(scale)}"
    maps = [
        f"<article><h3>{text(row.name)}</h3><details><summary>prompt</summary><pre>{text(row.prompt)}</pre></details>"
        f"<div class='sides'>{''.join(_side(response, scale) for response in row.responses)}</div></article>"
        for row in rows
    ]
    return "\n".join(["<h2>Pairs and their labels</h2>", explanation, *maps])


def _side(response: Shown, scale: Scale) -> str:
    if response.error is not None:
        return f"<section><h4>{text(response.side)}</h4><p>{text(response.error)}</p></section>"
    head = f"sum {response.total:+.2f}, mean {response.mean:+.3f}"
    drawn = map_row(head, response.cells, scale)
    return f"<section><h4>{text(response.side)}</h4>{drawn}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{text(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _prompt(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(f"{m['role']}: {in_words(m)}" for m in prompt)
