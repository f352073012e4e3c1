"""Makes the secrets of a deployment, once: the users of Redis with their rules, and the keys of each container.

    python -m tokenreward_service.tools.redis_acl /secrets --redis redis:6379

writes one folder for each part, which mounts that folder alone as /run/secrets. Secrets that exist stay as they are, so
this may run before every start; delete the files of all folders to have new ones.

    redis/users.acl redis/admin_password
    api/tokenreward_redis_url api/tokenreward_metrics_key
    worker/tokenreward_redis_url
    prometheus/metrics_key
    grafana/admin_password

In Redis, `worker` cannot see or change API keys, `default` (a client without a password) can only ask whether it is up,
and `admin` may do everything.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from tokenreward.protocol import keys

#: The keys that workers read and write, by their names in `keys.PATTERNS`.
_WORKERS_KEYS = [
    *["job", "idempotency", "shard", "queued", "front", "claimed"],
    *["scoring", "worker", "workers", "models", "cache"],
]

#: What each user may do, as Redis ACL rules. `tests/deploy` runs a whole stack with them.
RULES: Mapping[str, str] = {
    "api": f"resetchannels &{keys.EVENTS} ~tr:* ~rq:* +@all -@admin -@dangerous +info +client|list +acl|whoami",
    "worker": f"resetchannels &{keys.EVENTS} " + " ".join(f"~{keys.glob(name)}" for name in _WORKERS_KEYS) + " ~rq:*"
    " +@read +@write +@connection +@transaction +@scripting -@admin -@dangerous -keys"
    " +info +time +client|list +client|setname +client|setinfo +publish",
    "admin": "~* &* +@all",
}
_NOBODY = "user default on nopass resetkeys resetchannels -@all +ping"


def acl(passwords: Mapping[str, str]) -> str:
    """An ACL file for Redis or Valkey, from a password for each user of RULES; it holds their hashes only."""
    lines = [_NOBODY]
    for user, rules in RULES.items():
        hashed = hashlib.sha256(passwords[user].encode()).hexdigest()
        lines.append(f"user {user} on #{hashed} {rules}")
    return "\n".join(lines) + "\n"


def contents(redis: str) -> dict[str, str]:
    """The content of every file, by its path below the folder, with fresh passwords. redis: `host:port`."""
    passwords = {user: secrets.token_urlsafe(32) for user in RULES}
    metrics_key = secrets.token_urlsafe(32)
    return {
        "redis/users.acl": acl(passwords),
        "redis/admin_password": passwords["admin"],
        "api/tokenreward_redis_url": f"redis://api:{passwords['api']}@{redis}/0",
        "api/tokenreward_metrics_key": metrics_key,
        "worker/tokenreward_redis_url": f"redis://worker:{passwords['worker']}@{redis}/0",
        "prometheus/metrics_key": metrics_key,
        "grafana/admin_password": secrets.token_urlsafe(18),
    }


def write(folder: Path, redis: str) -> bool:
    """Make the secrets, if none is there.

    Args:
        folder: Where they go.
        redis: `host:port` at which the others find Redis.

    Returns:
        Whether they were made.

    Raises:
        SystemExit: A part of them is there, and a part is not.
    """
    made = contents(redis)
    there = [path for path in made if (folder / path).exists()]
    if len(there) == len(made):
        return False
    if there:
        missing = ", ".join(sorted(set(made) - set(there)))
        raise SystemExit(f"{folder} has some secrets, but not {missing}: put it back, or delete all of them")
    # In order, the last one last: a run that was cut off is seen by the next one.
    for path, content in made.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
        # Each folder is mounted into one container only, whose user may be any.
        file.chmod(0o444)
    return True


def main() -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tokenreward_service.tools.redis_acl", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--redis", default="redis:6379", metavar="HOST:PORT", help="where the others find Redis")
    arguments = parser.parse_args()
    made = write(arguments.folder, arguments.redis)
    print(f"secrets in {arguments.folder}: {'made' if made else 'there already'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
