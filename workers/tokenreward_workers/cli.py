"""`tokenreward worker`: a supervised worker for a service that runs elsewhere."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from pydantic import ValidationError

from tokenreward._process import die_with
from tokenreward.errors import BadInput

OPTIONS = (
    *("redis_url", "model", "model_name", "engine", "dtype"),
    *("max_tokens", "batch_tokens", "kv_gib", "gpu_memory"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is served and how; they stand for TOKENREWARD_* variables."""
    parser.add_argument("--model", help="`demo`, or a Hugging Face model directory or name (default: demo)")
    parser.add_argument("--model-name", help="the name clients ask for (default: from --model)")
    parser.add_argument("--engine", choices=["transformers", "vllm", "synthetic"], help="default: transformers")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], help="default: bfloat16")
    parser.add_argument("--max-tokens", type=int, help="longest prompt + response (default: the model's limit)")
    parser.add_argument(
        "--batch-tokens", type=int, help="most tokens in one forward pass (default: what suits the machine)"
    )
    parser.add_argument("--kv-gib", type=float, help="vLLM on the CPU: size of its KV cache (default: 1)")
    parser.add_argument("--gpu-memory", type=float, help="vLLM on a GPU: share of its memory (default: 0.8)")


def environment(arguments: argparse.Namespace) -> dict[str, str]:
    """The process environment with the given options as TOKENREWARD_* variables."""
    given = {name: getattr(arguments, name, None) for name in OPTIONS}
    return os.environ | {f"TOKENREWARD_{name.upper()}": str(v) for name, v in given.items() if v is not None}


def worker(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tokenreward worker", description="Run one GPU (or CPU) worker.")
    parser.add_argument("--redis-url", help="the service's Redis, e.g. redis://host:6379/0")
    parser.add_argument("--check", action="store_true", help="only say whether it could start (status 0) or why not")
    add_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.check:
        check(environment(arguments))
        return 0
    parent = int(os.environ.pop("TOKENREWARD_PARENT_PID", "0"))
    if parent:
        die_with(parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    child_environment = environment(arguments)
    stop_seconds = check(child_environment)
    if "TOKENREWARD_REDIS_URL" not in child_environment:
        raise BadInput("a worker needs the service's Redis: give --redis-url or set TOKENREWARD_REDIS_URL")

    from tokenreward_workers.supervisor import Supervisor

    return Supervisor(child_environment, stop_seconds).run()


def check(child_environment: dict[str, str]) -> float:
    """Refuse what cannot work before anything is started; returns the time a stop may take. Raises BadInput."""
    from tokenreward_workers.models import resolve_model
    from tokenreward_workers.settings import WorkerSettings

    old = dict(os.environ)
    os.environ.update(child_environment)
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "TOKENREWARD_" + "_".join(map(str, first["loc"])).upper()
        raise BadInput(f"{name}: {first['msg']}") from error
    finally:
        os.environ.clear()
        os.environ.update(old)
    if settings.engine != "synthetic":
        resolve_model(settings.model)
    return settings.stop_seconds
