"""From settings to a loaded engine, its renderer, and the fingerprint of the two."""

from __future__ import annotations

from dataclasses import dataclass

from tokenreward.schema import Fingerprint
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import Engine
from tokenreward_workers.model_files.fingerprint import fingerprint
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Loaded:
    engine: Engine
    renderer: Renderer
    fingerprint: Fingerprint


def load(settings: WorkerSettings) -> Loaded:
    """Everything a worker needs to score, in the thread that calls it. Raises BadInput for what cannot be loaded."""
    if settings.engine == "synthetic":
        path, name = None, "synthetic"
    else:
        model = resolve_model(settings.model)
        path, name = model.path, model.name
    engine_settings = EngineSettings(
        dtype=settings.dtype,
        max_tokens=settings.max_tokens,
        token_budget=settings.batch_tokens,
        kv_gib=settings.kv_gib,
        gpu_memory=settings.gpu_memory,
        tensor_parallel=settings.tensor_parallel,
    )
    loaded = load_engine(settings.engine, path, engine_settings)
    info = loaded.engine.info
    identity = fingerprint(settings.model_name or name, path, loaded.chat, info)
    return Loaded(loaded.engine, Renderer(loaded.chat, info.max_tokens, info.vocabulary), identity)
