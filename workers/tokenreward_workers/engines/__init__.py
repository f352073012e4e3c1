"""Scoring engines behind the one seam (`base`). Each is imported when it is asked for, never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.loading import in_one_line, load_config
from tokenreward.checkpoint.quantization import check_quantization
from tokenreward.checkpoint.token_classifier import names_token_classifier
from tokenreward.checkpoint.vocabulary import check_rows, rows_of
from tokenreward.errors import BadInput, UnknownName
from tokenreward_workers.engines.base import Engine
from tokenreward_workers.engines.loading import loading
from tokenreward_workers.engines.remote.settings import RemoteSettings


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a user may set, whatever the engine.

    Attributes:
        dtype: Of weights and arithmetic: bfloat16, float16 or float32.
        head_dtype: Of the logits: float32, or the same as `dtype`; None for what suits the machine.
        max_tokens: The longest prompt and response; None for the model's own limit.
        token_budget: Tokens per forward pass, which bounds memory beside the weights; None for what suits the machine.
        kv_gib: vLLM on the CPU only: the size of its KV cache.
        gpu_memory: vLLM on a GPU only: the share of its memory that it plans with.
        tensor_parallel: vLLM only: GPUs that share one copy of the model.
        max_adapters: How many adapters it holds; 0 for none, which vLLM has to know when it starts.
        max_adapter_rank: vLLM only: the largest rank of an adapter, for which it sets memory aside.
        remote: Remote only: where the endpoints are; None for every other engine.
    """

    dtype: str = "bfloat16"
    head_dtype: str | None = None
    max_tokens: int | None = None
    token_budget: int | None = None
    kv_gib: float = 1.0
    gpu_memory: float = 0.8
    tensor_parallel: int = 1
    max_adapters: int = 8
    max_adapter_rank: int = 32
    remote: RemoteSettings | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ("bfloat16", "float16", "float32"):
            raise BadInput(f"dtype {self.dtype!r} is none of bfloat16, float16, float32")
        if self.head_dtype not in (None, "float32", self.dtype):
            raise BadInput(f"head_dtype {self.head_dtype!r} is neither float32 nor the dtype, {self.dtype}")
        if self.token_budget is not None and self.token_budget < 64:
            raise BadInput(f"a token budget of {self.token_budget} is too small; give at least 64")


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """An engine that is ready to score, and the chat format its ids are made by."""

    engine: Engine
    chat: ChatFormat


def load_engine(name: str, path: Path | None, settings: EngineSettings | None = None) -> LoadedEngine:
    """Load a model into an engine. Call this in a thread that lives as long as the engine.

    Args:
        name: "transformers", "vllm", "remote" or "synthetic".
        path: The model directory; of the remote engine, the tokenizer's. The synthetic engine has no model, and ignores
            it.
        settings: What the user set; None for the defaults.

    Raises:
        UnknownName: There is no engine of that name.
        BadInput: The settings do not fit the engine.
        CannotLoad: The engine or the model cannot be loaded (a kind of BadInput).
    """
    load = _LOADERS.get(name)
    if load is None:
        raise UnknownName("engine", name, sorted(_LOADERS))
    settings = settings or EngineSettings()
    if settings.tensor_parallel > 1 and name != "vllm":
        raise BadInput(f"engine {name!r} uses one GPU and knows no tensor parallelism; take engine vllm")
    with loading(name, path):
        return load(path, settings)


def _model(path: Path | None) -> Path:
    if path is None:
        raise BadInput("this engine needs a model directory")
    return path


def _chat(path: Path) -> ChatFormat:
    """Read a model's chat format before the model, whose loading takes long, and compare it with the embedding."""
    with in_one_line(f"the tokenizer of {path}"):
        chat = ChatFormat.load(path)
    rows = rows_of(read_object(path / "config.json"))
    check_rows(chat, rows or int(load_config(path).get_text_config().vocab_size), path)
    return chat


def _transformers(path: Path | None, settings: EngineSettings) -> LoadedEngine:
    check_quantization(read_object(_model(path) / "config.json"), path)
    chat = _chat(_model(path))
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    engine = TransformersEngine(
        _model(path),
        settings.dtype,
        settings.max_tokens,
        settings.token_budget,
        settings.head_dtype,
        settings.max_adapters,
    )
    return LoadedEngine(engine, chat)


def _vllm(path: Path | None, settings: EngineSettings) -> LoadedEngine:
    if names_token_classifier(read_object(_model(path) / "config.json")):
        raise BadInput(f"the model in {path} is a token classifier; take engine transformers")
    chat = _chat(_model(path))
    from tokenreward_workers.engines.vllm import plain_check
    from tokenreward_workers.engines.vllm.checkpoint import checked
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    own = VllmSettings(
        dtype=settings.dtype,
        head_dtype=settings.head_dtype,
        max_tokens=settings.max_tokens,
        token_budget=settings.token_budget,
        kv_gib=settings.kv_gib,
        gpu_memory=settings.gpu_memory,
        tensor_parallel=settings.tensor_parallel,
        max_adapters=settings.max_adapters,
        max_adapter_rank=settings.max_adapter_rank,
    )
    own = checked(_model(path), own)
    texts = plain_check.plain_rows(_model(path), own.max_tokens)
    engine = VllmEngine(_model(path), own)
    try:
        plain_check.compare(engine, texts)
    except BaseException:
        engine.close()
        raise
    return LoadedEngine(engine, chat)


def _remote(path: Path | None, settings: EngineSettings) -> LoadedEngine:
    if settings.remote is None:
        raise BadInput("engine 'remote' needs the address of an endpoint: give --endpoint URL")
    with in_one_line(f"the tokenizer of {_model(path)}"):
        chat = ChatFormat.load(_model(path))
    from tokenreward_workers.engines.remote.engine import RemoteEngine

    config = _model(path) / "config.json"
    rows = rows_of(read_object(config)) if config.is_file() else None
    return LoadedEngine(
        RemoteEngine(settings.remote, chat, rows or chat.tokenizer.vocabulary, settings.max_tokens), chat
    )


def _synthetic(path: Path | None, settings: EngineSettings) -> LoadedEngine:
    from tokenreward_workers.engines.synthetic.byte_tokenizer import chat_format
    from tokenreward_workers.engines.synthetic.engine import SyntheticEngine
    from tokenreward_workers.engines.synthetic.settings import tokenizer_folder

    folder = tokenizer_folder()
    chosen = ChatFormat.load(folder) if folder else chat_format()
    return LoadedEngine(SyntheticEngine(vocabulary=chosen.tokenizer.vocabulary), chosen)


_LOADERS: Mapping[str, Callable[[Path | None, EngineSettings], LoadedEngine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "remote": _remote,
    "synthetic": _synthetic,
}
