"""The model card that a run leaves as README.md: method, strength, where the labels come from, data and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenreward_trainer.training.run_record import RunRecord

#: Figures of the log, as a card calls them; the last entry of each counts.
_FIGURES = (
    ("loss", ("eval_loss/preference", "eval_loss")),
    ("reward margin", ("eval_rewards/margins",)),
    ("accuracy", ("eval_rewards/accuracies",)),
    ("correlation of learned token rewards with the labels", ("eval_token_rewards/correlation",)),
)


def write_card(record: RunRecord, folder: Path) -> Path:
    """Writes a run's model card, in place of one that a library has left there.

    Args:
        record: What the run left.
        folder: The model's or adapter's directory.

    Returns:
        The card's path.
    """
    path = folder / "README.md"
    path.write_text(card_of(record), "utf-8")
    return path


def card_of(record: RunRecord) -> str:
    """Writes a model card as Markdown, its metadata first.

    Args:
        record: What the run left.
    """
    about = {
        "base_model": record.model,
        "library_name": "peft" if record.adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["tokenreward", "preference-optimization", str(record.options["method"])],
    }
    # JSON is YAML, and quotes whatever a name holds.
    metadata = "\n".join(f"{name}: {json.dumps(value)}" for name, value in about.items())
    kind = "A LoRA adapter of" if record.adapter else "Trained from"
    return "\n".join(
        [
            f"---\n{metadata}\n---",
            f"# {record.name} on {Path(record.model).name}",
            "",
            f"{kind} `{record.model}`, by preference optimisation with tokenreward: {_method(record)}.",
            "",
            "## Labels",
            "",
            _labels(record),
            "",
            "## Data",
            "",
            *_data(record),
            "",
            "## Figures on held-out pairs",
            "",
            *_figures(record),
            "",
            "## Options",
            "",
            *_table(("option", "value"), sorted((name, str(value)) for name, value in record.options.items())),
            "",
        ]
    )


def _method(record: RunRecord) -> str:
    alpha = record.options.get("reg_alpha", 0)
    regularizer = f"T-REG's token-level regulariser with alpha {alpha:g}" if alpha else "no token-level regulariser"
    return f"{record.name}, beta {record.options['beta']}, {regularizer}"


def _labels(record: RunRecord) -> str:
    if record.provenance is None:
        return f"Token rewards: {record.labels}."
    worker = record.provenance["fingerprint"]
    return (
        f"Token rewards by `{worker['model']}` ({worker['engine']} {worker['engine_version']}, {worker['dtype']}), "
        f"template `{record.provenance['template']}`, estimator `{record.provenance['estimator']}`, tokenreward "
        f"{record.provenance['tokenreward_version']}; tokenizer {worker['tokenizer_hash']}."
    )


def _data(record: RunRecord) -> list[str]:
    lines = [f"{record.pairs} pairs for training, {record.held_out} held out."]
    lines += [f"- `{file}`" for file in record.files]
    unusual = {name: count for name, count in record.rows.items() if count}
    if unusual:
        lines += ["", "Of the rows: " + ", ".join(f"{count} {name}" for name, count in unusual.items()) + "."]
    return lines


def _figures(record: RunRecord) -> list[str]:
    found = ((name, record.final(*metrics)) for name, metrics in _FIGURES)
    rows = [(name, f"{value:.4g}") for name, value in found if value is not None]
    of = record.eval_sets[0] if record.eval_sets else f"{record.held_out} pairs"
    return _table(("figure", f"value ({of})"), rows) if rows else ["None: no pair was held out."]


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> list[str]:
    def line(cells: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return [line(head), "|---|---|", *map(line, rows)]
