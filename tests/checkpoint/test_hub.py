"""Names on the hub: what is missing of a model is fetched, what is there is not asked for, close names are offered."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.waiting import patience
from tests.checkpoint.test_folder import index, safetensors
from tokenreward.checkpoint.hub import did_you_mean, find_model
from tokenreward.errors import BadInput

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
NAME = "acme/tiny-chat"


class Hub:
    """A hub of one repository, which counts what it is asked."""

    def __init__(self, files: Path) -> None:
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                hub.asked.append(path)
                there = sorted(file for file in files.iterdir() if file.is_file())
                if re.fullmatch(r"/api/models/[^/]+/[^/]+/tree/[^/]+(/.*)?", path):
                    listing = [
                        {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _etag(file)}
                        for file in there
                    ]
                    self._answer(200, json.dumps(listing).encode())
                elif path.startswith("/api/models/"):
                    about = {"id": NAME, "sha": COMMIT, "private": False, "gated": False, "tags": [], "downloads": 0}
                    siblings = [{"rfilename": file.name} for file in there]
                    self._answer(200, json.dumps(about | {"likes": 0, "siblings": siblings}).encode())
                elif (found := re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)", path)) and (files / found[1]).is_file():
                    file = files / found[1]
                    self._answer(200, file.read_bytes(), {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT})
                else:
                    self._answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

            do_HEAD = do_GET  # noqa: N815 (the server calls it so)

            def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    made = tmp_path / "repository"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (made / "tokenizer.json").write_text(json.dumps({"model": {}}))
    (made / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    (made / "chat_template.jinja").write_text("{{ messages }}")
    for n in (1, 2):
        safetensors(made / f"model-{n}.safetensors", f"weight.{n}")
    index(made, "model.safetensors", "model-1.safetensors", "model-2.safetensors")
    safetensors(made / "consolidated.safetensors", "in another format")
    (made / "pytorch_model.bin").write_bytes(b"\x80\x02")
    return made


@pytest.fixture
def hub(files: Path) -> Iterator[Hub]:
    made = Hub(files)
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(code: str, url: str, home: Path, *, offline: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own: the hub's client reads its settings when it is imported."""
    environment = {"HF_ENDPOINT": url, "HF_HOME": str(home), "PATH": "", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1"} if offline else {}
    given = [sys.executable, "-c", code]
    return subprocess.run(given, env=environment, capture_output=True, text=True, timeout=patience(60), check=False)


def find(url: str, home: Path, *, offline: bool = False) -> list[str] | str:
    """The names of the files that are there afterwards, or what was said."""
    code = (
        "from tokenreward.checkpoint.hub import find_model\n"
        "from tokenreward.errors import BadInput\n"
        f"try: print(*sorted(file.name for file in find_model({NAME!r}).iterdir()))\n"
        "except BadInput as error: print('REFUSED', error)"
    )
    done = run(code, url, home, offline=offline)
    assert done.returncode == 0, done.stderr
    return done.stdout if done.stdout.startswith("REFUSED") else done.stdout.split()


SOME_SHARDS = ["model.safetensors.index.json", "model-1.safetensors"]
CHECKPOINT = ["chat_template.jinja", "config.json", "model-1.safetensors", "model-2.safetensors"]
CHECKPOINT += ["model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize(
    "cached",
    [
        [],
        ["tokenizer.json", "tokenizer_config.json"],
        ["config.json"],
        [
            "config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors.index.json",
            "model-1.safetensors",
        ],
    ],
)
def test_what_is_missing_of_a_model_is_fetched_and_a_whole_one_is_not_asked_for(
    hub: Hub, tmp_path: Path, cached: list[str]
) -> None:
    home = tmp_path / "home"
    if cached:
        fetch = f"from huggingface_hub import hf_hub_download\nfor name in {cached}: hf_hub_download({NAME!r}, name)"
        assert run(fetch, hub.url, home).returncode == 0
    hub.asked.clear()
    assert find(hub.url, home) == CHECKPOINT
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert not fetched & {*cached, "consolidated.safetensors", "pytorch_model.bin"}
    hub.asked.clear()
    assert find(hub.url, home) == CHECKPOINT
    assert hub.asked == []
    assert find("http://127.0.0.1:1", home, offline=True) == CHECKPOINT
    assert find("http://127.0.0.1:1", home) == CHECKPOINT


def test_torchs_own_weights_are_fetched_only_where_there_are_no_safetensors(
    hub: Hub, files: Path, tmp_path: Path
) -> None:
    for file in files.glob("*.safetensors*"):
        file.unlink()
    found = find(hub.url, tmp_path / "home")
    assert "pytorch_model.bin" in found
    hub.asked.clear()
    assert find(hub.url, tmp_path / "home") == found
    assert hub.asked == []


def test_a_hub_that_is_away_or_has_no_such_model_is_said_in_one_line(hub: Hub, tmp_path: Path) -> None:
    for url, offline in (("http://127.0.0.1:1", False), ("http://127.0.0.1:1", True)):
        said = find(url, tmp_path / "home", offline=offline)
        assert isinstance(said, str)
        assert f"model '{NAME}': no such directory" in said
        assert said.count("\n") == 1


def test_a_directory_is_taken_as_it_is_and_close_names_are_offered(tmp_path: Path) -> None:
    (tmp_path / "Llama-tiny").mkdir()
    assert find_model(str(tmp_path / "Llama-tiny")) == tmp_path / "Llama-tiny"
    with pytest.raises(BadInput, match=r"no such directory .*; did you mean '.*/Llama-tiny'\?"):
        find_model(str(tmp_path / "llama-tiny2"))
    with pytest.raises(BadInput, match="did you mean 'demo'"):
        find_model("dem", ["demo"])
    assert did_you_mean(str(tmp_path / "quite-another")) == ""
    (tmp_path / "weights.gguf").touch()
    with pytest.raises(BadInput, match="is a file"):
        find_model(str(tmp_path / "weights.gguf"))
