"""The words that go with a heat map, in the terminal and on a page."""

from __future__ import annotations

from typing import Any

from tokenreward.show.rows import Shown

MEANING = (
    "A reward stands for every token: how much likelier the model finds it when told to rewrite the answer better"
    " than when told to rewrite it worse, from -0.5 (hurts) over 0 (neither) to +0.5 (helps)."
)


def meaning(meta: dict[str, Any] | None) -> str:
    """Return what the rewards mean, as far as the file's metadata says."""
    provenance = (meta or {}).get("provenance", {})
    known = provenance.get("estimator", "contrast") == "contrast"
    return MEANING if known else f"Rewards of the estimator {provenance['estimator']!r}, from -0.5 to +0.5."


def origin(meta: dict[str, Any] | None) -> str:
    """Return where the rewards came from, in a line."""
    provenance = (meta or {}).get("provenance")
    if not provenance:
        return "no provenance in this file"
    fingerprint = provenance["fingerprint"]
    return (
        f"{fingerprint['model']}, engine {fingerprint['engine']} {fingerprint['engine_version']} in"
        f" {fingerprint['dtype']}, template {provenance['template']}, estimator {provenance['estimator']}"
    )


def counts(response: Shown) -> str:
    """Return a line such as `24 tokens, sum -1.23, mean -0.05`, with what is odd, or the error in place of rewards."""
    if response.error is not None:
        return f"no rewards: {response.error}"
    told = f"{len(response.rewards)} tokens, sum {response.total:+.2f}, mean {response.mean:+.3f}"
    return told if response.note is None else f"{told}; shown as ids, {response.note}"
