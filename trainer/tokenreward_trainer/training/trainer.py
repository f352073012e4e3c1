"""PreferenceTrainer: transformers' Trainer with a preference loss on per-token log-probs and T-REG's regulariser."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.integrations import is_deepspeed_zero3_enabled

from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Batch, Layout, Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.losses import Completions, PairLoss, sft_term
from tokenreward_trainer.losses.regularizer import regularization
from tokenreward_trainer.model.chunked_lm_head import TokenScores
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scoring import attending, base_of, make_scorable, reference_side, score
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.metrics import Metrics
from tokenreward_trainer.training.preparation import (
    PairDataset,
    adapted,
    check_labels,
    check_precision,
    without_dropout,
)
from tokenreward_trainer.training.reference_logps import (
    PairLogps,
    default_cache,
    reference_logps,
    score_pairs,
    without_adapter,
)


class PreferenceTrainer(Trainer):  # type: ignore[misc]
    """Trains a causal language model on preference pairs with token rewards.

    model: a model, a PEFT model, or a name or directory to load one from.
    train_dataset, eval_dataset: pairs; with reg_alpha > 0 or SePO, every one labeled.
    ref_model: the reference; None is the model as it is now (a PEFT model's base, adapter off).
    peft_config: wraps the model in a new adapter.

    The loss is the mean over the pairs of the whole batch: the same however the batch is cut into micro-batches,
    accumulation steps and processes.
    """

    args: PreferenceConfig
    layout: Layout

    def __init__(
        self,
        model: str | nn.Module,
        args: PreferenceConfig,
        train_dataset: Sequence[Pair] | None = None,
        eval_dataset: Sequence[Pair] | None = None,
        *,
        processing_class: PreTrainedTokenizerBase | None = None,
        ref_model: PreTrainedModel | None = None,
        peft_config: Any = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(model, str):
            model = AutoModelForCausalLM.from_pretrained(model)
        if ref_model is model:
            raise BadInput(
                "ref_model is the model that is trained: leave it out, and a copy is made where one is needed"
            )
        assert isinstance(model, nn.Module)
        model = adapted(model, peft_config, args)
        if args.disable_dropout:
            without_dropout(model)
            if ref_model is not None:
                without_dropout(ref_model)
        self.method = args.chosen_method
        self.hyper = args.hyperparameters
        sets = [check_labels(data, args) for data in (train_dataset, eval_dataset)]
        check_precision(model)
        make_scorable(model)
        if is_deepspeed_zero3_enabled():  # Its shards cannot be probed before the engine has them.
            self.layout, why = ("packed" if args.layout == "packed" else "padded"), None
        else:
            self.layout, why = choose_layout(model, args.layout)
        if why is not None:
            warnings.warn(
                f"training with padding, which is slower: {why}. Say layout = 'padded' to silence this",
                DoubtfulOption,
                stacklevel=2,
            )
        self._metrics = {True: Metrics(), False: Metrics()}
        base = base_of(model)
        collator = Collator(
            self.layout,
            max_tokens=args.max_forward_tokens,
            pad_token=base.config.get_text_config().pad_token_id or 0,
            dtype=torch.promote_types(base.dtype, torch.float32),
        )
        super().__init__(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=sets[0],
            eval_dataset=sets[1],
            processing_class=processing_class,
            **kwargs,
        )
        if self.args.n_gpu > 1:
            raise BadInput(
                "several GPUs in one process: start with `accelerate launch`, or show one with CUDA_VISIBLE_DEVICES"
            )
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            # A batch is one part: DeepSpeed's engine takes a step with every backward pass at a boundary, and the
            # processes of FSDP must run equally many.
            self.data_collator = replace(collator, max_tokens=None)
        # The loss divides by the pairs of the whole accumulated batch itself.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True
        self._prepare_reference(ref_model)

    # ---- the reference ----------------------------------------------------------------------------------

    def _prepare_reference(self, ref_model: PreTrainedModel | None) -> None:
        mode = self.args.reference_mode
        self.ref_model: nn.Module | None = None
        if mode == "none":
            return
        if ref_model is not None:
            make_scorable(ref_model)
            ref_model = ref_model.eval().requires_grad_(False)
        if mode == "precompute":
            if ref_model is None and is_deepspeed_zero3_enabled():
                raise BadInput(
                    "reference = 'precompute' under DeepSpeed ZeRO-3 needs ref_model: the policy is in shards"
                )
            for data in (self.train_dataset, self.eval_dataset):
                if data is not None:
                    data.ref_logps = self._precompute(ref_model if ref_model is not None else self.model, data.pairs)
            return
        if ref_model is None and not hasattr(self.model, "disable_adapter"):
            # A copy would carry along the scoring forward, which is bound to the original.
            forward = self.model.__dict__.pop("forward")
            ref_model = copy.deepcopy(self.model).eval().requires_grad_(False)
            self.model.forward = forward
            make_scorable(ref_model)
        if ref_model is not None:
            if self.is_fsdp_enabled:
                raise BadInput(
                    "reference = 'live' under FSDP holds a whole reference in each process: use 'precompute'"
                )
            self.ref_model = self.accelerator.prepare_model(ref_model.to(self.args.device), evaluation_mode=True)

    def _precompute(self, model: nn.Module, pairs: Sequence[Pair]) -> list[PairLogps]:
        """Each process scores its share and all get the whole."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        share = pairs[rank::world]
        cache = Path(self.args.reference_cache) if self.args.reference_cache else default_cache()
        home = base_of(model).device
        model.to(self.args.device)  # FSDP leaves it on the CPU until it is sharded.
        with self.accelerator.autocast():
            mine = (
                reference_logps(model, share, layout=self.layout, max_tokens=self.args.max_forward_tokens, cache=cache)
                if share
                else []
            )
        model.to(home)
        if world == 1:
            return mine
        everyone: dict[int, PairLogps] = dict(
            gather_object([(rank + i * world, logps) for i, logps in enumerate(mine)])
        )
        return [everyone[index] for index in range(len(pairs))]

    # ---- the loss ---------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The sum over this micro-batch's pairs, divided by the pairs of the whole batch (`num_items_in_batch`)."""
        per_pair = torch.cat([self._part_loss(model, part) for part in inputs["parts"]])
        if num_items_in_batch is None:
            loss = per_pair.mean()
        else:
            # Gradients are averaged over processes, the pairs of which num_items_in_batch has all counted.
            loss = per_pair.sum() * self.accelerator.num_processes / num_items_in_batch
        return (loss, {"per_pair": per_pair.detach()}) if return_outputs else loss

    def _part_loss(self, model: nn.Module, part: Batch) -> Tensor:
        """[B] the whole loss of each pair of the part."""
        scores, ref_logps = self._score(model, part)
        chosen, rejected = self._sides(part, scores, ref_logps)
        return self._per_pair(chosen, rejected, training=model.training)

    def _score(self, model: nn.Module, inputs: Batch) -> tuple[TokenScores, Tensor | None]:
        extras = self.method.extras
        if self.args.reference_mode != "live":
            return score(model, inputs, extras=extras), inputs.get("ref_logps")
        ref_model = self.ref_model if self.ref_model is not None else self.accelerator.unwrap_model(model)
        with torch.no_grad(), self._as_reference(ref_model):
            if "kl" not in extras:
                ref_logps = score(ref_model, inputs).logps
                reference = None
            else:
                reference = reference_side(ref_model, inputs)
        scores = score(model, inputs, extras=extras, reference=reference)
        return scores, ref_logps if reference is None else scores.ref_logps

    @contextmanager
    def _as_reference(self, model: nn.Module) -> Iterator[None]:
        """Adapter off, and in evaluation mode, which also keeps gradient checkpointing out."""
        training = model.training
        with without_adapter(model), attending(self.accelerator.unwrap_model(model), self.layout):
            model.eval()
            try:
                yield
            finally:
                model.train(training)

    def _sides(self, inputs: Batch, scores: TokenScores, ref_logps: Tensor | None) -> tuple[Completions, Completions]:
        grids = (scores.logps, inputs["mask"], ref_logps, inputs.get("token_rewards"), scores.log_collision, scores.kl)
        halves: list[Any] = [(None, None) if grid is None else grid.chunk(2) for grid in grids]
        return Completions(*(half[0] for half in halves)), Completions(*(half[1] for half in halves))

    def _per_pair(self, chosen: Completions, rejected: Completions, *, training: bool) -> Tensor:
        """[B] the whole loss of each pair."""
        pair: PairLoss = self.method.loss(chosen, rejected, self.hyper)
        loss = pair.loss
        regularizer = sft = None
        if self.args.reg_alpha > 0:
            regularizer = self.args.reg_alpha * regularization(
                pair,
                chosen,
                rejected,
                beta=self.hyper.beta,
                static=self.args.weighting == "static",
                length_normalised=self.method.length_normalised,
            )
            loss = loss + regularizer
        if self.args.sft_weight > 0:
            sft = self.args.sft_weight * sft_term(chosen)
            loss = loss + sft
        self._metrics[training].add(pair, chosen, rejected, beta=self.hyper.beta, regularizer=regularizer, sft=sft)
        return loss

    # ---- the Trainer's seams ------------------------------------------------------------------------------

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """A forward and a backward pass for every part; processes exchange gradients in the last one."""
        assert num_items_in_batch is not None
        losses = []
        for index, part in enumerate(inputs["parts"]):
            last = index == len(inputs["parts"]) - 1
            with (
                nullcontext() if last else self.accelerator.no_sync(model),
                attending(self.accelerator.unwrap_model(model), self.layout),
            ):
                losses.append(super().training_step(model, {"parts": [part]}, num_items_in_batch))
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: Batch) -> int:
        return sum(int(super(PreferenceTrainer, self).floating_point_ops(part)) for part in inputs["parts"])

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Tensor | None:
        """Pairs in the whole batch: all accumulation steps of all processes (the Trainer counts `labels`)."""
        if not batch_samples:
            return None
        count = torch.tensor(sum(len(batch["pair_index"]) for batch in batch_samples), device=device)
        return self.accelerator.gather(count).sum() if self.accelerator.num_processes > 1 else count

    def prediction_step(
        self, model: nn.Module, inputs: Batch, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor, None, None]:
        inputs = self._prepare_inputs(inputs)
        with (
            torch.no_grad(),
            self.compute_loss_context_manager(),
            attending(self.accelerator.unwrap_model(model), self.layout),
        ):
            loss = self.compute_loss(model, inputs)
        return loss.detach(), None, None

    def evaluate(self, eval_dataset: Sequence[Pair] | PairDataset | None = None, *args: Any, **kwargs: Any) -> Any:
        if eval_dataset is not None and not isinstance(eval_dataset, PairDataset):
            if self.args.reference_mode == "precompute" and not hasattr(self.model, "disable_adapter"):
                raise BadInput(
                    "the reference is gone once training has begun: give eval_dataset when the trainer is made, or use "
                    "reference = 'live'"
                )
            data = check_labels(eval_dataset, self.args)
            assert data is not None
            if self.args.reference_mode == "precompute":
                data.ref_logps = self._precompute(self.model, data.pairs)
            eval_dataset = data
        return super().evaluate(eval_dataset, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        evaluating = any(name.startswith("eval_") for name in logs)
        found = self._metrics[not evaluating].collect(
            lambda sums: self.accelerator.reduce(sums, "sum"), leave_out=self._unused_metrics
        )
        logs |= {f"eval_{name}" if evaluating else name: value for name, value in found.items()}
        super().log(logs, *args, **kwargs)

    @property
    def _unused_metrics(self) -> set[str]:
        unused = {"loss/preference"} if self.args.reg_alpha == self.args.sft_weight == 0 else set()
        unused |= set() if self.args.reg_alpha > 0 else {"loss/regularizer"}
        unused |= set() if self.args.sft_weight > 0 else {"loss/sft"}
        return unused if self.method.weighted else unused | {"weight"}

    # ---- afterwards -----------------------------------------------------------------------------------------

    def token_logps(self, pairs: Sequence[Pair]) -> list[PairLogps]:
        """(chosen, rejected) log-probs of every completion token under the model as it is now."""
        with self.accelerator.autocast():  # As training does, so that a policy that has not moved shows zeros.
            return score_pairs(self.model, pairs, layout=self.layout, max_tokens=self.args.max_forward_tokens)
