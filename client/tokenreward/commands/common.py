"""The options and messages that the commands which talk to a service share."""

from __future__ import annotations

import argparse

ADDRESS_HELP = "Is the service running? `tokenreward serve` starts one here; --url or TOKENREWARD_URL names another."


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the service is."""
    parser.add_argument("--url", help="the service's address (default: TOKENREWARD_URL, or http://127.0.0.1:8383)")
    parser.add_argument("--key", help="an API key; TOKENREWARD_API_KEY keeps it out of the process list")


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of `NAME=VALUE`, for argparse.

    Raises:
        ArgumentTypeError: It is no such pair.
    """
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
