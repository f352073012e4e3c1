"""The options and messages that the commands which talk to a service share."""

from __future__ import annotations

import argparse
import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tokenreward.arguments import listed, pair
from tokenreward.errors import BadInput, ConnectionFailed

if TYPE_CHECKING:
    from tokenreward.http import Client
    from tokenreward.schema import Template

ADDRESS_HELP = "Is the service running? `tokenreward serve` starts one here; --url or TOKENREWARD_URL names another."


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the service is."""
    parser.add_argument("--url", help="the service's address (default: TOKENREWARD_URL, or http://127.0.0.1:8383)")
    parser.add_argument("--key", help="an API key; TOKENREWARD_API_KEY keeps it out of the process list")


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add the options `--template`, `--estimator` and `--model`, with the names that are shipped."""
    from tokenreward import estimators, templates

    parser.add_argument("--model", help="a served model's name, or name@fingerprint (default: the only one)")
    parser.add_argument(
        "--template",
        help=f"a .toml file, or one of {listed([*templates.shipped()])} (default: the estimator's own)",
    )
    parser.add_argument(
        "--estimator",
        default="contrast",
        help=f"how log-probs become rewards: {listed([*estimators.shipped()])} (default: contrast)",
    )


def add_contexts(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where context fields come from."""
    parser.add_argument(
        "--context",
        type=pair,
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="where a context field comes from: a column, or @best, @worst, @chosen, @rejected, @outcome; repeatable",
    )


def template_of(given: str) -> str | Template:
    """Return the name of a template as it is, or the template that a .toml file holds.

    Raises:
        BadInput: The file cannot be read, or holds no template.
    """
    if not given.endswith(".toml"):
        return given
    from tokenreward.schema import Template

    try:
        return Template(**tomllib.loads(Path(given).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:  # pydantic's and tomllib's errors are ValueErrors
        raise BadInput(f"template {given}: {error}") from None


@contextlib.contextmanager
def connected(url: str | None, key: str | None) -> Iterator[Client]:
    """Yield a client whose service has answered once, so that one that is down is said at once.

    Args:
        url: The service's address, or None for the default.
        key: An API key.

    Raises:
        ConnectionFailed: The service cannot be reached, now or within the block. The message says how to start one.
    """
    from tokenreward.http import Client

    with address_help():
        with Client(url, api_key=key, patience=0.0) as probe:
            probe.health()
        with Client(url, api_key=key) as client:
            yield client


@contextlib.contextmanager
def address_help() -> Iterator[None]:
    """Add to the error of a service that cannot be reached how one is started."""
    try:
        yield
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error}\n{ADDRESS_HELP}") from None
