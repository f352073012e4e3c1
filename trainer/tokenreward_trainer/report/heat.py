"""Heat maps of held-out responses: the labels, and what each run learned (T-REG, arXiv 2412.02685, fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import accumulate

from tokenreward.html.document import text
from tokenreward.show.cells import Cell
from tokenreward.show.heat_map import heat, own_scale, scale_switch
from tokenreward.show.marked_cells import marked
from tokenreward.show.scale import Scale
from tokenreward_trainer.training.run_record import RunRecord, ShownPair, ShownResponse


def heat_maps(records: Sequence[RunRecord]) -> str:
    """Returns the held-out pairs as HTML: labels and learned token rewards, one heat map below the other."""
    pairs = records[-1].examples
    if not pairs:
        return "<p class='quiet'>No held-out pairs: set data.eval or data.eval_share to see token rewards here.</p>"
    scales = _Scales(records)
    explanation = (
        "<p>Blue with a solid underline: a good token. Red with a dotted one: a bad token. Point at a token for its "
        "value. The rows below the labels are what each run learned, &beta; log &pi;/&pi;<sub>ref</sub>. "
        f"{_before(records)} {scales.legend()}{_marks(pairs)}</p>{scale_switch()}"
    )
    maps = [_pair(records, number, scales) for number in range(len(pairs))]
    return "\n".join(["<h2>Token rewards of held-out responses</h2>", explanation, *maps])


class _Scales:
    """The fixed scale of the labels, and one for learned rewards, which have no bound: 95% of them lie within it."""

    def __init__(self, records: Sequence[RunRecord]) -> None:
        responses = [r for record in records for pair in record.examples for r in pair.responses]
        self.labels = Scale.fixed(value for r in responses for value in (r.labels or ()))
        self.learned = Scale.of(value for r in responses for value in (*r.learned_before, *r.learned_after))

    def legend(self) -> str:
        return (
            f"Full colour stands for &plusmn;{self.labels.end:.2g} for labels and &plusmn;{self.learned.end:.2g} for"
            " learned rewards."
        )


def _before(records: Sequence[RunRecord]) -> str:
    values = [v for record in records for pair in record.examples for r in pair.responses for v in r.learned_before]
    if max(map(abs, values), default=0.0) < 1e-4:
        return "Before training every learned reward is zero, because the policy is its own reference."
    return ""


def _marks(pairs: Sequence[ShownPair]) -> str:
    if any(response.marked and any(response.marked) for pair in pairs for response in pair.responses):
        return " A frame: what people marked as wrong."
    return ""


def _pair(records: Sequence[RunRecord], number: int, scales: _Scales) -> str:
    pair: ShownPair = records[-1].examples[number]
    sides = []
    for index, response in enumerate(pair.responses):
        rows = []
        if response.labels is not None:
            cells = _token_cells(response.tokens, response.labels)
            rows.append(map_row("labels", cells, scales.labels, _spans(response)))
        for record in records:
            shown = record.examples[number].responses[index]
            if max(map(abs, shown.learned_before), default=0.0) >= 1e-4:
                rows.append(
                    map_row(f"{record.name}, before", _token_cells(shown.tokens, shown.learned_before), scales.learned)
                )
            cells = _token_cells(shown.tokens, shown.learned_after)
            rows.append(map_row(record.name, cells, scales.learned, _spans(shown)))
        sides.append(f"<section><h4>{response.side}</h4>{''.join(rows)}</section>")
    return (
        f"<article><h3>{escape(pair.id)}</h3><details><summary>prompt</summary><pre>{escape(pair.prompt)}</pre></details>"
        f"<div class='sides'>{''.join(sides)}</div></article>"
    )


def map_row(name: str, cells: Sequence[Cell], scale: Scale, wrong: Sequence[Sequence[int]] = ()) -> str:
    """Returns one heat map as HTML.

    Args:
        name: What the values are, for people.
        cells: What is drawn, with the values.
        scale: How strong a value looks on the fixed scale.
        wrong: Characters [start, end) of the cells' text that people marked as wrong.
    """
    own = Scale.of(value for cell in cells for value in cell.rewards)
    head = f"<span class='name'>{text(name)}{own_scale(own)}</span>"
    drawn = "".join(heat(cells, scale, own, wrong))
    return f"<div class='map'>{head}<div class='heat' dir='auto'>{drawn}</div></div>"


def _spans(response: ShownResponse) -> list[tuple[int, int]]:
    """Where the marked tokens stand in the text of all tokens."""
    ends = list(accumulate(map(len, response.tokens)))
    places = zip([0, *ends], ends, response.marked or [False] * len(ends), strict=False)
    return [(start, end) for start, end, wrong in places if wrong]


def _token_cells(tokens: Sequence[str], values: Sequence[float]) -> list[Cell]:
    return marked([Cell(token, (value,)) for token, value in zip(tokens, values, strict=True)])
