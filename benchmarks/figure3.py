"""The paper's figure 3 with two policies of the experiment: what DPO and DPO-REG learned about each token.

    python benchmarks/figure3.py [--dpo DIRECTORY] [--dpo-reg DIRECTORY] [--out build/figure-3.html]

Three prompts after the paper's (capital letters, a number of dogs, 2+2), as they stand in the demo's responses: labels
by the contrast, and learned token rewards, beta log pi / pi_ref, of both. The policies are those that `make experiment`
leaves for its first seed. Writes one self-contained page.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks._report import ROOT
from tokenreward.chat_format import ChatFormat
from tokenreward.dataset import label_dataset
from tokenreward.embedded_service import embedded_service
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.report.heat import heat_maps
from tokenreward_trainer.report.page import page_of
from tokenreward_trainer.resumable.segments import read_rows
from tokenreward_trainer.training.pair_scoring import score_pairs
from tokenreward_trainer.training.run_record import RunRecord, ShownPair, ShownResponse
from tokenreward_workers.model_files.resolve import resolve_model

PROMPTS = ("capital-letters", "number-of-dogs", "two-plus-two")
RESPONSES = ROOT / "client" / "tokenreward" / "demo.jsonl"
_RUNS = ROOT / "build" / "experiment" / "runs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="what both policies were before training")
    parser.add_argument("--dpo", type=Path, default=_RUNS / "dpo" / "0" / "model")
    parser.add_argument("--dpo-reg", type=Path, default=_RUNS / "dpo-reg" / "0" / "model")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "figure-3.html")
    options = parser.parse_args()
    start = str(resolve_model(options.model).path)
    rows = labeled(start)
    before = logps_of(start, start, rows)
    records = []
    for policy in (options.dpo, options.dpo_reg):
        record = RunRecord.read(policy / "run.json")
        scale, after = record.options["beta"], logps_of(str(policy), start, rows)
        learned = [scale * (trained - first) for trained, first in zip(after, before, strict=True)]
        records.append(shown(record, rows, learned))
    title = "Token rewards of three responses: labels, and what DPO and DPO-REG learned"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page_of(title, [heat_maps(records)]), "utf-8")
    print(f"The page: {options.out}")


def labeled(model: str) -> list[dict[str, Any]]:
    """The three responses with their labels, by the model that was trained."""
    with tempfile.TemporaryDirectory() as folder, embedded_service(["--model", model]) as url:
        chosen, out = Path(folder) / "responses.jsonl", Path(folder) / "labeled.jsonl"
        rows = [row for row in read_rows(RESPONSES) if row["id"] in PROMPTS]
        chosen.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        label_dataset(chosen, out, tokens=True, url=url)
        return read_rows(out)


def logps_of(policy: str, start: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """[T] log-probs of every response under a policy."""
    chat = ChatFormat.from_pretrained_tokenizer(AutoTokenizer.from_pretrained(start))
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32)
    make_scorable(model)
    # A pair is what can be scored; there is one response, so it stands on both sides.
    sides = [tuple(row["token_ids"]) for row in rows]
    prompts = [tuple(chat.prompt_ids(row["prompt"])) for row in rows]
    pairs = [Pair(str(row["id"]), p, ids, ids) for row, p, ids in zip(rows, prompts, sides, strict=True)]
    found = score_pairs(model, pairs, layout=choose_layout(model, "auto")[0], max_tokens=4096)
    return [chosen for chosen, _ in found]


def shown(record: RunRecord, rows: Sequence[Mapping[str, Any]], learned: Sequence[Any]) -> RunRecord:
    """The run with these responses as its examples."""
    examples = [
        ShownPair(
            row["id"],
            row["prompt"][-1]["content"],
            [ShownResponse("response", row["tokens"], row["token_rewards"], [0.0] * len(values), values.tolist())],
        )
        for row, values in zip(rows, learned, strict=True)
    ]
    return replace(record, examples=examples)


if __name__ == "__main__":
    main()
