"""Workers with one fingerprint have to say the same: a new one compares its probe with those of the others.

A fingerprint names hashes, versions and types. It does not name the card, its driver, or a library that is built
otherwise. If one of these changes log-probs by more than the arithmetic may, a job's rewards would depend on which
worker took a shard.

Of a model that endpoints serve, a fingerprint has no hash unless the user gives one. So the rows of a fixed text are
kept with the fingerprint: a model that was swapped behind its name is noticed at the next start.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from tokenreward.errors import BadInput
from tokenreward.protocol.worker_records import Comparison
from tokenreward.schema import Fingerprint
from tokenreward_workers.engines.probe import noise
from tokenreward_workers.engines.remote.endpoint_proof import NOISE, SWAPPED_ADVICE
from tokenreward_workers.store.probes import Probes

log = logging.getLogger(__name__)


def compare_with_others(probe: NDArray[np.float32], identity: Fingerprint, probes: Probes) -> Comparison | None:
    """Publish a worker's probe, and compare it with those of the other workers that serve the same.

    Args:
        probe: float32 `[N]`, the log-probs of the probe; empty for an engine that has none.
        identity: The worker's fingerprint.
        probes: Where they are published.

    Returns:
        The comparison with the worker that is furthest away; None if there is no other.

    Raises:
        BadInput: They say something else. What was published is taken back.
    """
    if not probe.size:
        return None
    probes.publish(probe)
    allowed = noise(identity.dtype)
    comparisons = []
    for worker, other in probes.others().items():
        if other.shape != probe.shape:  # another --max-tokens makes another probe
            log.info("worker %s has another probe: not compared", worker)
            continue
        apart = float(np.abs(other - probe).mean())
        comparisons.append(Comparison(worker=worker, apart=apart, allowed=allowed))
    if not comparisons:
        return None
    worst = max(comparisons, key=lambda comparison: comparison.apart)
    if not worst.apart <= allowed:
        probes.take_back()
        raise BadInput(
            f"worker {worst.worker} serves {identity.model}@{identity.digest} as well, and the log-probs of the same "
            f"tokens are {worst.apart:.3g} apart (mean), where {identity.dtype} may make {allowed:.3g}: one of the two "
            "computes something else; look at the cards, drivers and libraries, or give one of them another "
            "--model-name"
        )
    return worst


def compare_with_first(rows: NDArray[np.float32], identity: Fingerprint, probes: Probes) -> None:
    """Compare what endpoints make of a fixed text with what they made of it when the fingerprint was first served.

    Args:
        rows: float32 `[T]`, the log-probs of the text.
        identity: The worker's fingerprint.
        probes: Where the first ones are kept, and these if they are the first.

    Raises:
        BadInput: They differ: behind the same name is another model now.
    """
    first = probes.first(rows)
    apart = float(np.abs(first - rows).mean()) if first.shape == rows.shape else float("inf")
    if not apart <= NOISE:
        raise BadInput(
            f"the endpoint gives a fixed text log-probs that are {apart:.3g} apart (mean) from those that it gave when "
            f"{identity.model}@{identity.digest} was first served, where {NOISE:g} may be noise: it serves another "
            f"model under the same name; {SWAPPED_ADVICE}"
        )
