"""`TOKENREWARD_*`: how every component reads its settings, and the names of all settings.

A setting comes from an argument, else from the environment, else from a file of that name in the secrets folder
(`TOKENREWARD_SECRETS_DIR`, by default /run/secrets, where container engines put them), else from its default. An empty
variable counts as absent, because compose files write `${NAME:-}`.

The components share one prefix and often one environment. Every name is listed here once, so that a typo can be told
from a setting of another component; a test compares the list with the settings classes.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from tokenreward.errors import BadInput

PREFIX = "TOKENREWARD_"

#: The fields of all components' settings classes.
SETTINGS = frozenset(
    (
        *("url", "api_key", "timeout", "connect_timeout", "patience"),
        *(
            "host",
            "port",
            "insecure",
            "allowed_hosts",
            "root_path",
            "declared_models",
            "metrics_key",
            "log_format",
            "redis_url",
            "data_dir",
        ),
        *("blob_url", "spill_bytes"),
        *("max_body_bytes", "max_json_bytes", "max_held_bytes", "max_items", "max_item_chars", "max_label_items"),
        *("max_queued_shards", "max_store_bytes", "max_store_share", "max_requests_per_key"),
        *("shard_seconds", "shard_tokens", "shard_items", "merge_milliseconds"),
        *("job_ttl_seconds", "label_ttl_seconds", "label_wait_seconds", "teacher_wait_seconds"),
        *("lease_seconds", "reconcile_seconds", "max_attempts"),
        *("model", "model_name", "engine", "dtype", "head_dtype", "max_tokens", "batch_tokens"),
        *("kv_gib", "gpu_memory", "tensor_parallel", "data_parallel"),
        *("adapters", "max_adapters", "max_adapter_rank"),
        *("endpoint", "wire", "endpoint_model", "endpoint_key", "endpoint_requests", "weights_hash"),
        *("cache_ttl_seconds", "stop_seconds"),
    )
)

#: Names that are read from the environment directly, and what for.
OTHERS = {
    "secrets_dir": "Folder of files, each named like a setting in lower case (`tokenreward_redis_url`), whose content "
    "is that setting where the environment has none. Default: /run/secrets, if it is there.",
    "cache": "Where a worker keeps converted models and hashes. Default: tokenreward in the XDG cache folder.",
    "synthetic_rate": "Engine `synthetic` only: responses a second; 0: as fast as it goes.",
    "synthetic_tokens_per_second": "Engine `synthetic` only: tokens a second; 0: as fast as it goes.",
    "synthetic_tokenizer": "Engine `synthetic` only: a model directory whose tokenizer it uses. Default: one of bytes.",
    "synthetic_poison": "Engine `synthetic` only: a response with this text (or these ids, a JSON list) kills it.",
    "synthetic_bug": "Engine `synthetic` only: a response with this text (or these ids, a JSON list) makes it raise.",
    "screenshots": "Tests of the web page only: a folder for pictures of it.",
    "parent_pid": "Set by a supervisor for its child, which ends with that process. Not for you.",
}

_SECRETS = Path("/run/secrets")


class Settings(BaseSettings):
    """The base of every component's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", protected_namespaces=()
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the secrets folder."""
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=secrets_folder())

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Return the settings.

        Args:
            **given: Settings that come before the environment.

        Raises:
            BadInput: A setting is wrong. The message never shows a value.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            raise BadInput(f"{PREFIX}{name.upper()}: {first['msg'].removeprefix('Value error, ')}") from None
        except OSError as error:
            raise BadInput(f"a secret in {secrets_folder()} cannot be read: {error.strerror}") from error


def secrets_folder() -> Path | None:
    """Return the folder where settings may stand as files, or None if there is none.

    Raises:
        BadInput: TOKENREWARD_SECRETS_DIR names no folder.
    """
    named = os.environ.get(PREFIX + "SECRETS_DIR")
    if not named:
        return _SECRETS if _SECRETS.is_dir() else None
    folder = Path(named)
    if not folder.is_dir():
        raise BadInput(f"{PREFIX}SECRETS_DIR: {named} is not a folder")
    return folder


def check_names(environment: Mapping[str, str] | None = None) -> None:
    """Refuse a `TOKENREWARD_*` variable or secret file that no component would read.

    Raises:
        BadInput: There is one. The message suggests the nearest name.
    """
    known = {PREFIX + name.upper() for name in (*SETTINGS, *OTHERS)}
    found = list(os.environ if environment is None else environment)
    folder = secrets_folder()
    found += [file.name for file in folder.iterdir()] if folder is not None else []
    for name in sorted(found):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise BadInput(
                f"{name} is not a setting{_guess(name.upper(), known)}; docs/configuration.md lists them all"
            )


def _guess(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""
