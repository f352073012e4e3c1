"""A service for an audit: the demo model alone, or with trained labelers beside it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenreward import Client
from tokenreward.embedded_service import embedded_service

#: Loading the demo model takes most of it.
_READY_SECONDS = 240


@contextlib.contextmanager
def serving_labelers(labelers: Sequence[Path], serving: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Serve a model, and labelers beside it.

    Args:
        labelers: Folders that `tokenreward train-labeler` wrote.
        serving: Options of the model's worker.

    Yields:
        The service's address, and the name of the model that is no labeler.
    """
    if not labelers:
        with embedded_service(serving) as url, Client(url) as client:
            yield url, client.models()[0].name
        return
    from benchmarks.harness.stack import Stack  # needs what only tests and benchmarks install

    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start_api()
        stack.start_worker(*serving, engine="transformers", supervised=True)
        stack.wait_ready(1, _READY_SECONDS)
        with Client(stack.url) as client:
            model = client.models()[0].name
        for number, path in enumerate(labelers, 2):
            stack.start_worker("--model", str(path), engine="transformers", supervised=True)
            stack.wait_ready(number, _READY_SECONDS)
        yield stack.url, model
