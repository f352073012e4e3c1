"""The heat map in a terminal. Blue tokens help and red ones hurt; without colour, signs say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.style import Style
from rich.table import Table
from rich.text import Text

from tokenreward.html.escaping import visible
from tokenreward.show.cells import Cell
from tokenreward.show.legend import counts, meaning, origin
from tokenreward.show.rows import Shown, ShownRow
from tokenreward.show.scale import LEVELS, Scale

Styles = Mapping[int, Style] | None

#: Level -> (text, background): a diverging pair that the colour-blind tell apart, legible on any terminal.
_STYLES = {
    level: Style(color=text, bgcolor=background)
    for level, text, background in (
        (1, "#000000", "#c6dbef"),
        (2, "#000000", "#6baed6"),
        (3, "#ffffff", "#08519c"),
        (-1, "#000000", "#fcbba1"),
        (-2, "#000000", "#fb6a4a"),
        (-3, "#ffffff", "#a50f15"),
    )
}
#: For terminals of sixteen colours, where pale shades of both would be the same white.
_FEW_COLOURS = {
    1: Style(color="blue"),
    2: Style(color="blue", bold=True, underline=True),
    3: Style(color="blue", reverse=True),
    -1: Style(color="red"),
    -2: Style(color="red", bold=True, underline=True),
    -3: Style(color="red", reverse=True),
}
_SIDE_BY_SIDE = 110  # columns from which chosen and rejected stand beside each other


def draw(console: Console, rows: Sequence[ShownRow], meta: dict[str, Any] | None) -> None:
    """Print every row and, at the end, the legend."""
    scale = Scale.of(reward for row in rows for response in row.responses for reward in response.rewards)
    styles = _styles(console)
    for row in rows:
        _print(console, Rule(Text(visible(row.name).replace("\n", " "), "bold"), align="left", style="dim"))
        _print(console, Text.assemble(("prompt  ", "dim"), visible(row.prompt)))
        drawn = [_response(response, scale, styles) for response in row.responses]
        _print(console, _beside(drawn) if len(drawn) == 2 and console.width >= _SIDE_BY_SIDE else Group(*drawn))
        if len(row.responses) == 2 and not any(r.error for r in row.responses):
            margin = row.responses[0].total - row.responses[1].total
            _print(console, Text(f"chosen - rejected: {margin:+.2f}", "dim"))
        _print(console, Text())
    _print(console, legend(scale, styles))
    _print(console, Text(f"{meaning(meta)}\n{visible(origin(meta))}", "dim"))


def _styles(console: Console) -> Styles:
    """Return the colours for this console, or None for one without colours."""
    if console.color_system is None or console.no_color:
        return None
    return _FEW_COLOURS if console.color_system in {"standard", "windows"} else _STYLES


def legend(scale: Scale, styles: Styles) -> Text:
    """Return the legend of the colours or signs."""
    text = Text("hurts  ")
    for level in (*range(-LEVELS, 0), *range(1, LEVELS + 1)):
        reward = f"{scale.end * level / LEVELS:+.2f}"
        text.append_text(_marked(reward, level, styles) if styles else Text(f"[{_signs(level)}] {reward}"))
        text.append("  ")
    return text.append("helps")


def _response(response: Shown, scale: Scale, styles: Styles) -> Group:
    head = Text(f"{response.side}  {visible(counts(response))}", "red" if response.error else "dim")
    body = Text()
    for cell in _pieces(response.cells):
        body.append_text(_drawn(cell, scale.level(cell.reward), styles))
    return Group(head, body)


def _pieces(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells, those of one segment as one: its tokens have one reward."""
    pieces: list[Cell] = []
    inside = False  # a segment
    for cell in cells:
        last = pieces[-1] if pieces else None
        inside = cell.begins or (inside and bool(cell.rewards) and not cell.special)
        if last is not None and inside and not cell.begins and cell.reward == last.reward:
            pieces[-1] = replace(last, text=last.text + cell.text)
        else:
            pieces.append(cell)
    return pieces


def _drawn(cell: Cell, level: int, styles: Styles) -> Text:
    text = visible(cell.text)
    if not level:
        return Text(text, "dim" if cell.special else "")
    # What surrounds the mark: line ends, whose background would run to the edge or not be seen at all.
    body = text.strip("\n")
    if not body:
        return _marked("⏎" * len(text), level, styles).append(text)
    before, _, after = text.partition(body)
    return Text(before).append_text(_marked(body, level, styles)).append(after)


def _marked(text: str, level: int, styles: Styles) -> Text:
    if styles:
        return Text(text, styles[level])
    bare = text.strip(" ") or text
    before, _, after = text.partition(bare)
    return Text(f"{before}[{_signs(level)}{bare}]{after}")


def _signs(level: int) -> str:
    return ("+" if level > 0 else "-") * abs(level)


def _beside(drawn: Sequence[RenderableType]) -> Table:
    table = Table.grid(expand=True, padding=(0, 2))
    for _ in drawn:
        table.add_column(ratio=1)
    table.add_row(*drawn)
    return table


def _print(console: Console, what: RenderableType) -> None:
    # A pipe has no width: there, lines end where the text says so.
    console.print(what, soft_wrap=not console.is_terminal, highlight=False, markup=False, emoji=False)
