"""What a run leaves for reports and comparisons: options, metrics, and token rewards of held-out pairs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from tokenreward_trainer.data.pair import Mask, Pair
from tokenreward_trainer.training.held_out import Learned, Outcome
from tokenreward_trainer.training.learned_rewards import learned_rewards
from tokenreward_trainer.training.marked_spans import Found
from tokenreward_trainer.training.pair_dataset import sets_of
from tokenreward_trainer.training.pair_scoring import PairLogps
from tokenreward_trainer.training.pair_sources import RunData
from tokenreward_trainer.training.settings import Run

if TYPE_CHECKING:
    from tokenreward_trainer.training.trainer import PreferenceTrainer

#: Options that a record shows for every method.
_SHOWN = ("method", "reg_alpha", "reg_scale", "weighting", "sft_weight", "learning_rate", "num_train_epochs", "seed")


@dataclass(frozen=True)
class ShownResponse:
    """One held-out response.

    Attributes:
        side: `chosen` or `rejected`.
        tokens: The text of each token that is trained on.
        labels: The token rewards it came with, or None.
        learned_before: beta log pi / pi_ref per token before training. The initial model stands for pi_ref where the
            method has no reference (SimPO: divided by |y|, as in its reward).
        learned_after: The same after training.
        marked: Whether a person marked the token as wrong; None where nobody looked.
    """

    side: str
    tokens: list[str]
    labels: list[float] | None
    learned_before: list[float]
    learned_after: list[float]
    marked: list[bool] | None = None


@dataclass(frozen=True)
class ShownPair:
    """One held-out pair: its id, its prompt as text, and both responses, the chosen one first."""

    id: str
    prompt: str
    responses: list[ShownResponse]


@dataclass(frozen=True)
class RunRecord:
    """What is known of a finished training.

    Attributes:
        name: The method, with `-REG` where it was regularised.
        options: Options by name, for people.
        labels: Where the token rewards come from, for people.
        provenance: How the service made them, where it did.
        log: The Trainer's log_history.
        seconds: The time that training took.
        pairs: The number of training pairs.
        layout: The batch layout.
        examples: Held-out pairs with their labels and learned token rewards.
        rows: How many rows of the data are other than one would think, by name (see `data.row_checks.RowCounts`).
        model: The model that was trained, as the run names it.
        adapter: Whether an adapter was trained, and not all weights.
        files: The files of the training pairs, as the run names them.
        held_out: The number of held-out pairs.
        eval_sets: The names of the sets that they are in; empty where there is one without a name.
        outcomes: What came of each held-out pair, of the first set where there are several.
        spans: Whether learned token rewards find what people marked in held-out responses; None without marks.
    """

    name: str
    options: dict[str, Any]
    labels: str
    provenance: dict[str, Any] | None
    log: list[dict[str, float]]
    seconds: float
    pairs: int
    layout: str
    examples: list[ShownPair]
    rows: dict[str, int] = field(default_factory=dict)
    model: str = ""
    adapter: bool = False
    files: list[str] = field(default_factory=list)
    held_out: int = 0
    eval_sets: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    spans: Found | None = None

    def final(self, *names: str) -> float | None:
        """Returns the last value of a metric that was logged.

        Args:
            *names: The metric's names, the first that was logged counts. `eval_...` is that of the first set of
                held-out pairs where the sets have names.
        """
        for name in names:
            found = [value for _, value in self.logged(name)]
            if found:
                return found[-1]
        return None

    def logged(self, name: str) -> list[tuple[float, float]]:
        """Returns all values of a metric, each with its step; see `final` for its name."""
        if name.startswith("eval_") and self.eval_sets:
            name = f"eval_{self.eval_sets[0]}_{name.removeprefix('eval_')}"
        return [(entry["step"], entry[name]) for entry in self.log if name in entry]

    def write(self, path: Path) -> None:
        """Writes the record as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), "utf-8")

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """Reads a record that `write` wrote."""
        content = json.loads(path.read_bytes())
        examples = [
            ShownPair(pair["id"], pair["prompt"], [ShownResponse(**response) for response in pair["responses"]])
            for pair in content.pop("examples")
        ]
        judged = [Outcome(**outcome) for outcome in content.pop("outcomes", [])]
        spans = content.pop("spans", None)
        return cls(**content, examples=examples, outcomes=judged, spans=None if spans is None else Found(**spans))


