"""The heat map of a response as HTML, drawn by one scale for all responses and by one that is stretched to this one.

A page shows the former until its reader chooses the latter. That needs no script: every token carries both strengths,
and the style sheet takes one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenreward.html.document import text
from tokenreward.show.cells import Cell
from tokenreward.show.scale import LEVELS, Scale


def scale_switch() -> str:
    """Return the choice between the two scales, once for a page."""
    choices = (("fixed", "Fixed scale", " checked"), ("stretched", "Stretch to each response", ""))
    radios = "".join(
        f'<label><input type="radio" name="scale" id="{name}"{on}> {words}</label>' for name, words, on in choices
    )
    return f'<fieldset class="choice" aria-label="Colour scale">{radios}</fieldset>'


def legend(scale: Scale) -> str:
    """Return the legend of the colours as HTML."""
    shades = [scale.end * level / LEVELS for level in range(-LEVELS, LEVELS + 1)]
    ramp = "".join(_span(f"{reward:+.2f}", reward, scale, scale) for reward in shades)
    return (
        f'<div class="legend"><span>− hurts</span><span class="ramp shared">{ramp}</span>'
        '<span class="own quiet">each response has a scale of its own, named above it</span><span>helps +</span></div>'
        '<p class="quiet">Solid underline helps, dotted hurts. Point at a token, or reach it with the Tab key, to see'
        " its exact reward. Rewards beyond the ends of the scale look like its ends.</p>"
    )


def own_scale(own: Scale) -> str:
    """Return what names a response's own scale, which is seen while the page is stretched."""
    return f'<span class="own quiet"> · full colour at ±{own.end:.2g}</span>'


def heat(
    cells: Sequence[Cell], scale: Scale, own: Scale | None = None, wrong: Sequence[Sequence[int]] = ()
) -> Iterator[str]:
    """Yield the cells of a response as HTML.

    Args:
        cells: The cells.
        scale: How strong a reward looks on the fixed scale.
        own: How strong it looks on the response's own; by default its rewards decide.
        wrong: Characters [start, end) of the response. Cells that overlap them are marked.
    """
    own = own or Scale.of(reward for cell in cells for reward in cell.rewards)
    at = 0
    for cell in cells:
        end = at if cell.special else at + len(cell.text)
        bad = any(first < end and at < last for first, last in wrong)
        at = end
        if not cell.rewards:
            yield text(cell.text)
            continue
        exact = ", ".join(f"{reward:+.4f}" for reward in cell.rewards)
        shown = cell.text.lstrip() if not cell.special else cell.text
        # Blanks before a word have no colour: a line that ends there would keep a coloured sliver of them.
        before = cell.text[: len(cell.text) - len(shown)] if shown else ""
        # A line end that is a token of its own has no width: a sign stands for it.
        shown = shown or "↵" * cell.text.count("\n") + cell.text
        marks = {"special": cell.special, "code": cell.code, "begins": cell.begins, "wrong": bad, "tab": "\t" in shown}
        kinds = "".join(f" {name}" for name, on in marks.items() if on)
        yield text(before) + _span(shown, cell.reward, scale, own, exact, kinds)


def _span(shown: str, reward: float, scale: Scale, own: Scale, exact: str = "", kinds: str = "") -> str:
    strengths = f"--f:{abs(scale.strength(reward)):.2f};--o:{abs(own.strength(reward)):.2f}"
    kind = ("t up" if reward >= 0 else "t down") + kinds
    tip = f' tabindex="0" data-reward="{exact}"' if exact else ""
    return f'<span class="{kind}" style="{strengths}"{tip}>{text(shown)}</span>'
