"""Log-probs averaged over neighbouring tokens: with the bare question, and with a reference solution shown."""

from __future__ import annotations

import numpy as np

from tokenreward import Client, estimators
from tokenreward.audit.contents import PLAIN
from tokenreward.audit.measures.judged_tokens import collect
from tokenreward.audit.measures.ranks import auroc, strata
from tokenreward.audit.plan import labels
from tokenreward.audit.scoring import score
from tokenreward.audit.served_models import chosen_model
from tokenreward.audit.sets import SpanSet
from tokenreward.audit.tokens import LEFT_OUT, judged
from tokenreward.dataset.progress import Quiet
from tokenreward.estimators.evidence import averaged
from tokenreward.schema import Template

#: Standard deviations before and after a token, in tokens.
_WIDTHS = ((0.5, 1.0), (1.0, 3.0))


def smoothed(client: Client, found: SpanSet, shown: Template) -> dict[str, list[float]]:
    """Return AUROC and stratified AUROC of each average, by its name.

    Args:
        client: Of a service that has scored these responses lately, so that it still has their log-probs.
        found: Responses with the context field `reference`.
        shown: The template whose branch `plain` shows the solution.
    """
    wanted = labels([shown], [estimators.resolve("evidence")])
    model = chosen_model(client.models(), None)
    scores = score(client, [(response, wanted) for item in found.items for response in item.responses], model, Quiet())
    scored = [scores.of(*item.responses) for item in found.items]
    judgements = [judged(one.offsets, item.bad, item.ignore) for one, item in zip(scored, found.items, strict=True)]
    tokens = collect(judgements, [one.plain for one in scored])
    figures = {}
    for name, content in (("plain", PLAIN), ("solution shown", wanted[0].contents["plain"])):
        rows = [one.logprobs[content] for one in scored]
        kinds = {name: [row.astype(np.float64) for row in rows]}
        kinds |= {f"G_{{{a:g},{b:g}}}({name})": [averaged(row, a, b) for row in rows] for a, b in _WIDTHS}
        for kind, values in kinds.items():
            pooled = -np.concatenate([v[j != LEFT_OUT] for v, j in zip(values, judgements, strict=True)])
            figures[kind] = [auroc(pooled, tokens.bad), auroc(pooled, tokens.bad, strata(tokens.logprob))]
    return figures
