"""Services of the compose file as local processes: the same commands, environments, mounts, order and health checks.

What a container gives is stood in for as little as possible: each service has a folder whose entries link to its
mounts, and paths in its command and environment lead there; `redis:6379` and published ports become free ports of
loopback; `valkey-cli ping` is asked by Python, because no wheel brings that program; what Python compiles is kept,
because an image holds it compiled.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.processes import Process, free_port
from benchmarks.harness.waiting import patience, wait_for
from tests.deploy.composefile import ROOT, Service, seconds, services
from tokenreward_service.embedded.valkey import find_server

_BIN = Path(sys.executable).parent
_CLI = """#!{python}
import sys, redis
print("PONG" if sys.argv[1:] == ["ping"] and redis.Redis(port={port}, socket_timeout=3).ping() else "no")
"""


class Composed:
    """Use as a context manager; `up` what you need."""

    def __init__(self, folder: Path, profile: str, environment: dict[str, dict[str, str]] | None = None) -> None:
        self.folder = folder
        self.services = services(profile)
        self.ports = {"redis": free_port(), "api": free_port()}
        self.url = f"http://127.0.0.1:{self.ports['api']}"
        self._extra = environment or {}
        self._running: dict[str, Process] = {}
        tools = folder / "bin"
        tools.mkdir()
        cli = tools / "valkey-cli"
        cli.write_text(_CLI.format(python=sys.executable, port=self.ports["redis"]))
        cli.chmod(0o755)

    def __enter__(self) -> Composed:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running.values()):
            process.stop()

    def volume(self, name: str) -> Path:
        path = self.folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def up(self, name: str) -> None:
        """Start a service once what it needs is there, and wait until it is as Compose would wait for it."""
        service = self.services[name]
        for needed, condition in service.needs.items():
            if needed not in self._running:
                self.up(needed)
            assert condition in ("service_healthy", "service_completed_successfully")
        log = self.folder / f"{name}.log"
        self._running[name] = Process(self._command(service, service.command + self._listening(name)), log)
        if "healthcheck" in service.content:
            if name.startswith("worker"):  # it loads a model: every check would cost the processor what it waits for
                wait_for(lambda: self._alive(name) and " serves " in self.output(name), 180, name)
            wait_for(lambda: self.healthy(name), 60, name)
        else:
            assert self._running[name].wait(60) == 0, self.output(name)

    def healthy(self, name: str) -> bool:
        """What the health check says; a service that has ended fails the test."""
        self._alive(name)
        check = self._command(self.services[name], self.services[name].health)
        return subprocess.run(check, check=False, capture_output=True, timeout=patience(60)).returncode == 0

    def _alive(self, name: str) -> bool:
        assert self._running[name].popen.poll() is None, self.output(name)
        return True

    def down(self, name: str) -> int:
        """SIGTERM, and the exit status; killed after the grace period, as Compose would."""
        process = self._running.pop(name)
        return process.stop(seconds(self.services[name].content["stop_grace_period"]))

    def output(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    # ---- from a container to this machine -----------------------------------------------------------------

    def _listening(self, name: str) -> list[str]:
        return ["--port", str(self.ports[name])] if name in self.ports else []

    def _command(self, service: Service, command: list[str]) -> list[str]:
        root = self._root(service)
        environment = {name: self._here(value, root) for name, value in service.environment.items()}
        # Here /run/secrets is this machine's own.
        environment["TOKENREWARD_SECRETS_DIR"] = str(root / "run/secrets")
        environment["PATH"] = os.pathsep.join([str(self.folder / "bin"), str(_BIN), os.environ["PATH"]])
        environment["HOME"] = str(root / "tmp")
        environment["TOKENREWARD_PARENT_PID"] = str(os.getpid())
        environment |= {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= self._extra.get(service.name, {})
        program, *arguments = [self._here(argument, root) for argument in command]
        programs = {
            "valkey-server": str(find_server()),
            "python": sys.executable,
            "tokenreward": str(_BIN / "tokenreward"),
        }
        pairs = [f"{name}={value}" for name, value in environment.items()]
        return ["env", "-i", *pairs, programs.get(program, program), *arguments]

    def _root(self, service: Service) -> Path:
        root = self.folder / "roots" / service.name
        (root / "tmp").mkdir(parents=True, exist_ok=True)
        for target, source in service.volumes.items():
            link = root / target.lstrip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(ROOT / source if source.startswith(".") else self.volume(source))
        return root

    def _here(self, text: str, root: Path) -> str:
        text = text.replace("redis:6379", f"127.0.0.1:{self.ports['redis']}")
        text = text.replace(":8383", f":{self.ports['api']}")
        return re.sub(
            r"(^|=)(/[\w.-]+)((?:/[\w.-]+)*)$",
            lambda m: m[1] + (str(root) + m[2] + m[3] if (root / m[2].lstrip("/")).exists() else m[2] + m[3]),
            text,
        )
