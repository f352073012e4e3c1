"""Workers with one fingerprint have to say the same: a new one compares its probe with those of the others.

A fingerprint names hashes, versions and types. It does not name the card, its driver, or a library that is built
otherwise. If one of these changes log-probs by more than the arithmetic may, a job's rewards would depend on which
worker took a shard.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from tokenreward.errors import BadInput
from tokenreward.protocol.worker_records import Comparison
from tokenreward.schema import Fingerprint
from tokenreward_workers.engines.probe import noise
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
