"""Every `TOKENREWARD_*` is documented, and what is not one stops the start with a message that says so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.harness.processes import COMMAND
from benchmarks.harness.waiting import patience
from tests.deploy import configuration
from tests.deploy.composefile import ROOT, raw, services
from tokenreward import environment
from tokenreward.environment import PREFIX, check_names
from tokenreward.errors import BadInput
from tokenreward_service.settings import ServiceSettings
from tokenreward_workers.process.supervisor import HOPELESS

KNOWN = {PREFIX + name.upper() for name in (*environment.SETTINGS, *environment.OTHERS)}


def start(command: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`tokenreward COMMAND`, which must end by itself."""
    pairs = [f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables}.items()]
    return subprocess.run(
        ["env", "-i", *pairs, *COMMAND, *command.split()],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )


def test_the_page_in_docs_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert page == configuration.render(), "python tests/deploy/configuration.py > docs/configuration.md"


def test_the_table_of_names_is_that_of_the_settings_classes() -> None:
    fields = {name for settings, _ in configuration.COMPONENTS.values() for name in settings.model_fields}
    assert fields == environment.SETTINGS


def test_every_name_in_the_code_and_the_deployment_is_a_setting() -> None:
    folders = ["client", "service", "workers", "trainer", "benchmarks", "docs"]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".md", ".yml")]
    files += [ROOT / "docker-compose.yml", ROOT / "README.md", *ROOT.glob("*/Dockerfile")]
    for file in files:
        found = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", file.read_text("utf-8")))
        assert found <= KNOWN, file


def test_every_setting_of_a_container_is_one_that_it_reads() -> None:
    assert raw()
    for service in services().values():
        for name in service.environment:
            assert not name.startswith(PREFIX) or name in KNOWN


@pytest.mark.parametrize("command", ["serve --engine synthetic", "worker --engine synthetic"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TOKENREWARD_LEASE_SECOND", "5", "did you mean TOKENREWARD_LEASE_SECONDS?"),
        ("TOKENREWARD_WHATEVER", "5", "TOKENREWARD_WHATEVER is not a setting"),
        ("tokenreward_leese_seconds", "5", "did you mean TOKENREWARD_LEASE_SECONDS?"),
        ("TOKENREWARD_LEASE_SECONDS", "soon", "TOKENREWARD_LEASE_SECONDS: Input should be a valid number"),
        ("TOKENREWARD_LEASE_SECONDS", "0", "TOKENREWARD_LEASE_SECONDS: Input should be greater than 0"),
        ("TOKENREWARD_SECRETS_DIR", "/no/such/folder", "/no/such/folder is not a folder"),
        ("TOKENREWARD_REDIS_URL", "store:6379", "TOKENREWARD_REDIS_URL: Should be redis://, rediss:// or unix://"),
        ("TOKENREWARD_REDIS_URL", "redis://api:pass/word@store", "%XX for what is special in the password"),
        (
            "TOKENREWARD_REDIS_URL",
            "redis+sentinel://one:26379,two:26379",
            "redis+sentinel://HOST:26379,HOST:26379/MASTER",
        ),
        ("TOKENREWARD_REDIS_URL", "redis+sentinel://one:26379/store/first", "Should be redis://, rediss:// or unix://"),
        ("TOKENREWARD_REDIS_URL", "rediss+sentinel://one:port/store", "Should be redis://, rediss:// or unix://"),
        ("TOKENREWARD_BLOB_URL", "nowhere://blobs", "TOKENREWARD_BLOB_URL cannot be used: Protocol not known"),
    ],
)
def test_what_is_no_setting_stops_the_start(command: str, variable: str, value: str, said: str, tmp_path: Path) -> None:
    ended = start(command, tmp_path, **{variable: value})
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_that_could_never_start_is_not_started_again(tmp_path: Path) -> None:
    ended = start("worker --engine synthetic --redis-url redis://x", tmp_path, TOKENREWARD_SYNTHETIC_RATE="fast")
    assert ended.returncode == HOPELESS
    assert ended.stderr.splitlines() == ["tokenreward worker: TOKENREWARD_SYNTHETIC_RATE: Input should be a number"]


def test_the_settings_of_all_components_may_stand_in_one_environment() -> None:
    check_names(dict.fromkeys(KNOWN, "x") | {"PATH": "x", "OTHER_TOKENREWARD_X": "x"})


def test_a_setting_is_read_from_a_secret_file_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenreward_redis_url").write_text("redis://api:password@store:6379/0\n")
    (tmp_path / "tokenreward_metrics_key").write_text("key")
    monkeypatch.setenv("TOKENREWARD_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("TOKENREWARD_DATA_DIR", "")
    settings = ServiceSettings.read()
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://api:password@store:6379/0"
    assert settings.data_dir is None, "empty counts as none"
    assert "password" not in repr(settings)
    monkeypatch.setenv("TOKENREWARD_METRICS_KEY", "other")
    key = ServiceSettings.read().metrics_key
    assert key is not None
    assert key.get_secret_value() == "other"


def test_a_secret_file_with_a_typo_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenreward_redis_uri").write_text("redis://x")
    (tmp_path / "something_else").write_text("of another program")
    monkeypatch.setenv("TOKENREWARD_SECRETS_DIR", str(tmp_path))
    with pytest.raises(BadInput, match="did you mean TOKENREWARD_REDIS_URL"):
        check_names()


def test_a_message_about_a_secret_does_not_show_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_RECONCILE_SECONDS", "s3cret")
    with pytest.raises(BadInput) as caught:
        ServiceSettings.read()
    assert "s3cret" not in str(caught.value)
