"""Part `service` of `make gpu`: `tokenreward serve --engine vllm` labels a file, against its engine alone.

The engine first scores the file's scorings in a process of its own, rendered as the worker renders them. Then the
whole service labels the file. Both are counted in plain tokens, every branch in full. As a toy it runs with the
transformers engine, which starts in a fraction of vLLM's time.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks._work import words
from benchmarks.gpu_child import Job, has_vllm, read_job, tell, timed
from benchmarks.harness.waiting import patience
from tokenreward import Client, Item, estimators, label_dataset, templates
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.rendering import Prepared, Renderer

#: Seconds at the start of a run that are looked at on their own.
FIRST = 10.0
_START_S = 240.0


def main() -> None:
    """Measure the engine, then the service, in processes of their own."""
    job, options = read_job(__doc__)
    if options.step == "alone":
        _alone(job)
        return
    if not job.tiny and not has_vllm():
        return
    rows = _rows(job.folder / "service", 40 if job.tiny else 3000, tiny=job.tiny)
    command = [sys.executable, __file__, str(job.folder), "--step", "alone", *(["--tiny"] if job.tiny else [])]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    alone = json.loads(ran.stdout.splitlines()[-1])
    tell(engine_alone_tokens_per_s=alone["tokens_per_s"], service_items=alone["items"])
    found = _served(job, rows)
    tell(
        service_vs_engine=round(found["tokens_per_s"] / alone["tokens_per_s"], 3),
        service_first_10s_vs_engine=round(found["first_tokens_per_s"] / alone["tokens_per_s"], 3),
    )


def _alone(job: Job) -> None:
    """Print the engine's rate on the scorings of the file as JSON."""
    loaded = load_engine(_engine(job), job.model("1b"), _settings(job))
    engine: Any = loaded.engine
    try:
        renderer = Renderer(loaded.chat, engine.info.max_tokens, engine.info.vocabulary)
        lines = (job.folder / "service" / "rows.jsonl").read_text().splitlines()
        items = [Item(prompt=row["prompt"], response=row["response"]) for row in map(json.loads, lines)]
        branches = estimators.resolve("contrast").branches
        prepared = renderer.prepare(items, templates.resolve("revision"), branches)
        work = [ready.scoring for ready in prepared if isinstance(ready, Prepared)]
        score_all(engine, work[-24:])
        if not job.tiny:
            engine._engine.reset_prefix_cache()
        seconds = timed(lambda: score_all(engine, work))
    finally:
        engine.close()
    print(json.dumps({"tokens_per_s": round(sum(s.tokens for s in work) / seconds), "items": len(work)}), flush=True)


def _engine(job: Job) -> str:
    return "transformers" if job.tiny else "vllm"


def _settings(job: Job) -> EngineSettings:
    return EngineSettings(max_tokens=1000) if job.tiny else EngineSettings()


def _rows(folder: Path, count: int, *, tiny: bool) -> Path:
    """Write a file of rows: prompts of about 60 words and responses of about 150, both shorter in a toy."""
    folder.mkdir(parents=True)
    dice = random.Random(1)
    prompt, response = (8, 20) if tiny else (60, 150)
    path = folder / "rows.jsonl"
    with path.open("w") as file:
        for number in range(count):
            row = {"id": str(number), "prompt": words(dice, prompt), "response": words(dice, response)}
            file.write(json.dumps(row) + "\n")
    return path


def _served(job: Job, rows: Path) -> dict[str, float]:
    """Serve and label; returns the tokens a second of the whole run and of its first seconds."""
    with _service(job) as url, Client(url) as client:
        progress = _Progress(url)
        progress.start()
        started = time.time()
        try:
            labeled = label_dataset(rows, rows.with_name("labeled.jsonl"), client=client, progress=False)
        finally:
            seconds = time.time() - started
            time.sleep(2.5)  # the worker's record comes every two seconds
            worker = progress.stop()
        points = [(0.0, 0), *((at - started, tokens) for at, tokens in progress.points if at > started)]
        tell(service_seconds=round(seconds, 2), service_labeled=str(labeled), service_progress=_rounded(points))
        tell(service_worker={k: worker[k] for k in worker if k.endswith(("tokens", "share", "second", "rescored"))})
    total = points[-1][1]
    first = min(FIRST, seconds)
    rate, at_first = total / seconds, _at(points, first, seconds) / first
    tell(service_tokens_per_s=round(rate), service_first_10s_tokens_per_s=round(at_first))
    return {"tokens_per_s": rate, "first_tokens_per_s": at_first}


def _at(points: Sequence[tuple[float, int]], when: float, end: float) -> float:
    """Return how many tokens were done at `when`, along straight lines between what the worker said."""
    before = (0.0, 0)
    for at, tokens in points:
        moment = min(at, end) if tokens == points[-1][1] else at  # what was said after the end was true at the end
        if moment >= when:
            share = (when - before[0]) / (moment - before[0]) if moment > before[0] else 1.0
            return before[1] + share * (tokens - before[1])
        before = (moment, tokens)
    return before[1]


def _rounded(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    return [(round(at, 2), tokens) for at, tokens in points]


class _Progress(threading.Thread):
    """Follows the tokens that the service's one worker says it has scored.

    Attributes:
        points: (Unix seconds, tokens since the watch began), each when the worker said it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.points: list[tuple[float, int]] = []
        self._url = url
        self._stopped = threading.Event()
        self._before = self._worker()["tokens"]

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            worker = self._worker()
            if not self.points or worker["seen"] > self.points[-1][0]:
                self.points.append((worker["seen"], worker["tokens"] - self._before))

    def stop(self) -> dict[str, Any]:
        """Stop following; returns the worker's last record."""
        self._stopped.set()
        self.join()
        return self._worker()

    def _worker(self) -> dict[str, Any]:
        import httpx2

        answer = httpx2.get(f"{self._url}/v1/workers", timeout=30).json()
        workers: list[dict[str, Any]] = answer if isinstance(answer, list) else answer["workers"]
        return workers[0]


@contextmanager
def _service(job: Job) -> Iterator[str]:
    """Run `tokenreward serve` and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = job.folder / "service" / "serve.log"
    command = [sys.executable, "-m", "tokenreward.cli", "serve", "--port", str(port), "--engine", _engine(job)]
    command += ["--model", str(job.model("1b"))]
    command += ["--max-tokens", "1000"] if job.tiny else []
    started = time.monotonic()
    with log.open("w") as output:
        served = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        while not any(line.startswith("ready") for line in log.read_text().splitlines()):
            if served.poll() is not None or time.monotonic() - started > patience(_START_S):
                raise SystemExit(f"the service is not ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        tell(service_ready_s=round(time.monotonic() - started, 1))
        yield f"http://127.0.0.1:{port}"
    finally:
        served.send_signal(signal.SIGINT)
        try:
            served.wait(patience(30))
        except subprocess.TimeoutExpired:
            served.kill()
        print(log.read_text()[-3000:], file=sys.stderr)


if __name__ == "__main__":
    main()
