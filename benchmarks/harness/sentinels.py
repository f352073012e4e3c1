"""A stack whose store is a primary with replicas, watched by three Sentinels: real processes, users and passwords."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.sentinel import Sentinel

from benchmarks.harness.processes import Process, free_port
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tokenreward_service.embedded.valkey import find_server
from tokenreward_service.tools import redis_acl as deployment

#: The master name, and the passwords: of each user of the store, and of the Sentinels themselves.
NAME = "rewards"
PASSWORDS = {user: f"{user}-secret" for user in (*deployment.RULES, "sentinel", "replica")}
SENTINEL_PASSWORD = "ask-me"
#: How long a server may stay silent, in milliseconds, before Sentinels mark it down.
DOWN_AFTER = 1000
#: And while all of them start, which takes long on a busy machine.
_DOWN_AFTER_AT_START = 60_000
#: After how long a Sentinel that was told to change over is told again. It gives up after 5 seconds.
_ASK_AGAIN_SECONDS = 10
#: What docs/operations.md says of the two users that the store needs besides.
EXTRA_RULES = {
    "sentinel": "allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info"
    " +client|setname +client|kill +script|kill",
    "replica": "+psync +replconf +ping",
}


class Watched(Stack):
    """Starts with the first of the servers as primary. `servers` has their processes by port.

    options: For all servers, such as `--min-replicas-to-write 1`.
    replicas: How many servers there are beside the primary.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str], options: Sequence[str] = (), replicas: int = 1
    ) -> None:
        super().__init__(folder, environment)
        self.options = tuple(options)
        self.ports = [free_port() for _ in range(1 + replicas)]
        self.sentinel_ports = [free_port() for _ in range(3)]
        self.servers: dict[int, Process] = {}
        self.sentinels: list[Process] = []
        self.redis_url = self.url_of("api")
        self.redis.close()
        self.redis = self._store()

    def _store(self) -> redis.Redis:
        """A client of whichever server is the primary."""
        found = Sentinel(
            [("127.0.0.1", port) for port in self.sentinel_ports],
            sentinel_kwargs={"password": SENTINEL_PASSWORD, "socket_timeout": 5},
        )
        client: redis.Redis = found.master_for(NAME, username="admin", password=PASSWORDS["admin"], socket_timeout=5)
        return client

    def url_of(self, user: str, name: str = NAME) -> str:
        """The address of the store, by its Sentinels. The first one of the list is never there."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in (free_port(), *self.sentinel_ports))
        return f"redis+sentinel://{user}:{PASSWORDS[user]}@{hosts}/{name}/0?sentinel_password={SENTINEL_PASSWORD}"

    def client(self, port: int) -> redis.Redis:
        """A client of one of the servers."""
        return redis.Redis(port=port, username="admin", password=PASSWORDS["admin"], socket_timeout=5)

    @property
    def primary(self) -> int:
        """The port of the server that the Sentinels agree upon."""
        told = set()
        for port in self.sentinel_ports:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=5) as sentinel:
                told.add(int(sentinel.sentinel_get_master_addr_by_name(NAME)[1]))
        (port,) = told if len(told) == 1 else (0,)
        return port

    def replicas(self) -> list[int]:
        """The ports of all servers but the primary."""
        primary = self.primary
        return [port for port in self.ports if port != primary]

    def followed(self) -> bool:
        """Whether all the others follow the primary."""
        with self.client(self.primary) as client:
            info = client.info("replication")
        online = sum(info[f"slave{n}"]["state"] == "online" for n in range(info.get("connected_slaves", 0)))
        return online == len(self.ports) - 1

    def seen_down(self) -> set[int]:
        """The ports of the replicas that every Sentinel sees down."""
        seen = []
        for port in self.sentinel_ports:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=5) as sentinel:
                seen.append({one["port"] for one in sentinel.sentinel_slaves(NAME) if one["is_sdown"]})
        return set.intersection(*seen)

    def down_after(self, milliseconds: int) -> None:
        """Have the Sentinels mark a server down when it has not answered for so long."""
        for port in self.sentinel_ports:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=5) as sentinel:
                sentinel.sentinel_set(NAME, "down-after-milliseconds", milliseconds)

    def change_over(self) -> None:
        """Have a replica take over while the primary lives, and wait until it has.

        A busy machine may outlast the Sentinel's patience with the replica; it gives up then, and is asked again.
        """
        before = wait_for(lambda: self.primary, 30, "a primary")
        asked = 0.0
        with redis.Redis(port=self.sentinel_ports[0], password=SENTINEL_PASSWORD, socket_timeout=5) as sentinel:

            def led() -> bool:
                nonlocal asked
                if int(sentinel.sentinel_get_master_addr_by_name(NAME)[1]) != before:
                    return True
                if time.monotonic() - asked > _ASK_AGAIN_SECONDS:
                    asked = time.monotonic()
                    with contextlib.suppress(redis.ResponseError):  # the end of another failover is waited for
                        sentinel.execute_command("SENTINEL", "FAILOVER", NAME)
                return False

            wait_for(led, 60, "the failover")
        wait_for(lambda: self.primary not in (0, before), 30, "the Sentinels' agreement")

    def start_valkey(self, *arguments: str) -> None:
        for port in self.ports:
            self.start_server(port, *arguments)
        for port in self.ports[1:]:
            with self.client(port) as replica:
                replica.replicaof("127.0.0.1", self.ports[0])
                wait_for(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the first copy")
        for port in self.sentinel_ports:
            self._start_sentinel(port)
        wait_for(lambda: self.primary == self.ports[0] and self.followed(), 20, "the replicas")
        wait_for(self._sentinels_know_all, 20, "the Sentinels")
        self.down_after(DOWN_AFTER)

    def start_server(self, port: int, *arguments: str) -> None:
        """Start a server with the data that it had. It obeys the Sentinels, should there be another primary by now."""
        home = self.folder / f"server-{port}"
        home.mkdir(exist_ok=True)
        extra = [f"user {user} on >{PASSWORDS[user]} {rules}\n" for user, rules in EXTRA_RULES.items()]
        (home / "users.acl").write_text(deployment.acl(PASSWORDS) + "".join(extra))
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(home),
            "aclfile": str(home / "users.acl"),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "masteruser": "replica",
            "masterauth": PASSWORDS["replica"],
            "repl-diskless-sync-delay": "0",
        }
        # A file, because Sentinels have the server write down whom it follows.
        settings = home / "valkey.conf"
        if not settings.exists():
            settings.write_text("".join(f'{name} "{value}"\n' for name, value in options.items()))
        command = [str(find_server()), str(settings), *self.options, *arguments]
        self.servers[port] = Process(command, home / "valkey.log")
        with self.client(port) as client:
            wait_for(client.ping, 20, "valkey-server")

    def _start_sentinel(self, port: int) -> None:
        settings = self.folder / f"sentinel-{port}.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.folder}\nrequirepass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.ports[0]} 2\n"
            f"sentinel auth-user {NAME} sentinel\nsentinel auth-pass {NAME} {PASSWORDS['sentinel']}\n"
            f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER_AT_START}\nsentinel failover-timeout {NAME} 5000\n"
        )
        command = [str(find_server()), str(settings), "--sentinel"]
        self.sentinels.append(Process(command, self.folder / f"sentinel-{port}.log"))

    def _sentinels_know_all(self) -> bool:
        for port in self.sentinel_ports:
            with redis.Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=5) as sentinel:
                state = sentinel.sentinel_master(NAME)
            if (state["num-other-sentinels"], state["num-slaves"]) != (2, len(self.ports) - 1):
                return False
        return True

    def start_worker(self, *arguments: str, engine: str = "synthetic", supervised: bool = False, **env: str) -> Process:
        as_worker = {"TOKENREWARD_REDIS_URL": self.url_of("worker")} | env
        return super().start_worker(*arguments, engine=engine, supervised=supervised, **as_worker)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for sentinel in self.sentinels:
            sentinel.stop()
        for server in self.servers.values():  # one that is asked to end waits for its replica
            server.kill()
