"""`/metrics` in Prometheus' text format: this process's requests, and what Redis and the workers say at that moment.

Labels are bounded: routes, not paths; models and workers that are alive, not every one there ever was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import redis.exceptions

from tokenreward.protocol import keys
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward.schema import ModelInfo
from tokenreward_service.fleet import Fleet
from tokenreward_service.monitoring.request_log import BUCKETS, RequestFigures

#: The media type of the page.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MOST_WORKERS = 1000

Sample = tuple[Mapping[str, str], float]


class Page:
    """Collects metrics. `text` is the page in Prometheus' text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, kind: str, description: str, samples: Iterable[Sample]) -> None:
        """Add one metric.

        Args:
            name: Without the prefix `tokenreward_`.
            kind: counter, gauge or histogram.
            description: The metric's HELP line.
            samples: (labels, value) each.
        """
        self._lines += [f"# HELP tokenreward_{name} {description}", f"# TYPE tokenreward_{name} {kind}"]
        self._lines += [_line(name, labels, value) for labels, value in samples]

    def add_requests(self, figures: RequestFigures) -> None:
        """Add the counts and the times of the requests."""
        self.add(
            "http_requests_total",
            "counter",
            "Requests answered, since this process started.",
            [
                ({"method": method, "route": route, "status": str(status)}, count)
                for (method, route, status), count in sorted(figures.requests.items())
            ],
        )
        samples: list[str] = []
        name = "http_request_seconds"
        for route, count in sorted(figures.count.items()):
            samples += [
                _line(f"{name}_bucket", {"route": route, "le": f"{bound:g}"}, figures.le[route, bound])
                for bound in BUCKETS
            ]
            samples.append(_line(f"{name}_bucket", {"route": route, "le": "+Inf"}, count))
            samples.append(_line(f"{name}_sum", {"route": route}, figures.seconds[route]))
            samples.append(_line(f"{name}_count", {"route": route}, count))
        self.add(name, "histogram", "Time until the first byte of the answer.", [])
        self._lines += samples

    @property
    def text(self) -> str:
        """The page so far."""
        return "\n".join(self._lines) + "\n"


async def page(client: Any, fleet: Fleet, figures: RequestFigures) -> str:
    """The whole page.

    Args:
        client: Async Redis client.
        fleet: Models and workers.
        figures: The requests of this process.
    """
    found = Page()
    found.add_requests(figures)
    try:
        await _add_store(found, client, fleet)
        up = 1.0
    except (redis.exceptions.RedisError, OSError):
        up = 0.0
    found.add("store_up", "gauge", "Whether the job store answers.", [({}, up)])
    return found.text


async def _add_store(found: Page, client: Any, fleet: Fleet) -> None:
    models = await fleet.models()
    workers = (await fleet.workers())[:_MOST_WORKERS]
    waiting = await _waiting(client, models)
    claimed = await client.zcard(keys.CLAIMED)
    recoveries = int(await client.hget(keys.COUNTERS, "recoveries") or 0)
    memory = await client.info("memory")
    found.add(
        "shards",
        "gauge",
        "Shards that are not finished, by state.",
        [({"state": "queued"}, sum(count for _, count, _ in waiting)), ({"state": "claimed"}, claimed)],
    )
    found.add("queue_shards", "gauge", "Shards waiting for a worker.", [(label, n) for label, n, _ in waiting])
    found.add("queue_age_seconds", "gauge", "How long the oldest waits.", [(label, age) for label, _, age in waiting])
    held = Counter(worker.fingerprint_digest for worker in workers for _ in worker.shards)
    claimed_shards = [(_of_model(model), float(held[model.fingerprint_digest])) for model in models]
    found.add("claimed_shards", "gauge", "Shards that the workers of a model hold.", claimed_shards)
    found.add("recoveries_total", "counter", "Shards taken back from workers that were lost.", [({}, recoveries)])
    found.add("store_memory_bytes", "gauge", "Memory the job store uses.", [({}, float(memory["used_memory"]))])
    found.add("model_workers", "gauge", "Live workers of a model.", [(_of_model(m), m.workers) for m in models])
    seconds, micros = await client.time()  # of the clock by which workers say when they were seen
    _add_workers(found, workers, seconds + micros / 1e6)


def _add_workers(found: Page, workers: list[WorkerRecord], now: float) -> None:
    labels = {w.id: {"worker": w.id, "model": w.model, "engine": w.engine} for w in workers}

    def add(name: str, kind: str, description: str, value: Any) -> None:
        found.add(f"worker_{name}", kind, description, [(labels[w.id], value(w)) for w in workers])

    add("up", "gauge", "1 for each live worker.", lambda w: 1)
    add("seen_seconds", "gauge", "Seconds since the worker was heard of.", lambda w: max(now - w.seen, 0.0))
    add("busy_ratio", "gauge", "Share of the last minute in which the engine worked.", lambda w: w.busy_share)
    add("busy_seconds_total", "counter", "Time in which the engine worked.", lambda w: w.busy_seconds)
    add("tokens_total", "counter", "Tokens scored, as a plain scorer would have read.", lambda w: w.tokens)
    add("items_total", "counter", "Items finished.", lambda w: w.items_done)
    add("shards_total", "counter", "Shards finished.", lambda w: w.shards_done)
    add("cache_hits_total", "counter", "Items whose log-probs were known.", lambda w: w.cache_hits)
    add("engine_restarts_total", "counter", "Engines that died and were started again.", lambda w: w.engine_restarts)
    add("computed_tokens_total", "counter", "Tokens the engine read.", lambda w: w.computed_tokens)
    add("cached_tokens_total", "counter", "Tokens the prefix cache saved it from reading.", lambda w: w.cached_tokens)
    add("branches_total", "counter", "Branches scored.", lambda w: w.branches)
    add("rescored_branches_total", "counter", "Branches scored twice.", lambda w: w.rescored_branches)
    add("steps_total", "counter", "Forward passes of the engine.", lambda w: w.steps)
    add("preemptions_total", "counter", "Requests that lost their place in the KV cache.", lambda w: w.preemptions)
    known = [w for w in workers if w.flops_utilisation is not None]
    found.add(
        "worker_flops_utilisation_ratio",
        "gauge",
        "Share of the hardware's peak that the model's FLOPs took while the engine was busy.",
        [(labels[w.id], w.flops_utilisation or 0.0) for w in known],
    )


async def _waiting(client: Any, models: list[ModelInfo]) -> list[tuple[dict[str, str], int, float]]:
    """(labels, shards, age of the oldest in seconds) of every model's queue."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for model in models:
            pipe.zcard(keys.queued(model.fingerprint_digest))
            pipe.zrange(keys.queued(model.fingerprint_digest), 0, 0, withscores=True)
        (seconds, micros), *answers = await pipe.execute()
    now = seconds + micros / 1e6
    return [
        (_of_model(model), count, max(now - oldest[0][1], 0.0) if oldest else 0.0)
        for model, count, oldest in zip(models, answers[::2], answers[1::2], strict=True)
    ]


def _of_model(model: ModelInfo) -> dict[str, str]:
    return {"model": model.name, "fingerprint": model.fingerprint_digest}


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"tokenreward_{name}{{{inside}}} {value:.10g}" if inside else f"tokenreward_{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text[:200].replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
