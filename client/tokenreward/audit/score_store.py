"""What a service has answered, kept on disk, so that an audit that was interrupted goes on and a rerun asks only for
what is new.

There is one file for each set-up of a model, template and estimator. A line holds one item's log-probs under the hash
of the item. The last line of an interrupted run may be torn; it is asked for again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tokenreward.dataset.atomic import locked
from tokenreward.schema import ItemResult, digest

#: What an audit reads of a result.
_KEPT = {"index", "token_ids", "tokens", "offsets", "logprobs", "moments"}


class ScoreStore:
    """The results of earlier runs. Use it in a `with` statement: only one run may write into a folder."""

    def __init__(self, folder: Path | None) -> None:
        """Name the folder.

        Args:
            folder: Where results are kept; None keeps nothing.
        """
        self._folder = folder

    def __enter__(self) -> Self:
        self._lock = contextlib.ExitStack()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.callback(locked(self._folder / "lock").close)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._lock.close()

    def known(self, name: str, items: Sequence[Mapping[str, Any]]) -> dict[int, ItemResult]:
        """Return the results that are there, by the index of their item.

        Args:
            name: The name of the set-up that scores, see `name_of`.
            items: The items.
        """
        if self._folder is None or not (path := self._folder / name).is_file():
            return {}
        by_item = dict(_lines(path))
        hashes = [digest(item) for item in items]
        return {index: by_item[key] for index, key in enumerate(hashes) if key in by_item}

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Writer]:
        """Open the file of a set-up, to add results to it."""
        if self._folder is None:
            yield Writer(None)
            return
        with (self._folder / name).open("ab") as file:
            file.write(b"\n")  # what was torn ends here
            yield Writer(file)


class Writer:
    """Adds results to one file."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file

    def add(self, item: Mapping[str, Any], result: ItemResult) -> None:
        """Keep a result, unless it is an error, which another run may not meet."""
        if self._file is not None and result.error is None:
            line = {"item": digest(item), "result": result.model_dump(mode="json", include=_KEPT)}
            self._file.write(json.dumps(line).encode() + b"\n")


def name_of(fingerprint_digest: str, template_hash: str, estimator: str, *, moments: bool) -> str:
    """Return the name of the file of a set-up; results with moments have one of their own."""
    return f"{fingerprint_digest}-{template_hash}-{estimator}{'-moments' if moments else ''}.jsonl"


def _lines(path: Path) -> Iterator[tuple[str, ItemResult]]:
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a torn line, which is asked for again
                content = json.loads(line)
                yield content["item"], ItemResult.model_validate(content["result"])
