"""What the commands that talk to a service have in common."""

from __future__ import annotations

import argparse

ADDRESS_HELP = "Is the service running? `tokenreward serve` starts one here; --url or TOKENREWARD_URL names another."


def add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the service's address (default: TOKENREWARD_URL, or http://127.0.0.1:8383)")
    parser.add_argument("--key", help="an API key; TOKENREWARD_API_KEY keeps it out of the process list")
