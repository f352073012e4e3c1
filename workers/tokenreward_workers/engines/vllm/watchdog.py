"""What notices that EngineCore is no more, and wakes whoever waits for it."""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import threading
from concurrent.futures import InvalidStateError
from multiprocessing.process import BaseProcess
from typing import Any


class CoreEnded(RuntimeError):
    """EngineCore's process is no more."""


def watch(engine: Any) -> None:
    """Wakes a caller who waits for output or an answer of an EngineCore that was killed.

    In vLLM 0.32 the synchronous client then waits for ever: its monitor closes the sockets, and the thread that reads
    them ends without a word. To be removed when `LLMEngine.step` and `call_utility` raise by themselves.
    """
    sentinels = [process.sentinel for process in core_processes(engine)]
    outputs, questions = engine.engine_core.outputs_queue, engine.engine_core.utility_results

    def wait() -> None:
        multiprocessing.connection.wait(sentinels)
        outputs.put_nowait(CoreEnded("its process ended"))
        for answer in list(questions.values()):
            with contextlib.suppress(InvalidStateError):  # it came just before the end
                answer.set_exception(CoreEnded("its process ended"))

    threading.Thread(target=wait, daemon=True, name="engine-core-watch").start()


def core_processes(engine: Any) -> list[BaseProcess]:
    """EngineCore's process; a list of one."""
    return list(engine.engine_core.resources.engine_manager.processes)
