"""`tokenreward inspect FILE`: the rewards of a labeled file in numbers and, if asked for, as a picture or a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenreward.arguments import Parser
from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward.statistics.labeled_rewards import Statistics


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    from tokenreward.dataset.formats import read_labeled, read_meta
    from tokenreward.html.escaping import visible
    from tokenreward.show.legend import origin
    from tokenreward.show.statistics_page import page
    from tokenreward.show.statistics_svg import svg
    from tokenreward.statistics.labeled_rewards import gather

    path = Path(arguments.file)
    found = gather(read_labeled(path))
    if not found.rows:
        raise BadInput(f"{path}: there are no rows")
    title, source = f"{path.name}: {found.rows} rows", origin(read_meta(path))
    print(visible(f"{title}; {source}"))
    for line in _lines(found):
        print(line)
    if arguments.picture:
        _write("picture", arguments.picture, svg(found, title))
    if arguments.html:
        _write("page", arguments.html, page(found, title, source, _lines(found)))
    return 0


def _write(what: str, path: str, content: str) -> None:
    from tokenreward.dataset.atomic import replace

    with replace(Path(path)) as file:
        file.write(content.encode())
    print(f"\n{what}: {path}")


def _lines(found: Statistics) -> Iterator[str]:
    from tokenreward.statistics.labeled_rewards import BINS, LENGTHS, PARTS

    sides = found.sides
    yield ""
    yield _row("", list(sides))
    yield _row("responses", [f"{s.responses}" for s in sides.values()])
    yield _row("without rewards", [f"{s.failed}" for s in sides.values()])
    yield _row("tokens", [f"{s.tokens}" for s in sides.values()])
    yield _row("mean reward", [f"{s.mean:+.4f}" for s in sides.values()])
    yield _row("deviation", [f"{s.deviation:.4f}" for s in sides.values()])
    yield _row("share positive", [f"{s.positive / s.tokens:.1%}" if s.tokens else "-" for s in sides.values()])
    yield _row("mean sum", [f"{s.mean_sum:+.3f}" for s in sides.values()])
    if found.pairs:
        yield ""
        yield f"chosen above rejected by sum of rewards in {found.won / found.pairs:.1%} of {found.pairs} pairs,"
        yield f"by mean reward in {found.won_by_mean / found.pairs:.1%}"
    yield ""
    yield _row("share of tokens", list(sides))
    shares = [side.histogram / max(1, side.tokens) for side in sides.values()]
    highest = max(float(share.max()) for share in shares) or 1.0
    for number in range(BINS):
        low = number / BINS - 0.5
        cells = [f"{share[number]:6.1%} {'#' * round(8 * share[number] / highest):<8}" for share in shares]
        yield _row(f"{low:+.2f} .. {low + 1 / BINS:+.2f}", cells)
    yield ""
    yield _row("mean by place", list(sides))
    for number in range(PARTS):
        name = f"{100 * number // PARTS}% .. {100 * (number + 1) // PARTS}%"
        yield _row(name, [_number(side.position.mean[number]) for side in sides.values()])
    yield ""
    yield _row("mean by tokens", list(sides))
    for number, name in enumerate([f"up to {n}" for n in LENGTHS] + [f"above {LENGTHS[-1]}"]):
        if any(side.length.count[number] for side in sides.values()):
            yield _row(name, [_number(side.length.mean[number]) for side in sides.values()])


def _row(name: str, cells: Sequence[str]) -> str:
    return (f"{name:<18}" + "".join(f"{cell:>18}" for cell in cells)).rstrip()


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.4f}"


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward inspect",
        description="Print the statistics of a labeled file's rewards.",
    )
    parser.add_argument("file", metavar="FILE", help="what `tokenreward label` wrote")
    parser.add_argument("--picture", metavar="SVG", help="also draw them")
    parser.add_argument("--html", metavar="PAGE", help="also write them, drawn, as a self-contained HTML page")
    return parser
