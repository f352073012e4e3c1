"""Heat maps of held-out responses: the labels, and what each run learned (T-REG, arXiv 2412.02685, fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tokenreward_trainer.training.run_record import RunRecord, ShownPair


def heat_maps(records: Sequence[RunRecord]) -> str:
    """Returns the held-out pairs as HTML: labels and learned token rewards, one heat map below the other."""
    pairs = records[-1].examples
    if not pairs:
        return "<p class='quiet'>No held-out pairs: set data.eval or data.eval_share to see token rewards here.</p>"
    scales = _Scales(records)
    explanation = (
        "<p>Blue: a good token; red and underlined: a bad one; point at a token for its value. The other rows "
        "beside the labels are what each run learned, &beta; log &pi;/&pi;<sub>ref</sub>. "
        f"{_before(records)} {scales.legend()}{_marks(pairs)}</p>"
    )
    maps = [_pair(records, number, scales) for number in range(len(pairs))]
    return "\n".join(["<h2>Token rewards of held-out responses</h2>", explanation, *maps])


class _Scales:
    """The values with full colour: the 95th percentile of the labels' sizes, and that of all learned rewards' sizes."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        responses = [r for record in records for pair in record.examples for r in pair.responses]
        self.labels = percentile(value for r in responses for value in (r.labels or ()))
        self.learned = percentile(value for r in responses for value in (*r.learned_before, *r.learned_after))

    def legend(self) -> str:
        labels = f"&plusmn;{self.labels:.2g} for labels and " if self.labels else ""
        return f"Full colour stands for {labels}&plusmn;{self.learned:.2g} for learned rewards."


def _before(records: Sequence[RunRecord]) -> str:
    values = [v for record in records for pair in record.examples for r in pair.responses for v in r.learned_before]
    if max(map(abs, values), default=0.0) < 1e-4:
        return "Before training every learned reward is zero, because the policy is its own reference."
    return ""


def _marks(pairs: Sequence[ShownPair]) -> str:
    if any(response.marked and any(response.marked) for pair in pairs for response in pair.responses):
        return " A dashed frame: what people marked as wrong."
    return ""


def _pair(records: Sequence[RunRecord], number: int, scales: _Scales) -> str:
    pair: ShownPair = records[-1].examples[number]
    sides = []
    for index, response in enumerate(pair.responses):
        rows = []
        if response.labels is not None:
            rows.append(map_row("labels", response.tokens, response.labels, scales.labels, response.marked))
        for record in records:
            shown = record.examples[number].responses[index]
            if max(map(abs, shown.learned_before), default=0.0) >= 1e-4:
                rows.append(map_row(f"{record.name}, before", shown.tokens, shown.learned_before, scales.learned))
            rows.append(map_row(record.name, shown.tokens, shown.learned_after, scales.learned, shown.marked))
        sides.append(f"<section><h4>{response.side}</h4>{''.join(rows)}</section>")
    return (
        f"<article><h3>{escape(pair.id)}</h3><details><summary>prompt</summary><pre>{escape(pair.prompt)}</pre></details>"
        f"<div class='sides'>{''.join(sides)}</div></article>"
    )


def map_row(
    name: str, tokens: Sequence[str], values: Sequence[float], scale: float, marked: Sequence[bool] | None = None
) -> str:
    """Returns one heat map as HTML.

    Args:
        name: What the values are, for people.
        tokens: The text of each token.
        values: One a token.
        scale: The size of a value with full colour.
        marked: Whether a person marked the token as wrong; None where nobody looked.
    """
    marks = [False] * len(tokens) if marked is None else marked
    cells = "".join(_cell(*each, scale) for each in zip(tokens, values, marks, strict=True))
    return f"<div class='map'><span class='name'>{escape(name)}</span><div class='text' dir='auto'>{cells}</div></div>"


def _cell(token: str, value: float, marked: bool, scale: float) -> str:
    strength = min(1.0, abs(value) / scale) if scale else 0.0
    kind = ("good" if value >= 0 else "bad") + (" marked" if marked else "")
    visible = token.replace("\n", "↵\n") if token.strip("\n") == "" else token
    title = f"{value:+.4f}{', marked as wrong' if marked else ''}"
    return f"<span class='{kind}' style='--s:{strength:.2f}' title='{title}'>{escape(visible)}</span>"


def percentile(values: Iterable[float]) -> float:
    """Returns the 95th percentile of the values' sizes, so that one outlier does not wash out the rest."""
    sizes = sorted(abs(value) for value in values)
    return sizes[int(0.95 * (len(sizes) - 1))] if sizes else 0.0
