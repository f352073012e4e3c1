"""Items as Arrow: one blob for a slice of a job's input."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from tokenreward.protocol.arrow_blobs.ipc import FAILURE, read_table, utf8, write_table
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.protocol.records import Corrupt
from tokenreward.schema import Item, ItemFailure, Message

ENTRIES_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "error": FAILURE,  # where it is set, the input had no item here, and the rest is null
        "prompt": pa.string(),  # JSON: a string, a list of messages, or an object where an item has more fields
        "response": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "finished": pa.bool_(),
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a job's input: an item, or the reason why there is no valid item.

    Attributes:
        id: The item's own id, if it had one.
        item: The item.
        failure: What is wrong with the input there.
    """

    id: str | None
    item: Item | IdsItem | None = None
    failure: ItemFailure | None = None


def pack_entries(entries: Iterable[Entry]) -> bytes:
    """Return the blob of these entries."""
    return write_table(pa.Table.from_pylist([_entry_row(entry) for entry in entries], schema=ENTRIES_SCHEMA))


def unpack_entries(data: bytes, offset: int, count: int) -> list[Entry]:
    """Return `count` entries of a blob, from `offset` on.

    Raises:
        Corrupt: The blob cannot be read, or holds fewer.
    """
    rows = read_table(data, ENTRIES_SCHEMA).slice(offset, count).to_pylist()
    if len(rows) != count:
        raise Corrupt(f"a slice holds {len(rows)} items where {count} were promised")
    return [_entry(row) for row in rows]


def unpack_ids(data: bytes) -> list[str | None]:
    """Return the ids of a whole blob. Raises Corrupt."""
    ids: list[str | None] = read_table(data, ENTRIES_SCHEMA)["id"].to_pylist()
    return ids


def _entry_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"id": utf8(entry.id), "error": entry.failure and entry.failure.model_dump()}
    if isinstance(item := entry.item, IdsItem):
        stored = item.model_dump(include={"prompt_ids", "named_ids"}, exclude_none=True)
        row |= {"prompt": json.dumps(stored), "token_ids": item.token_ids}
    elif item is not None:
        row["prompt"] = json.dumps(_conversation(item))
        row |= {
            "response": item.response if isinstance(item.response, str) else None,
            "token_ids": item.token_ids,
            "finished": item.finished,
        }
    return row


def _conversation(item: Item) -> Any:
    """What stands in the column `prompt`.

    The fields that most items do not have stand there too, as an object. So items without them are stored as they
    always were, and an upgrade reads those that wait.
    """
    prompt = item.prompt if isinstance(item.prompt, str) else [message.model_dump() for message in item.prompt]
    more = item.model_dump(
        include={"tools", "chat_template_kwargs", "context", "spans", "named_ids"}, exclude_none=True
    )
    if isinstance(item.response, Message):
        more["response"] = item.response.model_dump()
    elif isinstance(item.response, list):
        more["response"] = [message.model_dump() for message in item.response]
    if item.score != "last":
        more["score"] = item.score
    return {"prompt": prompt, **more} if more else prompt


def _entry(row: dict[str, Any]) -> Entry:
    failure = row.pop("error")
    try:
        if failure is not None:
            return Entry(row["id"], failure=ItemFailure(**failure))
        stored = json.loads(row["prompt"])
        if isinstance(stored, dict) and "prompt_ids" in stored:
            return Entry(row["id"], item=IdsItem(id=row["id"], token_ids=row["token_ids"], **stored))
        return Entry(row["id"], item=Item(**{**row, **(stored if isinstance(stored, dict) else {"prompt": stored})}))
    except (ValueError, TypeError, ValidationError) as error:
        raise Corrupt("an item in Redis cannot be read") from error