def shown_pairs(
    trainer: PreferenceTrainer,
    pairs: Sequence[Pair],
    before: Sequence[PairLogps],
    reference: Sequence[PairLogps],
    learned: Sequence[Learned],
    marked: Sequence[tuple[Mask | None, Mask | None]],
    tokenizer: PreTrainedTokenizerBase,
) -> list[ShownPair]:
    """Puts held-out pairs beside what training has made of their tokens that count.

    Args:
        trainer: After training.
        pairs: The first pairs of its evaluation set.
        before: Their log-probs under the initial model.
        reference: See `held_out.references_of`.
        learned: See `held_out.learned_of`.
        marked: See `marked_spans.marked_tokens`.
        tokenizer: Gives the tokens' text.
    """
    shown = []
    for number, pair in enumerate(pairs):
        responses = [
            ShownResponse(
                side,
                [tokenizer.decode([token]) for token, shown in zip(ids, counts, strict=True) if shown],
                None if labels is None else labels[counts].tolist(),
                learned_rewards(trainer, before[number][index][counts], reference[number][index][counts]),
                learned[number][index].tolist(),
                None if (marks := marked[number][index]) is None else marks.tolist(),
            )
            for index, (side, ids, labels, counts) in enumerate(
                (
                    ("chosen", pair.chosen, pair.chosen_token_rewards, pair.counted[0]),
                    ("rejected", pair.rejected, pair.rejected_token_rewards, pair.counted[1]),
                )
            )
            if ids
        ]
        shown.append(ShownPair(pair.id, tokenizer.decode(pair.prompt), responses))
    return shown


def record_of(
    trainer: PreferenceTrainer,
    examples: list[ShownPair],
    judged: list[Outcome],
    spans: Found | None,
    data: RunData,
    run: Run,
) -> RunRecord:
    """Makes the record of a finished training.

    Args:
        trainer: After training.
        examples: See `shown_pairs`.
        judged: See `held_out.outcomes`.
        spans: See `marked_spans.found_by`.
        data: The pairs of the run, and what is known of them.
        run: The run's settings.
    """
    args = trainer.args
    options = {name: getattr(args, name) for name in _SHOWN}
    options |= {"batch": args.train_batch_size * args.gradient_accumulation_steps * args.world_size}
    options |= {"beta": trainer.hyper.beta, "reference": args.reference_mode}
    options |= {"label_std": trainer.strength.label_std}
    if args.reg_alpha > 0:
        options |= {"reg_alpha_absolute": trainer.strength.alpha, "reg_alpha_in_label_stds": trainer.strength.in_stds}
    own = {"gamma" if name == "gamma_ratio" else name for name in trainer.method.options}
    options |= {name: getattr(trainer.hyper, name) for name in sorted(own)}
    timed = [entry["train_runtime"] for entry in trainer.state.log_history if "train_runtime" in entry]
    return RunRecord(
        name=trainer.method.shown + ("-REG" if args.reg_alpha > 0 else ""),
        options=options,
        labels=data.origin,
        provenance=None if data.provenance is None else data.provenance.model_dump(mode="json"),
        log=[dict(entry) for entry in trainer.state.log_history],
        seconds=sum(timed),
        pairs=len(trainer.train_dataset),
        layout=trainer.layout,
        examples=examples,
        rows=data.counts.as_json(),
        model=run.model.name,
        adapter=run.lora.r > 0,
        files=[part.file if part.hub is None else f"{part.hub}/{part.file}" for part in run.data.parts],
        held_out=sum(map(len, sets_of(trainer.eval_dataset))),
        eval_sets=list(data.eval_sets),
        outcomes=judged,
        spans=spans,
    )
