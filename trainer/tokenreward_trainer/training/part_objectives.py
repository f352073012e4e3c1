"""The loss of one part of a batch: scores of policy and reference, the two sides, and the terms that come of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tokenreward_trainer.data.pair import Batch
from tokenreward_trainer.losses import Completions, Hyperparameters, Method
from tokenreward_trainer.model.chunked_lm_head import TokenScores
from tokenreward_trainer.model.scoring import attending, on_grid, reference_side, score
from tokenreward_trainer.model.teacher_kl import top_forward_kl
from tokenreward_trainer.training.live_reference import as_reference
from tokenreward_trainer.training.objective import Objective, objective_of
from tokenreward_trainer.training.pair_evaluation import PairEvaluation
from tokenreward_trainer.training.reference_point import reference_point
from tokenreward_trainer.training.strength import Strength


class PartObjectives(PairEvaluation):
    """The part of `PreferenceTrainer` that computes terms of the loss; what it divides them by is the trainer's."""

    method: Method
    hyper: Hyperparameters
    strength: Strength
    ref_model: nn.Module | None
    _router_weight: float

    def _objective(self, model: nn.Module, part: Batch, z: Tensor | None) -> Objective:
        scores, ref_logps = self._score(model, part)
        chosen, rejected = _sides(part, scores, ref_logps, z)
        objective = objective_of(self.args, chosen, rejected, self.strength.alpha)
        if scores.router_loss is not None:
            router = (self._router_weight * scores.router_loss).expand_as(objective.preference.loss)
            # The loss of single responses is divided by their tokens.
            objective = replace(objective, router=router * chosen.lengths if self.method.single else router)
        self._metrics[model.training].add(objective, chosen, rejected, beta=self.hyper.beta)
        return objective

    def _reference_point(self, model: nn.Module, inputs: Batch) -> Tensor | None:
        """KTO's z of a whole batch; None for every other method."""
        if "mismatched" not in inputs:
            return None

        def scores(part: Batch) -> tuple[Tensor, Tensor]:
            with self.compute_loss_context_manager(), attending(model, self.layout):
                found, ref_logps = self._score(model, self._prepare_inputs(part))
            assert ref_logps is not None
            return found.logps, ref_logps

        return reference_point(inputs["mismatched"], scores, self.accelerator)

    def _score(self, model: nn.Module, inputs: Batch) -> tuple[TokenScores, Tensor | None]:
        extras = {*self.method.extras, *(["router"] if self._router_weight > 0 else [])}
        if self.args.reference_mode != "live":
            candidates = None if self.hyper.teacher_kl == "reverse" else inputs.get("teacher_ids")
            return score(model, inputs, extras=extras, candidates=candidates), inputs.get("ref_logps")
        ref_model = self.ref_model if self.ref_model is not None else self.accelerator.unwrap_model(model)
        with torch.no_grad(), as_reference(ref_model, self.layout):
            if "kl" not in extras:
                ref_logps = score(ref_model, inputs).logps
                reference = None
            else:
                reference = reference_side(ref_model, inputs)
        scores = score(model, inputs, extras=extras, reference=reference)
        return scores, ref_logps if reference is None else scores.ref_logps


def _sides(
    inputs: Batch, scores: TokenScores, ref_logps: Tensor | None, z: Tensor | None
) -> tuple[Completions, Completions]:
    """The chosen and the rejected half of the [2B, T] grids, with KTO's reference point."""
    teacher_kl = None
    if scores.candidates is not None:
        teacher_kl = on_grid(top_forward_kl(scores.candidates, inputs["teacher_top"]), inputs)
    grids = {
        "logps": scores.logps,
        "mask": inputs["mask"],
        "ref_logps": ref_logps,
        "token_rewards": inputs.get("token_rewards"),
        "log_collision": scores.log_collision,
        "kl": scores.kl,
        "teacher_logps": inputs.get("teacher_logps"),
        "teacher_kl": teacher_kl,
    }
    halves = {name: grid.chunk(2) for name, grid in grids.items() if grid is not None}
    chosen, rejected = ({name: half[side] for name, half in halves.items()} for side in (0, 1))
    return Completions(**chosen, reference_point=z), Completions(**rejected, reference_point=z)
