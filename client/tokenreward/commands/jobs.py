"""`tokenreward jobs list|show|watch|cancel|retry|delete`: seeing and steering the service's jobs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

from tokenreward.arguments import Parser, positive
from tokenreward.commands.common import add_connection, connected
from tokenreward.dataset.progress import progress_for
from tokenreward.errors import BadInput
from tokenreward.html.escaping import visible
from tokenreward.http import Client
from tokenreward.schema import Job, JobState

#: The exit code of `watch` for a job that is over but not all of whose items have rewards.
SOME_FAILED = 3
_SHOWN_ERRORS = 5
#: The length of a job's id. Fewer digits stand for the job whose id begins with them.
_ID_LENGTH = 32
#: How many of the newest jobs are looked through for it.
_LOOKED_THROUGH = 1000


def main(argv: list[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_args(argv)
    action: Callable[[Client, argparse.Namespace], int] = arguments.action
    with connected(arguments.url, arguments.key) as client:
        if "job" in arguments:
            arguments.job = _whole_id(client, arguments.job)
        return action(client, arguments)


def _whole_id(client: Client, given: str) -> str:
    """Return the id of the job whose id begins so. Raises BadInput if several do."""
    if len(given) >= _ID_LENGTH or not given:
        return given
    fitting = [job.id for job in client.jobs.list(_LOOKED_THROUGH) if job.id.startswith(given)]
    if len(fitting) > 1:
        raise BadInput(f"{len(fitting)} jobs begin with {given!r}: {', '.join(fitting[:5])}; give more of the id")
    return fitting[0] if fitting else given  # the service says that there is no such job


def _list(client: Client, arguments: argparse.Namespace) -> int:
    jobs = list(client.jobs.list(arguments.limit))
    if arguments.json:
        for job in jobs:
            print(job.model_dump_json())
        return 0
    if not jobs:
        print("no jobs")
        return 0
    print(f"{'ID':<32} {'STATE':<10} {'ITEMS':>15} {'FAILED':>7} {'AGE':>6}  MODEL, TEMPLATE, ESTIMATOR")
    for job in jobs:
        items, age = f"{job.done_items}/{job.total_items}", _span(time.time() - job.created_at)
        served = "" if job.waiting is None else f" (nobody serves {job.waiting.model})"
        labels = visible(f"{job.model}, {job.template}, {job.estimator}{served}")
        print(f"{visible(job.id):<32} {_state(job):<10} {items:>15} {job.failed_items:>7} {age:>6}  {labels}")
    return 0


def _show(client: Client, arguments: argparse.Namespace) -> int:
    job = client.jobs.get(arguments.job)
    if arguments.json:
        print(job.model_dump_json(indent=2))
        return 0
    for line in _description(job):
        print(visible(line))
    if job.failed_items:
        print("first errors:")
        for line in islice(_errors(client, job), _SHOWN_ERRORS):
            print(f"  {visible(line)}")
    return 0


def _watch(client: Client, arguments: argparse.Namespace) -> int:
    job = client.jobs.get(arguments.job)
    with progress_for(True) as shown:
        shown.begin(job.total_items, job.done_items)
        before, said = job, ""
        while True:
            if job.waiting is not None and job.waiting.message != said:
                said = job.waiting.message
                print(visible(f"{job.id} {said}"), file=sys.stderr)
            shown.advance(job.tokens_done - before.tokens_done, job.done_items - before.done_items)
            if job.state.terminal:
                break
            time.sleep(0.5)
            before, job = job, client.jobs.get(job.id)
    return _ended(job)


def _cancel(client: Client, arguments: argparse.Namespace) -> int:
    job = client.jobs.cancel(arguments.job)
    print(f"{visible(job.id)} {job.state}, {job.done_items - job.failed_items} items keep their rewards")
    return 0


def _delete(client: Client, arguments: argparse.Namespace) -> int:
    job = client.jobs.get(arguments.job)
    if not job.state.terminal:
        raise BadInput(f"job {job.id} is {job.state}; `tokenreward jobs cancel {job.id}` first, or wait for its end")
    client.jobs.delete(job.id)
    print(visible(f"{job.id} deleted, with its results"))
    return 0


def _retry(client: Client, arguments: argparse.Namespace) -> int:
    before = client.jobs.get(arguments.job).provenance.fingerprint_digest
    job = client.jobs.retry(arguments.job)
    pinned = job.provenance.fingerprint_digest
    anew = f" by {job.model}@{pinned}, since nobody serves {before}" if pinned != before else ""
    print(visible(f"{job.id} {job.state}, {job.total_items - job.done_items} items are scored again{anew}"))
    return 0


def _ended(job: Job) -> int:
    print(visible(f"{job.id} {_state(job)}, {job.failed_items} of {job.total_items} items failed"))
    if job.state is not JobState.succeeded:
        return 1
    return SOME_FAILED if job.failed_items else 0


def _state(job: Job) -> str:
    """Return the state for people, in the words of the web page: a job that failed whole did not succeed."""
    return "all failed" if job.all_failed else job.state


def _description(job: Job) -> Iterator[str]:
    fingerprint, provenance = job.provenance.fingerprint, job.provenance
    yield f"{job.id} {_state(job)}"
    yield f"items      {job.done_items} of {job.total_items} done, {job.failed_items} of them failed"
    rate = f", {job.tokens_per_second:.0f} tokens/s" if job.tokens_per_second else ""
    eta = f", {_span(job.eta_seconds)} left" if job.eta_seconds is not None and not job.state.terminal else ""
    yield f"tokens     {job.tokens_done} done, {job.tokens_estimated} estimated{rate}{eta}"
    until = job.finished_at if job.finished_at is not None else time.time()
    yield f"created    {_span(time.time() - job.created_at)} ago, at work for {_span(until - job.created_at)}"
    yield f"model      {fingerprint.model}@{provenance.fingerprint_digest}"
    yield f"engine     {fingerprint.engine} {fingerprint.engine_version}, {fingerprint.dtype}"
    if job.waiting is not None:
        yield f"waiting    {job.waiting.message}"
    yield f"template   {job.template} ({provenance.template_hash})"
    yield f"estimator  {job.estimator} ({provenance.estimator_hash})"


def _errors(client: Client, job: Job) -> Iterator[str]:
    for result in client.jobs.results(job.id, follow=False):
        if result.error is not None:
            yield f"item {result.index}: {result.error.code}: {result.error.message}"


def _span(seconds: float) -> str:
    """Return a length of time in its largest fitting unit."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _parser() -> Parser:
    parser = Parser(
        prog="tokenreward jobs",
        description="See and steer the service's jobs. The beginning of an id is enough to name a job.",
        epilog="`watch` ends with 0 if every item has rewards, 3 if some or all failed, 1 if the job was cancelled.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, action, help_text in (
        ("list", _list, "your jobs, newest first"),
        ("show", _show, "one job, and its first errors"),
        ("watch", _watch, "follow one job until it is over"),
        ("cancel", _cancel, "stop a job; what is finished keeps its rewards"),
        ("retry", _retry, "score a job's failed items again, or pin a job that nobody serves to another set-up"),
        ("delete", _delete, "remove a job that is over, with its results"),
    ):
        sub = actions.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(action=action)
        if name == "list":
            sub.add_argument("--limit", type=positive, default=20, metavar="N", help="how many (default: 20)")
        else:
            sub.add_argument("job", metavar="JOB", help="the job's id, or its first digits")
        if name in {"list", "show"}:
            sub.add_argument("--json", action="store_true", help="the service's own words")
        add_connection(sub)
    return parser
