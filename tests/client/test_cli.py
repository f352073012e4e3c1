"""The command table, and that asking it anything loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import tokenreward
from tokenreward import cli
from tokenreward.errors import BadInput

HEAVY = {"torch", "transformers", "fastapi", "redis", "pyarrow", "datasets", "numpy", "httpx2", "rich", "pydantic"}
SERVERS = {"torch", "transformers", "fastapi", "redis", "pyarrow", "datasets", "rq", "starlette", "vllm"}


def _loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_else() -> None:
    assert not _loaded_by("import tokenreward") & HEAVY


def test_help_and_version_load_nothing_else() -> None:
    assert not _loaded_by("from tokenreward.cli import main; main(['--help']); main(['--version'])") & HEAVY


@pytest.mark.parametrize("command", ["label", "show"])
def test_a_light_commands_help_loads_no_server_library(command: str) -> None:
    code = f"from tokenreward.cli import main\ntry: main(['{command}', '--help'])\nexcept SystemExit: pass"
    assert not _loaded_by(code) & SERVERS


def test_using_the_whole_public_api_loads_no_server_library() -> None:
    assert not _loaded_by("from tokenreward import *") & SERVERS


def test_every_public_name_exists() -> None:
    assert all(getattr(tokenreward, name) is not None for name in tokenreward.__all__)
    assert {n for names in tokenreward._HOME.values() for n in names} | {"__version__"} == set(tokenreward.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        _ = tokenreward.Klient


def test_every_command_of_the_client_exists() -> None:
    ours = [where for where, _ in cli.COMMANDS.values() if where.startswith("tokenreward.")]
    for where in ours:
        module, _, function = where.partition(":")
        assert callable(getattr(import_module(module), function))


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "label" in capsys.readouterr().out
    assert cli.main(["lable"]) == 2
    assert "no command 'lable'" in capsys.readouterr().err


def test_an_error_of_ours_is_a_message_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: list[str]) -> int:
        raise BadInput("row 3, column 'chosen': empty")

    monkeypatch.setattr(cli, "_load", lambda _: fails)
    assert cli.main(["label"]) == 1
    assert capsys.readouterr().err == "tokenreward label: row 3, column 'chosen': empty\n"


def test_a_full_disk_is_a_message(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: list[str]) -> int:
        raise OSError(28, "No space left on device", "out.parquet")

    monkeypatch.setattr(cli, "_load", lambda _: full)
    assert cli.main(["label"]) == 1
    assert capsys.readouterr().err == "tokenreward label: [Errno 28] No space left on device: 'out.parquet'\n"


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_load", lambda _: interrupted)
    assert cli.main(["label"]) == 130


def test_a_missing_extra_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")

    monkeypatch.setattr(cli, "import_module", missing)
    assert cli.main(["serve"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("tokenreward serve: this command needs fastapi, which is not installed here; install it: ")
    assert "pip install 'tokenreward[" not in said  # it is on no index
