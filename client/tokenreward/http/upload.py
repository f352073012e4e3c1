"""Request bodies that may be large: items are written to a temporary file once, so that a request can be sent again."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterable, Iterable
from typing import IO

from tokenreward.errors import BadInput
from tokenreward.http.exchange import JSON, NDJSON, SpooledBody
from tokenreward.http.item_encoding import ItemLike, check_items, item_json
from tokenreward.schema import JobOptions, Template

#: Bodies up to this size, in bytes, stay in memory.
IN_MEMORY = 1 << 20


class JobBody:
    """The body of `POST /v1/jobs`. Use it in a `with` statement, which removes the file.

    It is NDJSON, except for a template of the caller's own, which does not fit into a query string: then it is JSON.

    Attributes:
        media_type: The body's content type.
    """

    def __init__(self, options: JobOptions) -> None:
        self.media_type = JSON if isinstance(options.template, Template) else NDJSON
        self._count = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed by __exit__)
        if self.media_type == JSON:
            self._file.write(options.model_dump_json(exclude_defaults=True).encode()[:-1] + b',"items":[')

    def __enter__(self) -> JobBody:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: ItemLike) -> None:
        """Append one item."""
        if self.media_type == JSON:
            self._file.write(b"," if self._count else b"")
            self._file.write(item_json(item))
        else:
            self._file.write(item_json(item) + b"\n")
        self._count += 1

    def fill(self, items: Iterable[ItemLike]) -> SpooledBody:
        """Append all items and return the finished body.

        Raises:
            BadInput: There are no items.
        """
        check_items(items)
        for item in items:
            self.add(item)
        return self._finished()

    async def fill_from(self, items: AsyncIterable[ItemLike]) -> SpooledBody:
        """Do the same with items from an async iterable."""
        async for item in items:
            self.add(item)
        return self._finished()

    def _finished(self) -> SpooledBody:
        if not self._count:
            raise BadInput("there are no items to label")
        if self.media_type == JSON:
            self._file.write(b"]}")
        return SpooledBody(self._file, self._file.tell())
