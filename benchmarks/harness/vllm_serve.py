"""A real `vllm serve` of a model directory, on loopback, for as long as a context lasts."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.processes import Process
from benchmarks.harness.stack import http
from benchmarks.harness.waiting import wait_for
from tokenreward.vllm_environment import QUIET, cpu_settings

#: What `vllm serve` runs. The command itself reads the metadata of a distribution `vllm`, which the CPU build is not.
_SERVE = "from vllm.entrypoints.launchers.api_server.entry import main; main()"


@contextmanager
def vllm_serve(folder: Path, model: Path, name: str = "served") -> Iterator[str]:
    """Yield the address of a server with the options that suit a CPU, as the vLLM engine's are.

    Args:
        folder: Where its log goes.
        model: The model directory.
        name: What the server calls the model.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "--model": str(model),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--served-model-name": name,
        "--dtype": "bfloat16",
        "--max-model-len": "2048",
        "--max-num-seqs": "48",
        "--max-num-batched-tokens": "1024",
        "--max-logprobs": "128",
        "--block-size": "32",
        "--kv-cache-memory-bytes": str(2**30),
    }
    command = [sys.executable, "-c", _SERVE, *(word for option in options.items() for word in option)]
    threads = {key: os.environ.get(key, value) for key, value in cpu_settings().items()}
    server = Process([*command, "--enforce-eager", "--enable-scale-out"], folder / "vllm.log", QUIET | threads)
    url = f"http://127.0.0.1:{port}"

    def up() -> bool:
        assert server.popen.poll() is None, server.output()[-3000:]
        return http.get(url + "/health", timeout=2).status_code == 200

    try:
        wait_for(up, 240, "vllm serve")
        yield url
    finally:
        server.stop()
