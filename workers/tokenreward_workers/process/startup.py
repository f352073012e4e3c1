"""From settings to an engine that has proved that it can score, its renderer, and the fingerprint of the two."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tokenreward.checkpoint.adapter import AdapterFiles
from tokenreward.errors import BadInput
from tokenreward.schema import Fingerprint
from tokenreward_workers.engines import EngineSettings, LoadedEngine, load_engine
from tokenreward_workers.engines.base import Engine, EngineDied
from tokenreward_workers.engines.flops import body_flops
from tokenreward_workers.engines.loading import CannotLoad, loading
from tokenreward_workers.engines.probe import ProbeResult, probe
from tokenreward_workers.engines.remote.engine import RemoteEngine
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.engines.synthetic.engine import SyntheticEngine
from tokenreward_workers.model_files.adapters import AdapterShelf
from tokenreward_workers.model_files.fingerprint import fingerprint
from tokenreward_workers.model_files.resolve import resolve_model, resolve_tokenizer
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import LogProbs
from tokenreward_workers.settings import WorkerSettings

#: The length of the sequences for which operations per token are counted.
_TYPICAL_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that a worker needs to score.

    Attributes:
        engine: Has scored its probe.
        renderer: Prepares items for the engine's model.
        fingerprint: What jobs are pinned to.
        tokens_per_second: Plain tokens per second that the probe measured; None where nothing was measured.
        flops_per_token: Floating-point operations of the model's forward pass per token; None if not known.
        shelf: The model's adapters on this host; None if it takes none.
        adapters: Those of the settings, by name.
        max_adapters: How many the engine holds at a time.
        probe: float32 `[N]`, the log-probs of the engine's probe; none where it has none.
        reference: float32 `[T]`, the log-probs of a fixed text, where endpoints score and no file says by which model.
    """

    engine: Engine
    renderer: Renderer
    fingerprint: Fingerprint
    tokens_per_second: float | None
    flops_per_token: float | None
    shelf: AdapterShelf | None = None
    adapters: Mapping[str, AdapterFiles] = field(default_factory=dict)
    max_adapters: int = 0
    probe: LogProbs = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    reference: LogProbs | None = None


def load(settings: WorkerSettings) -> Loaded:
    """Load the model, in the thread that calls this, and let the engine score its probe.

    Whatever goes wrong on the way is said in one line, and ends the worker for good: the same files would end the next
    start in the same way.

    Raises:
        BadInput: The settings, the model or the engine cannot be used here; starting again would end the same way.
    """
    if settings.engine == "synthetic":
        path, name = None, "synthetic"
    else:
        model = (resolve_tokenizer if settings.engine == "remote" else resolve_model)(settings.model)
        path, name = model.path, model.name
    engine_settings = EngineSettings(
        dtype=settings.dtype,
        head_dtype=settings.head_dtype,
        max_tokens=settings.max_tokens,
        token_budget=settings.batch_tokens,
        kv_gib=settings.kv_gib,
        gpu_memory=settings.gpu_memory,
        tensor_parallel=settings.tensor_parallel,
        max_adapters=settings.adapter_slots,
        max_adapter_rank=settings.max_adapter_rank,
        remote=RemoteSettings.of(settings),
    )
    loaded = load_engine(settings.engine, path, engine_settings)
    with loading(settings.engine, path), _closed_on_failure(loaded.engine):
        proof = measured(loaded)
        info = loaded.engine.info
        identity = fingerprint(settings.model_name or info.model or name, path, loaded.chat, info)
        renderer = Renderer(loaded.chat, info.max_tokens, info.vocabulary)
        shelf = _shelf(settings, path, identity.model)
        if shelf is None and settings.adapters:
            raise BadInput("adapters are given, and this worker takes none: max_adapters is 0, or the engine is remote")
        flops = None if settings.engine == "remote" else info.flops_per_token or flops_per_token(path)
        return Loaded(
            loaded.engine,
            renderer,
            identity,
            proof.tokens_per_second,
            flops,
            shelf,
            {name: shelf.take(source) for name, source in settings.named_adapters.items()} if shelf else {},
            settings.adapter_slots,
            proof.flat,
            loaded.engine.reference if isinstance(loaded.engine, RemoteEngine) else None,
        )


def _shelf(settings: WorkerSettings, path: Path | None, model: str) -> AdapterShelf | None:
    if not settings.adapter_slots:
        return None
    return AdapterShelf(path, model, settings.max_adapter_rank if settings.engine == "vllm" else None)


@contextlib.contextmanager
def _closed_on_failure(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.close()  # else its process, if it has one, ends when Python happens to collect it
        raise


def flops_per_token(path: Path | None) -> float | None:
    """Return the operations of a model's layers per token of a sequence of `_TYPICAL_TOKENS`; None if not known."""
    if path is None:
        return None
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
        return body_flops(config, range(_TYPICAL_TOKENS)) / _TYPICAL_TOKENS
    except (KeyError, TypeError):  # another kind of model than the count is for
        return None


def measured(loaded: LoadedEngine) -> ProbeResult:
    """Let an engine score its probe, which measures its rate.

    The synthetic engine has no model that could fail, and its rate is set and not measured.

    Raises:
        CannotLoad: The engine cannot score.
    """
    engine = loaded.engine
    if isinstance(engine, SyntheticEngine):
        return ProbeResult(engine.tokens_per_second)
    try:
        return probe(engine)
    except (EngineDied, RuntimeError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise CannotLoad(f"engine {engine.info.name!r} loaded its model, but cannot score with it: {said}") from error
