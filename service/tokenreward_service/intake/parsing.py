"""From a request body to entries: bounded, streamed, each item checked on its own.

A body that cannot be parsed is one problem and nothing is accepted. An item that parses but is wrong becomes an
entry with a failure, and its neighbours go on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.schema import Item, ItemFailure, JobOptions, PointedError
from tokenreward_service.intake.admission import Admission
from tokenreward_service.intake.json_shape import check_shape
from tokenreward_service.problems import ProblemError, listed, pointed
from tokenreward_service.settings import ServiceSettings

#: Lines are handed on in runs of about this many bytes, so that the event loop breathes in between.
_RUN_BYTES = 262_144
#: A JSON body above this size is parsed in a thread.
_AT_ONCE_BYTES = 262_144
#: What one character, or one token id, takes in JSON at most (\\uXXXX twice).
_BYTES_PER_CHARACTER = 12

Body = TypeVar("Body", bound=BaseModel)


async def read_json(
    body: AsyncIterator[bytes],
    kind: type[Body],
    settings: ServiceSettings,
    admission: Admission | None = None,
    ends: bytes = b"",
) -> Body:
    """Read a whole JSON body.

    Args:
        body: The decompressed body.
        kind: The model that it has to be.
        settings: The limits.
        admission: Accounts for the memory that the body takes.
        ends: What ends an item in it, for `check_shape`.

    Raises:
        ProblemError: 400 if it cannot be parsed, 413 if it is too large or has too much structure, 422 if it is no
            `kind`, 429 if there is no memory for it.
    """
    data = bytearray()
    async for chunk in body:
        if admission is not None:
            admission.hold(len(chunk))
        data += chunk
        if len(data) > settings.max_json_bytes:
            detail = f"A JSON body takes at most {settings.max_json_bytes} bytes; send NDJSON, or several jobs."
            raise ProblemError(413, "Body too large", detail)
    await check_shape(data, "The body", ends)
    try:
        if len(data) <= _AT_ONCE_BYTES:
            return kind.model_validate_json(bytes(data))
        return kind.model_validate(await asyncio.to_thread(_parsed, data))
    except ValidationError as error:
        errors = listed(error)
        if errors[0]["type"] == "json_invalid":
            raise ProblemError(400, "Malformed body", errors[0]["msg"]) from None
        raise ProblemError(422, "Invalid request", errors=pointed(errors)) from None
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "Malformed body", f"Invalid JSON: {error}") from None


def _parsed(data: bytearray) -> Any:
    """For a thread. pydantic would hold the GIL to the end; this hands it over at every object, which an item is."""
    return json.loads(str(data, "utf-8"), object_hook=_sound)


def _sound(found: dict[str, Any]) -> dict[str, Any]:
    """The object itself. Raises ValueError for half a surrogate pair, which Python's parser lets pass."""
    for text in (*found, *found.values()):
        if isinstance(text, str) and not text.isascii():
            text.encode()
    return found


def options_of(request: JobOptions) -> JobOptions:
    """The options of a request without its items."""
    return JobOptions(**{name: getattr(request, name) for name in JobOptions.model_fields})


def check_items(items: list[Any], settings: ServiceSettings) -> Iterator[Entry]:
    """An entry for every parsed item; a wrong one becomes an entry with a failure.

    Raises:
        ProblemError: 413, if there are more items than a job takes.
    """
    _check_count(len(items), settings)
    for number, raw in enumerate(items):
        try:
            yield _entry(Item.model_validate(raw), settings)
        except ValidationError as error:
            yield _wrong(raw, error, f"/items/{number}")


async def read_ndjson(body: AsyncIterator[bytes], settings: ServiceSettings) -> AsyncIterator[list[Entry]]:
    """Read a body of one item a line; blank lines are passed over.

    Yields:
        Runs of entries, in input order.

    Raises:
        ProblemError: 400 if a line cannot be parsed, 413 if a line is too long or has too much structure, or if there
            are too many, 422 if there is no item.
    """
    line_number = count = 0
    rest = b""
    pending: list[bytes] = []
    pending_bytes = 0
    async for chunk in body:
        *lines, rest = (rest + chunk).split(b"\n")
        for number, line in enumerate((*lines, rest), line_number + len(pending) + 1):
            if len(line) > _BYTES_PER_CHARACTER * settings.max_item_chars:
                raise ProblemError(413, "Line too long", f"Line {number} is longer than any item may be.")
        for number, line in enumerate(lines, line_number + len(pending) + 1):  # `rest` is looked at once it is whole
            await check_shape(line, f"Line {number}")
        pending += lines
        pending_bytes += len(chunk)
        if pending_bytes >= _RUN_BYTES:
            entries = _lines(pending, line_number, settings)
            count += len(entries)
            _check_count(count, settings)
            yield entries
            line_number += len(pending)
            pending, pending_bytes = [], 0
    await check_shape(rest, f"Line {line_number + len(pending) + 1}")
    entries = _lines([*pending, rest], line_number, settings)
    count += len(entries)
    _check_count(count, settings)
    if not count:
        raise ProblemError(422, "Invalid request", "There is no item in the body.")
    yield entries


def _lines(lines: list[bytes], before: int, settings: ServiceSettings) -> list[Entry]:
    entries = []
    for number, line in enumerate(lines, before + 1):
        if not line.strip():
            continue
        try:
            entries.append(_entry(Item.model_validate_json(line), settings))
        except ValidationError as error:
            first = listed(error)[0]
            if first["type"] == "json_invalid":
                where = PointedError(pointer=f"line {number}", detail=first["msg"])
                raise ProblemError(
                    400, "Malformed body", f"Line {number} is not JSON: {first['msg']}", errors=[where]
                ) from None
            entries.append(_wrong(None, error, f"line {number}"))
    return entries


def too_long(item: Item, settings: ServiceSettings) -> ItemFailure | None:
    """The failure of an item that has more characters than the service takes; None if it has not."""
    size = sum(map(len, item.response_texts())) + len(item.token_ids or "")
    size += sum(map(len, item.prompt_texts())) + sum(map(len, item.context_texts()))
    if size > settings.max_item_chars:
        message = f"the item has {size} characters, the service takes {settings.max_item_chars}"
        return ItemFailure(code="too_long", message=message)
    return None


def _entry(item: Item, settings: ServiceSettings) -> Entry:
    failure = too_long(item, settings)
    return Entry(item.id, item=item if failure is None else None, failure=failure)


def _wrong(raw: Any, error: ValidationError, where: str) -> Entry:
    first = pointed(listed(error))[0]
    item_id = raw.get("id") if isinstance(raw, dict) and isinstance(raw.get("id"), str) else None
    message = first.detail if first.pointer == "/" else f"{first.pointer[1:]}: {first.detail}"
    return Entry(
        item_id, failure=ItemFailure(code="invalid_item", message=message, pointer=where + first.pointer.rstrip("/"))
    )


def _check_count(count: int, settings: ServiceSettings) -> None:
    if count > settings.max_items:
        raise ProblemError(413, "Too many items", f"A job takes at most {settings.max_items} items; send several.")
