"""`tokenreward label --dry-run`: what was understood of the input, and what labeling it would take."""

from __future__ import annotations

import argparse
import contextlib
import warnings
from pathlib import Path

from tokenreward import estimators, templates
from tokenreward.dataset.chunks import chunks
from tokenreward.dataset.estimate import scored_tokens
from tokenreward.dataset.progress import span
from tokenreward.dataset.reading import InputOptions, read_whole
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import ConnectionFailed, Rejected, UnknownName
from tokenreward.http import Client


def dry_run(
    data: str | Path,
    out: Path,
    options: InputOptions,
    scoring: ScoringOptions,
    arguments: argparse.Namespace,
) -> int:
    """Say what was understood, and what labeling it would take. Nothing is sent and nothing is written.

    Args:
        data: The input.
        out: Where its labeled rows would go.
        options: What of it is read, and how.
        scoring: How its responses would be scored.
        arguments: Those of `tokenreward label` that say where the service is and which model is asked for.

    Returns:
        The exit code.
    """
    with read_whole(data, out, scoring, options) as whole:
        for line in whole.understood.lines():
            print(line)
        for warning in whole.understood.warnings():
            warnings.warn(warning, stacklevel=1)
        extent = whole.understood.extent
        first = next(chunks(whole.source, whole.reading, options.rows_per_job))
    _check_names(scoring, arguments)
    tokens = scored_tokens(first.items, extent.bytes, scoring)
    about = "" if tokens is None else f", about {tokens:,} tokens to score, as the template shows them"
    print(f"{extent.responses} responses in {extent.jobs} job{'' if extent.jobs == 1 else 's'}{about}")
    print(_time(tokens, arguments))
    return 0


def _check_names(scoring: ScoringOptions, arguments: argparse.Namespace) -> None:
    """Refuse a template or an estimator that neither this package nor the service has. Raises UnknownName."""
    try:
        templates.resolve(scoring.template)
        estimators.resolve(scoring.estimator)
    except UnknownName:
        with (
            contextlib.suppress(ConnectionFailed, Rejected),
            Client(arguments.url, api_key=arguments.key, patience=0.0) as client,
        ):
            known = {one.name for one in client.templates()} | {one.name for one in client.estimators()}
            if known.issuperset({str(scoring.template), scoring.estimator}):
                return
        raise


def _time(tokens: int | None, arguments: argparse.Namespace) -> str:
    try:
        with Client(arguments.url, api_key=arguments.key, patience=0.0) as client:
            speed = client.tokens_per_second(arguments.model)
    except (ConnectionFailed, Rejected) as error:
        return f"no estimate of the time: {str(error).splitlines()[0]}"
    if tokens is None:
        return "no estimate of the time: only the service knows this template or estimator"
    if speed is None:
        return "no estimate of the time: no worker has measured its speed yet"
    return f"about {span(tokens / speed)} at the {speed:,.0f} tokens/s that its workers measured"
