"""The best and the worst examples of the audit's page, as heat maps."""

from __future__ import annotations

from collections.abc import Iterator

from tokenreward.audit.examples import Example
from tokenreward.audit.report import AuditReport
from tokenreward.html.document import text
from tokenreward.schema import Message
from tokenreward.show.cells import cells
from tokenreward.show.heat_map import heat, legend, own_scale, scale_switch
from tokenreward.show.scale import Scale
from tokenreward.templates import transcript


def examples(report: AuditReport) -> Iterator[str]:
    """Yield the section of examples, if there are any."""
    if not any(report.examples.values()):
        return
    yield "<article>\n<h2>Best and worst examples</h2>"
    yield "<p>What is known to be wrong has a frame. It should be red, and the rest should not.</p>"
    yield scale_switch()
    for name, found in report.examples.items():
        scale = Scale.of(
            float(reward) for one in found for reward in one.rewards
        )  # each label has a strength of its own
        shown = "\n".join(_example(one, scale) for one in found)
        yield f"<details>\n<summary>{text(name)}</summary>\n{legend(scale)}\n{shown}\n</details>"
    yield "</article>"


def _example(one: Example, scale: Scale) -> str:
    item, scored = one.judged.item, one.judged.scored
    prompt = transcript(item.prompt if isinstance(item.prompt, str) else [Message(**m) for m in item.prompt])
    drawn = cells(item.response, scored.tokens, scored.offsets.tolist(), one.rewards.tolist())
    own = Scale.of(map(float, one.rewards))
    head = f"{one.kind}: {one.set}, {item.id}, AUROC {one.auroc:.2f}"
    return (
        f'<section>\n<h3>{text(head)}{own_scale(own)}</h3>\n<div class="prompt quiet" dir="auto">{text(prompt)}</div>'
        f'\n<div class="heat" dir="auto">{"".join(heat(drawn, scale, own, item.bad))}</div>\n</section>'
    )
