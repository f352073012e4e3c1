"""Request bodies that may be large: items are spooled once, so that a request can be sent again."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterable, Iterable
from typing import IO

from tokenreward.errors import BadInput
from tokenreward.http.endpoints import ItemLike, item_json
from tokenreward.http.exchange import JSON, NDJSON, SpooledBody
from tokenreward.schema import JobOptions, Template

#: Bodies up to this size stay in memory.
IN_MEMORY = 1 << 20


class JobBody:
    """Collects items into the body of `POST /v1/jobs`; use it in a `with`, which removes the file.

    NDJSON, except for a template of the caller's own, which does not fit into a query string: then JSON.
    """

    def __init__(self, opts: JobOptions) -> None:
        self.media_type = JSON if isinstance(opts.template, Template) else NDJSON
        self._opts = opts
        self._count = 0
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed by __exit__)
        if self.media_type == JSON:
            self._file.write(opts.model_dump_json(exclude_defaults=True).encode()[:-1] + b',"items":[')

    def __enter__(self) -> JobBody:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: ItemLike) -> None:
        if self.media_type == JSON:
            self._file.write(b"," if self._count else b"")
            self._file.write(item_json(item))
        else:
            self._file.write(item_json(item) + b"\n")
        self._count += 1

    def fill(self, items: Iterable[ItemLike]) -> SpooledBody:
        for item in items:
            self.add(item)
        return self._finished()

    async def fill_from(self, items: AsyncIterable[ItemLike]) -> SpooledBody:
        async for item in items:
            self.add(item)
        return self._finished()

    def _finished(self) -> SpooledBody:
        if not self._count:
            raise BadInput("there are no items to label")
        if self.media_type == JSON:
            self._file.write(b"]}")
        return SpooledBody(self._file, self._file.tell())
