"""The service's settings: `TOKENREWARD_*` environment variables, overridden by command-line options."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tokenreward.environment import Settings
from tokenreward.protocol.redis_url import check_redis_url
from tokenreward_service.addresses import is_loopback, path_prefix

LogFormat = Literal["text", "json"]


class ServiceSettings(Settings):
    """Settings of the API, and of the job store that it owns. Each field's description says what it is."""

    host: str = Field("127.0.0.1", description="Address the API binds.")
    port: int = Field(8383, ge=0, le=65535, description="Port the API binds; 0 picks a free one.")
    insecure: bool = Field(
        False, description="Serve beyond loopback although no API key exists: something else keeps strangers away."
    )
    allowed_hosts: str | None = Field(
        None,
        description="Host names that requests may be for beside this machine's, with commas between them; "
        "none: on a wide bind any, on loopback no other.",
    )
    root_path: str = Field(
        "",
        description="The path below which a reverse proxy offers the service, such as `/rewards`; "
        "none: the root, or what the proxy names in `X-Forwarded-Prefix`.",
    )
    declared_models: str | None = Field(
        None,
        description="Models that will be served, with commas between them: a job for one of them is accepted, and "
        "waits, also before its first worker has ever run.",
    )
    metrics_key: SecretStr | None = Field(
        None, description="A token that may read `/metrics` and nothing else, beside the keys of `tokenreward keys`."
    )
    log_format: LogFormat = Field("text", description="Log lines for people (text) or for programs (json).")
    redis_url: SecretStr | None = Field(
        None, description="Redis or Valkey to use, or its Sentinels; none: `tokenreward serve` runs its own."
    )
    data_dir: Path | None = Field(
        None, description="Where the embedded valkey-server keeps its data; none: thrown away."
    )
    blob_url: str | None = Field(None, description="fsspec URL (or directory) for payloads above `spill_bytes`.")
    spill_bytes: int = Field(262_144, gt=0, description="Payloads of at least this many bytes go to `blob_url`.")

    max_body_bytes: int = Field(512 * 2**20, gt=0, description="Largest request body, after decompression.")
    max_json_bytes: int = Field(
        64 * 2**20, gt=0, description="Largest JSON body, which is kept in memory as a whole; NDJSON is not."
    )
    max_held_bytes: int = Field(256 * 2**20, gt=0, description="Most bytes of JSON bodies in memory at once, else 429.")
    max_items: int = Field(1_000_000, gt=0, description="Most items in one job.")
    max_item_chars: int = Field(400_000, gt=0, description="Most characters in one item's prompt and response.")
    max_label_items: int = Field(64, gt=0, description="Most items in one `POST /v1/label`.")

    max_queued_shards: int = Field(100_000, gt=0, description="Shards that may wait before new work gets 429.")
    max_store_bytes: int = Field(
        0, ge=0, description="Memory the job store may use; 0: its own `maxmemory`, where it has one."
    )
    max_store_share: float = Field(0.9, gt=0, description="Share of that memory beyond which new work gets 429.")
    max_requests_per_key: int = Field(256, gt=0, description="Open requests for work with one key before 429.")

    shard_seconds: float = Field(
        3.0, gt=0, description="Scoring time a shard is cut for, by its worker's measured speed."
    )
    shard_tokens: int = Field(4096, gt=0, description="Estimated tokens in a shard while no speed is known.")
    shard_items: int = Field(512, gt=0, description="Most items in a shard.")
    merge_milliseconds: float = Field(4.0, ge=0, description="How long `POST /v1/label` calls wait to share a shard.")

    job_ttl_seconds: int = Field(
        7 * 86400, ge=0, description="How long a finished job is kept; 0: until it is deleted."
    )
    label_ttl_seconds: int = Field(3600, gt=0, description="The same for a job made by `POST /v1/label`.")
    label_wait_seconds: float = Field(30.0, gt=0, description="How long `POST /v1/label` waits before it answers 202.")

    teacher_wait_seconds: float = Field(
        600.0, gt=0, description="How long a request of a teacher wire, as `/v1/completions`, waits before its 503."
    )

    reconcile_seconds: float = Field(1.0, gt=0, description="How often lost work is looked for.")
    max_attempts: int = Field(3, ge=1, description="Workers that a single item may take down before it gets an error.")

    _usable = field_validator("redis_url")(check_redis_url)
    _prefix = field_validator("root_path")(path_prefix)

    @property
    def declared(self) -> tuple[str, ...]:
        """The names in `declared_models`."""
        return tuple(name.strip() for name in (self.declared_models or "").split(",") if name.strip())

    @property
    def needs_keys(self) -> bool:
        """Whether a key is asked for even if none was ever made."""
        return not is_loopback(self.host) and not self.insecure
