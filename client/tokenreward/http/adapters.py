"""`client.adapters`: putting versions of an adapter, listing them, and taking them off the list."""

from __future__ import annotations

from pathlib import Path

from tokenreward.http import endpoints, responses
from tokenreward.http.connection import Connection
from tokenreward.schema import AdapterInfo


class Adapters:
    """`client.adapters`: the LoRA adapters of served models.

    Every method raises ConnectionFailed if the service cannot be reached, and Rejected or Unavailable if it refuses.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, name: str, source: str | Path, *, model: str | None = None) -> AdapterInfo:
        """Make an adapter known to the workers of a model, as the newest version of its name.

        A worker reads it, checks that it fits, and keeps a copy, so the folder may be overwritten afterwards. What was
        accepted before is scored with the version that it was pinned to.

        Args:
            name: What a template's branch, or `models`, calls it.
            source: Its folder, as the workers see it, or its name on the Hugging Face hub.
            model: The served model that it belongs to. None means the only model that is served.

        Returns:
            The version. `f"{info.name}@{info.version}"` names it whatever is put later.

        Raises:
            Rejected: The adapter cannot be read, or does not fit the model.
        """
        return responses.read(
            AdapterInfo, self._connection.send(endpoints.put_adapter(self._model(model), name, source))
        )

    def list(self, *, model: str | None = None) -> list[AdapterInfo]:
        """Return every version of every adapter of a model, the newest first."""
        return responses.adapters(self._connection.send(endpoints.adapters(self._model(model))))

    def get(self, name: str, *, model: str | None = None) -> AdapterInfo:
        """Return the newest version of an adapter, or with `name@version` that one."""
        return responses.read(AdapterInfo, self._connection.send(endpoints.adapter(self._model(model), name)))

    def delete(self, name: str, *, model: str | None = None) -> None:
        """Take an adapter off the list, or with `name@version` that version. Jobs that are pinned to it go on."""
        self._connection.send(endpoints.delete_adapter(self._model(model), name))

    def _model(self, named: str | None) -> str:
        if named is not None:
            return named
        return responses.only_model(responses.models(self._connection.send(endpoints.get("/v1/models"))))
