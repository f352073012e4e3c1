"""The loop of `tokenreward rank`: groups of responses are scored, and each gives a pair or a reason why not.

Beside OUT stands `OUT.scores.jsonl`: every group with all its scores, those that gave no pair too.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.formats import read_meta
from tokenreward.dataset.jsonl import JsonlSink, json_line
from tokenreward.dataset.progress import progress_for
from tokenreward.errors import BadInput
from tokenreward_trainer.ranking.groups import Responses, Sampled, read_extra, responses_of
from tokenreward_trainer.ranking.pair_selection import Candidate, Ranking, choose
from tokenreward_trainer.resumable.hashes import file_hash
from tokenreward_trainer.resumable.segments import (
    Counts,
    FileTask,
    Outcome,
    Row,
    finished,
    in_segments,
    read_rows,
    rows_hash,
)
from tokenreward_trainer.scorers import Scorer, identity_of, scorer_of

#: Groups that are scored, and written, together.
_SEGMENT = 32


def rank_file(
    samples: Path,
    out: Path,
    scorer: str | Scorer,
    ranking: Ranking | None = None,
    *,
    extra: Path | None = None,
    model: str | None = None,
    progress: bool | None = False,
) -> Outcome:
    """Makes at most one pair of each row of sampled responses. Interrupted, the same call goes on where it stopped.

    Args:
        samples: What `sample_file` wrote.
        out: The .jsonl file of pairs to write; `scores_path(out)` gets all groups with their scores.
        scorer: A scorer, or its specification.
        ranking: What makes a pair; None is the defaults.
        extra: A file with responses of a stronger model, which compete with the sampled ones.
        model: The policy, whose tokenizer cuts those that come as text.
        progress: True always shows it, False never, None only in a terminal.

    Raises:
        BadInput: An input cannot be used, or no group gives a pair.
    """
    ranking = ranking or Ranking()
    rows = read_rows(samples)
    more = read_extra(extra, rows, model, samples) if extra is not None else {}
    groups = [
        responses_of(row, f"{samples}, row {number}", more.get(number, ()), ranking.finished_only)
        for number, row in enumerate(rows)
    ]
    identity = identity_of(scorer) if isinstance(scorer, str) else scorer.identity
    plan = {"input": rows_hash(rows), "scorer": identity, **ranking.model_dump()}
    plan |= {"extra": file_hash(extra) if extra is not None else None}
    origin = (read_meta(samples) or {}).get("sampling", {})
    about = {"tokenizer_hash": origin.get("tokenizer_hash"), "sampled_by": origin.get("model")}
    task = FileTask("ranking", plan, _SEGMENT, lambda: about, _assemble)
    if (existing := finished(out, task)) is not None:
        return existing
    work = _worker(scorer_of(scorer) if isinstance(scorer, str) else scorer, ranking, groups)
    with progress_for(progress, "ranking", "ranked") as shown:
        return in_segments(out, len(rows), task, work, shown, sum(len(group.kept) for group in groups))


def scores_path(out: Path) -> Path:
    """Returns the file beside `out` in which all groups stand with their scores."""
    return out.with_name(f"{out.stem}.scores.jsonl")


def _worker(
    scorer: Scorer, ranking: Ranking, all_groups: Sequence[Responses]
) -> Callable[[range], tuple[list[Row], Counts]]:
    def work(places: range) -> tuple[list[Row], Counts]:
        groups = all_groups[places.start : places.stop]
        scored = _scored(scorer, groups)
        ranked = [_ranked(group, scores, ranking) for group, scores in zip(groups, scored, strict=True)]
        tally = Counter(f"group {row['scored']['dropped']}" for row in ranked if row["pair"] is None)
        for name in ("empty", "duplicates", "unfinished"):
            tally[f"response {name}"] += sum(getattr(group, name) for group in groups)
        tally["response unscored"] += sum(score is None for scores in scored for score in scores)
        tokens = sum(len(response.token_ids) for group in groups for response in group.kept)
        pairs = sum(row["pair"] is not None for row in ranked)
        return ranked, Counts(pairs, sum(map(len, scored)), tokens, +tally)

    return work


def _scored(scorer: Scorer, groups: Sequence[Responses]) -> list[list[float | None]]:
    """The scores of every group's kept responses. Raises BadInput for one that is no number."""
    asked = [group.group for group in groups if group.kept]
    found = iter(scorer.score(asked) if asked else [])
    scores = [next(found) if group.kept else [] for group in groups]
    for group, values in zip(groups, scores, strict=True):
        if any(value is not None and not math.isfinite(value) for value in values):
            raise BadInput(f"{group.where}: the scorer gave {values}; a score is a finite number or None")
    return scores


def _ranked(group: Responses, scores: Sequence[float | None], ranking: Ranking) -> Row:
    """{"scored": the group with its scores, "pair": the row of the output, or None}."""
    candidates = [
        Candidate(index, score, len(response.token_ids))
        for index, (response, score) in enumerate(zip(group.kept, scores, strict=True))
        if score is not None
    ]
    choice = choose(candidates, ranking)
    responses = [
        {"text": r.text, "score": score, "tokens": len(r.token_ids), "finished": r.finished, "source": r.source}
        for r, score in zip(group.kept, scores, strict=True)
    ]
    row = group.row
    scored = {"id": row.get("id"), "prompt": row["prompt"], "responses": responses}
    if isinstance(choice, str):
        return {"scored": scored | {"dropped": choice}, "pair": None}
    best, worst = choice
    # Every ranked response stays with its pair: labels may be contrasts of siblings.
    pair = {name: value for name, value in row.items() if name != "responses"}
    pair["responses"] = [
        {"text": r.text, "score": score, "token_ids": list(r.token_ids), "finished": r.finished, "source": r.source}
        | ({"begun": r.begun} if r.begun else {})
        for r, score in zip(group.kept, scores, strict=True)
    ]
    for side, picked in (("chosen", best), ("rejected", worst)):
        pair |= _side(side, group.kept[picked.index], picked.score, row["prompt"])
    return {"scored": scored | {"chosen": best.index, "rejected": worst.index}, "pair": pair}


def _side(side: str, response: Sampled, score: float, prompt: Any) -> Row:
    return {
        side: response.text if isinstance(prompt, str) else [{"role": "assistant", "content": response.text}],
        f"{side}_token_ids": list(response.token_ids),
        f"{side}_finished": response.finished,
        f"{side}_score": score,
    }


def _assemble(parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
    if not meta["ranking"]["counts"]["rows"]:
        tally = ", ".join(f"{count} x {name}" for name, count in meta["ranking"]["counts"]["tally"].items())
        raise BadInput(f"no group gave a pair ({tally}): nothing was written to {out}")
    with replace(scores_path(out)) as file:
        file.writelines(json_line(row["scored"]) for row in _rows(parts))
    only_pairs = parts[0].with_name("pairs.jsonl")
    with replace(only_pairs) as file:
        file.writelines(json_line(row["pair"]) for row in _rows(parts) if row["pair"] is not None)
    JsonlSink().assemble([only_pairs], out, meta)


def _rows(parts: Sequence[Path]) -> Iterator[Row]:
    for part in parts:
        with part.open("rb") as file:
            yield from map(json.loads, file)
