"""Labels for batches of columns, for libraries that move data in batches: `datasets.map` and Ray Data.

Rows are read as `tokenreward.label_dataset` reads them. With a folder to resume from, every labeled batch is kept there
under the hash of its content: a run that was killed asks the service only for what is missing, wherever it runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.columns import label_columns
from tokenreward.dataset.row_items import RowItems
from tokenreward.dataset.row_layout import layout_of
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput
from tokenreward.http import Client
from tokenreward.http.endpoints import job_options
from tokenreward.http.item_encoding import item_json
from tokenreward.schema import TOP_K, Include, ItemResult, JobOptions, LabelResponse, Template
from tokenreward.settings import client_settings

_PROVENANCE = "provenance.json"


class BatchLabels:
    """Adds labels to batches of rows: `token_ids`, `token_rewards` and `token_error`, for pairs one of each a side.

    A response that cannot be labeled has empty lists and its error; all others have an empty error.

    Args:
        resume: A folder that keeps what is labeled, shared by all processes of a run; None keeps nothing.
        url: The service's base address; None for `TOKENREWARD_URL`.
        api_key: An API key; None for `TOKENREWARD_API_KEY`.
        model: A served model's name; None for the only one.
        template: A template; None for the estimator's own.
        estimator: An estimator's name.
        parameters: Parameters of the estimator that take another value than their default.
        contexts: Where the template's context fields come from, as in `label_dataset`.
        include: Also keep what `label_dataset` keeps, each in a column of its own.
        top_k: How many of the most likely ids `top` keeps at each token.
        patience: How long a call is tried again while the service is away, in seconds.
    """

    def __init__(
        self,
        resume: str | Path | None = None,
        *,
        url: str | None = None,
        api_key: str | None = None,
        model: str | None = None,
        template: str | Template | None = None,
        estimator: str = "contrast",
        parameters: Mapping[str, float] | None = None,
        contexts: Mapping[str, str] | None = None,
        include: Iterable[Include] = (),
        top_k: int = TOP_K,
        patience: float = 300.0,
    ) -> None:
        self._scoring = ScoringOptions.of(
            template, estimator, parameters=parameters, contexts=contexts, include=include, top_k=top_k
        )
        self._model = model
        self._settings = client_settings(url=url, api_key=api_key, patience=patience)
        self._folder = None if resume is None else Path(resume)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns that labels add to a batch.

        Args:
            batch: Columns by name, each a list of as many values.

        Raises:
            BadInput: A row cannot be read, or the folder holds labels of another provenance.
            TokenRewardError: The service refuses the call, or cannot be reached.
        """
        names = list(batch)
        rows = [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        if not rows:
            return {}
        layout = layout_of(rows[0], "the batch's first row")
        reading = RowItems(layout, self._scoring.contexts, named="named" in self._scoring.include)
        lines = [item_json(item) for n, row in enumerate(rows) for item in reading.of(row, f"row {n} of a batch")]
        results = self._results(lines)
        columns = label_columns(results, layout.sides, self._scoring.include)
        return {name: [_whole(value, name) for value in values] for name, values in columns.items()}

    def _results(self, lines: list[bytes]) -> list[ItemResult]:
        file = self._file(lines)
        if file is not None and file.is_file():
            return LabelResponse.model_validate_json(file.read_bytes()).results
        with Client(settings=self._settings) as client:
            answer = client.answer_to(lines, self._options())
        if file is not None:
            self._check_provenance(answer, file.parent)
            with replace(file) as target:
                target.write(answer.model_dump_json().encode())
        return answer.results

    def _options(self) -> JobOptions:
        scoring = self._scoring
        return job_options(
            self._model,
            scoring.template,
            scoring.estimator,
            scoring.parameters,
            None,
            "mean",
            scoring.include,
            scoring.top_k,
            strict=False,
        )

    def _file(self, lines: list[bytes]) -> Path | None:
        if self._folder is None:
            return None
        plan = json.dumps([self._model, self._scoring.plan()], sort_keys=True).encode()
        folder = self._folder / hashlib.sha256(plan).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{hashlib.sha256(b'|'.join(lines)).hexdigest()[:32]}.json"

    def _check_provenance(self, answer: LabelResponse, folder: Path) -> None:
        """Labels by the same options have one provenance. Raises BadInput for another one than the first."""
        note, own = folder / _PROVENANCE, answer.provenance.model_dump_json()
        if not note.is_file():
            with replace(note) as target:
                target.write(own.encode())
        elif note.read_text("utf-8") != own:
            raise BadInput(
                f"{folder} holds labels of another model or version of the service ({_PROVENANCE} says which): "
                "go on with that one, or give another folder"
            )


def _whole(value: Any, name: str) -> Any:
    """A value that has its column's type also where there is nothing to say, as both libraries need."""
    if value is not None:
        return value
    return "" if name.endswith("token_error") else []
