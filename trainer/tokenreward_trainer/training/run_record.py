"""What a run leaves for reports and comparisons: options, metrics, and token rewards of held-out pairs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from tokenreward.schema import Provenance
from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.training.reference_logps import PairLogps

if TYPE_CHECKING:
    from tokenreward_trainer.training.trainer import PreferenceTrainer


@dataclass(frozen=True)
class ShownResponse:
    """One held-out response. tokens: their text.  labels: token rewards, or None.

    learned_before, learned_after: beta log pi / pi_ref per token, before and after training; the initial model stands
    for pi_ref where the method has no reference (SimPO: divided by |y|, as in its reward).
    """

    side: str
    tokens: list[str]
    labels: list[float] | None
    learned_before: list[float]
    learned_after: list[float]


@dataclass(frozen=True)
class ShownPair:
    id: str
    prompt: str
    responses: list[ShownResponse]


@dataclass(frozen=True)
class RunRecord:
    """name: the method, `-REG` where it was regularised.  log: the Trainer's log_history.

    labels: where the token rewards come from, for people.  provenance: the service's, where it made them.
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

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), "utf-8")


def record_of(
    trainer: PreferenceTrainer,
    shown: Sequence[Pair],
    before: Sequence[PairLogps],
    after: Sequence[PairLogps],
    tokenizer: PreTrainedTokenizerBase,
    labels: str,
    provenance: Provenance | None,
) -> RunRecord:
    """before, after: log-probs of `shown` under the model before and after training."""
    args = trainer.args
    learned = _Learned(trainer)
    reference = [example.ref_logps for example in (trainer.eval_dataset or [])][: len(shown)]
    examples = []
    for number, pair in enumerate(shown):
        ref = reference[number] if number < len(reference) else None
        ref = before[number] if ref is None else ref
        responses = [
            ShownResponse(
                side,
                [tokenizer.decode([token]) for token in ids],
                None if labels is None else labels.tolist(),
                learned(before[number][index], ref[index]),
                learned(after[number][index], ref[index]),
            )
            for index, (side, ids, labels) in enumerate(
                (("chosen", pair.chosen, pair.chosen_rewards), ("rejected", pair.rejected, pair.rejected_rewards))
            )
        ]
        examples.append(ShownPair(pair.id, tokenizer.decode(pair.prompt), responses))
    shown_options = ("method", "reg_alpha", "weighting", "sft_weight", "learning_rate", "num_train_epochs", "seed")
    options = {name: getattr(args, name) for name in shown_options}
    options |= {"batch": args.train_batch_size * args.gradient_accumulation_steps * args.world_size}
    options |= {"beta": trainer.hyper.beta, "reference": args.reference_mode}
    for name, only in (("gamma", "simpo"), ("tdpo_alpha", "tdpo2"), ("sepo_fraction", "sepo")):
        if args.method == only:
            options[name] = getattr(trainer.hyper, name)
    timed = [entry["train_runtime"] for entry in trainer.state.log_history if "train_runtime" in entry]
    return RunRecord(
        name=args.method.upper().replace("SIMPO", "SimPO") + ("-REG" if args.reg_alpha > 0 else ""),
        options=options,
        labels=labels,
        provenance=None if provenance is None else provenance.model_dump(mode="json"),
        log=[dict(entry) for entry in trainer.state.log_history],
        seconds=sum(timed),
        pairs=len(trainer.train_dataset),
        layout=trainer.layout,
        examples=examples,
    )


class _Learned:
    """beta log pi/pi_ref as the method means it."""

    def __init__(self, trainer: PreferenceTrainer) -> None:
        self._beta = trainer.hyper.beta
        self._normalised = trainer.method.length_normalised

    def __call__(self, logps: Values, reference: Values) -> list[float]:
        scale = self._beta / (len(logps) if self._normalised else 1)
        learned: list[float] = np.asarray(scale * (logps - reference), dtype=float).tolist()
        return learned
