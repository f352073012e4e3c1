"""A worker of the next version of its engine, whose fingerprint is another one than that of the workers of a stack."""

from __future__ import annotations

import sys

from benchmarks.harness.processes import Process
from benchmarks.harness.stack import Stack

_CODE = """
import sys
import tokenreward_workers.engines.synthetic.engine as engine
from tokenreward_workers.main import main
info = engine.EngineInfo
engine.EngineInfo = lambda name, version, *rest, **more: info(name, "2", *rest, **more)
sys.exit(main())
"""


def next_version(stack: Stack) -> Process:
    """Start such a worker in the stack."""
    environment = stack.environment | {"TOKENREWARD_REDIS_URL": stack.redis_url, "TOKENREWARD_ENGINE": "synthetic"}
    worker = Process([sys.executable, "-c", _CODE], stack.folder / "next-version.log", environment)
    stack.workers.append(worker)
    return worker
