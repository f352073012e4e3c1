"""Evaluation and prediction on pairs: their loss, their metrics, and the implicit rewards of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer_utils import PredictionOutput

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Batch, BatchLayout, Pair
from tokenreward_trainer.model.scoring import attending
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.metrics import Metrics, unused_metrics
from tokenreward_trainer.training.pair_dataset import PairDataset, known_logps, labeled_dataset, sets_of
from tokenreward_trainer.training.pair_scoring import PairLogps
from tokenreward_trainer.training.reference_logps import shared_reference_logps


class PairEvaluation(Trainer):  # type: ignore[misc]
    """The half of `PreferenceTrainer` that evaluates. `compute_loss` is the other half's."""

    args: PreferenceConfig
    layout: BatchLayout
    _metrics: dict[bool, Metrics]
    _vocabulary: int
    _starts_as_reference: bool
    _router_weight: float
    #: The prefix of metrics while an evaluation runs.
    _prefix: str | None = None

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Computes the loss of one micro-batch without gradients.

        Returns:
            The loss, the implicit rewards `[B, 2]` of the chosen and the rejected completions, and for each pair the
            place of the better one, 0. Rewards and places are None with `prediction_loss_only`.
        """
        inputs = self._prepare_inputs(inputs)
        with (
            torch.no_grad(),
            self.compute_loss_context_manager(),
            attending(model, self.layout),
        ):
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss.detach(), None, None
        return loss.detach(), outputs["rewards"], torch.zeros_like(inputs["pair_index"])

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluates on the held-out pairs, or on other ones where the reference is still there.

        Raises:
            BadInput: Other pairs are given, and the reference was `ref_model`, which is not kept, or the initial model,
                which training has changed.
        """
        if isinstance(eval_dataset, Mapping):
            data: Any = {name: self._other(pairs) for name, pairs in eval_dataset.items()}
        elif eval_dataset is None or isinstance(eval_dataset, str):  # A name is one of its own sets.
            data = eval_dataset
        else:
            data = self._other(eval_dataset)
        self._prefix = metric_key_prefix
        try:
            found: dict[str, float] = super().evaluate(data, ignore_keys, metric_key_prefix)
        finally:
            self._prefix = None
        return found

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Predicts implicit rewards, `[pairs, 2]`, chosen first; the metrics are those of `evaluate`.

        Raises:
            BadInput: See `evaluate`.
        """
        drops = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = False  # It would leave pairs out.
        try:
            output = super().predict(self._other(test_dataset), ignore_keys, metric_key_prefix)
        finally:
            self.args.dataloader_drop_last = drops
        output.metrics.update(
            {f"{metric_key_prefix}_{name}": value for name, value in self._collected(training=False).items()}
        )
        return output

    def _other(self, given: Any) -> PairDataset:
        """Pairs to evaluate on, with their reference log-probs."""
        known: tuple[PairDataset | None, ...] = (self.train_dataset, *sets_of(self.eval_dataset))
        if isinstance(given, PairDataset) and any(given is each for each in known):
            return given
        data = labeled_dataset(given, self.args, self._vocabulary)
        if self.args.reference_mode == "precompute":
            data.ref_logps = known_logps(data.pairs, known)
            if data.ref_logps is None:
                data.ref_logps = self._reference_logps(self._initial_model(), data.pairs)
        return data

    def _initial_model(self) -> nn.Module:
        is_there = hasattr(self.model, "disable_adapter") or self.state.global_step == 0
        if not (self._starts_as_reference and is_there):
            gone = (
                "once training has begun"
                if self._starts_as_reference
                else "once the trainer is made, as it was ref_model"
            )
            raise BadInput(
                f"the reference is gone {gone}: give eval_dataset when the trainer is made, or use reference = 'live'"
            )
        model: nn.Module = self.model
        return model

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Logs the Trainer's numbers together with the metrics since the last time."""
        found = self._collected(training=self._prefix is None)
        logs |= {name if self._prefix is None else f"{self._prefix}_{name}": value for name, value in found.items()}
        super().log(logs, *args, **kwargs)

    def _collected(self, *, training: bool) -> dict[str, float]:
        return self._metrics[training].collect(
            lambda sums: self.accelerator.reduce(sums, "sum"),
            leave_out=unused_metrics(self.args, router=self._router_weight > 0),
        )

    def _reference_logps(self, model: nn.Module, pairs: Sequence[Pair]) -> list[PairLogps]:
        return shared_reference_logps(model, pairs, self.args, self.accelerator, self.layout)
