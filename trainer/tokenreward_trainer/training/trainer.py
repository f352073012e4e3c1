"""PreferenceTrainer: transformers' Trainer with a preference loss on per-token log-probs and T-REG's regulariser."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations import is_deepspeed_zero3_enabled

from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.loading import CAUSAL_LM
from tokenreward.checkpoint.loading import load_model as load_whole
from tokenreward.errors import BadInput
from tokenreward_trainer.data.collator import Collator
from tokenreward_trainer.data.pair import Batch, Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.devices import placed
from tokenreward_trainer.model.layout_check import choose_layout
from tokenreward_trainer.model.scorable import base_of, make_scorable
from tokenreward_trainer.model.scoring import attending
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.live_reference import frozen, frozen_copy
from tokenreward_trainer.training.metrics import Metrics
from tokenreward_trainer.training.pair_dataset import PairDataset, check_batches, held_out_of, labeled_dataset, sets_of
from tokenreward_trainer.training.pair_scoring import PairLogps, score_pairs, without_adapter
from tokenreward_trainer.training.part_objectives import PartObjectives
from tokenreward_trainer.training.preparation import (
    adapted,
    check_precision,
    router_weight,
    row_options_on,
    without_dropout,
)
from tokenreward_trainer.training.sharding import SummedGradients, check_sharding, in_shards, shard_on_cpus
from tokenreward_trainer.training.strength import strength_of
from tokenreward_trainer.training.vocabulary import PaddingWithinEmbedding, padding_of, rows_of


class PreferenceTrainer(PartObjectives):
    """Trains a causal language model on preference pairs with token rewards.

    The loss is the mean over the pairs of the whole batch: the same however the batch is cut into micro-batches,
    accumulation steps and processes.

    Args:
        model: A model, a PEFT model, or a name or directory to load one from.
        args: The options.
        train_dataset: Pairs to train on; with reg_alpha > 0 or SePO, every one labeled. One with a token id beyond the
            model's vocabulary is left out.
        eval_dataset: Held-out pairs, under the same rule; or several sets of them by name.
        processing_class: The tokenizer, which is saved with the model.
        ref_model: The reference; None is the model as it is now (a PEFT model's base, adapter off).
        peft_config: Wraps the model in a new adapter.
        **kwargs: More arguments of transformers' Trainer.

    Attributes:
        layout: The batch layout that this model trains in.
        method: The preference loss.
        hyper: Its hyperparameters.
        strength: How strong the regulariser is.
        ref_model: The model of a live reference beside the policy; None where there is none.

    Raises:
        BadInput: Options, model and data do not go together.
    """

    def __init__(
        self,
        model: str | nn.Module,
        args: PreferenceConfig,
        train_dataset: Sequence[Pair] | None = None,
        eval_dataset: Sequence[Pair] | Mapping[str, Sequence[Pair]] | None = None,
        *,
        processing_class: PreTrainedTokenizerBase | None = None,
        ref_model: PreTrainedModel | None = None,
        peft_config: Any = None,
        **kwargs: Any,
    ) -> None:
        check_sharding(args)
        if isinstance(model, str):
            model = load_whole(CAUSAL_LM, find_model(model), model)
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
        self._vocabulary = rows_of(model)
        train = None if train_dataset is None else labeled_dataset(train_dataset, args, self._vocabulary)
        held_out = held_out_of(eval_dataset, args, self._vocabulary)
        check_batches(train, sets_of(held_out), args)
        known = next((each for each in (train, *sets_of(held_out)) if each is not None), PairDataset([]))
        self.strength = strength_of(args, known.pairs)
        check_precision(model)
        self._router_weight = router_weight(model, args)
        make_scorable(model)
        if in_shards(model):  # They cannot be probed before the engine has them.
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
        self._parameter_count: int | None = None
        collator = Collator(
            self.layout,
            max_tokens=args.max_forward_tokens,
            pad_token=padding_of(model),
            dtype=torch.promote_types(base_of(model).dtype, torch.float32),
            mismatched="mismatched" in self.method.extras,
        )
        super().__init__(
            model=model,
            args=args,
            data_collator=collator,
            train_dataset=train,
            eval_dataset=held_out,
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
            collator = replace(collator, max_tokens=None)
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.accelerator.mixed_precision)
        self.data_collator = replace(collator, **row_options_on(self.model, self.layout, args.device, half))
        self.add_callback(PaddingWithinEmbedding)
        if self.is_fsdp_enabled and args.device.type == "cpu":
            self.add_callback(SummedGradients)
        # The loss divides by the pairs of the whole accumulated batch itself.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True
        self._starts_as_reference = ref_model is None
        self._prepare_reference(ref_model)

    def create_accelerator_and_postprocess(self) -> None:
        """Makes the accelerator; between CPU processes too, it shards where the options say so."""
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled |= shard_on_cpus(self.accelerator, self.args)

    # ---- the reference ----------------------------------------------------------------------------------

    def _prepare_reference(self, ref_model: PreTrainedModel | None) -> None:
        self.ref_model: nn.Module | None = None
        if self.args.reference_mode == "none":
            return
        reference = None if ref_model is None else frozen(ref_model)
        if self.args.reference_mode == "precompute":
            if reference is None and in_shards(self.model):
                raise BadInput("reference = 'precompute' needs ref_model: DeepSpeed ZeRO-3 has the policy in shards")
            for data in (self.train_dataset, *sets_of(self.eval_dataset)):
                if data is not None:
                    data.ref_logps = self._reference_logps(self.model if reference is None else reference, data.pairs)
        else:
            self.ref_model = self._live_reference(reference)

    def _live_reference(self, reference: nn.Module | None) -> nn.Module | None:
        """The model beside the policy; None where the policy without its adapter is the reference."""
        if self.is_fsdp_enabled:
            raise BadInput("reference = 'live' under FSDP holds a whole reference in each process: use 'precompute'")
        if "kl" in self.method.extras and is_deepspeed_zero3_enabled():
            raise BadInput(
                f"method = '{self.args.method}' reads the reference's whole LM head, which ZeRO-3 has in shards"
            )
        if reference is None:
            if hasattr(self.model, "disable_adapter"):
                return None
            reference = frozen_copy(self.model)
        prepared: nn.Module = self.accelerator.prepare_model(reference.to(self.args.device), evaluation_mode=True)
        return prepared

    # ---- the loss ---------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Computes the sum over this micro-batch's pairs, divided by the items of the whole batch.

        Args:
            model: The policy, wrapped as training wraps it.
            inputs: What the collator made.
            return_outputs: Whether to give `per_pair`, the losses `[B]`, and `rewards`, the implicit rewards `[B, 2]`
                of the chosen and the rejected completions, too.
            num_items_in_batch: The pairs (of single responses, the tokens) of the whole batch; None is those of this
                micro-batch.
        """
        z = inputs["reference_point"] if "reference_point" in inputs else self._reference_point(model, inputs)
        parts = [self._objective(model, part, z) for part in inputs["parts"]]
        per_pair = torch.cat([part.total for part in parts])
        if num_items_in_batch is None:
            loss = per_pair.sum() / self._items(inputs)
        else:
            # Gradients are averaged over processes, the pairs of which num_items_in_batch has all counted.
            loss = per_pair.sum() * self.accelerator.num_processes / num_items_in_batch
        if not return_outputs:
            return loss
        places = inputs["order"].argsort()
        return loss, {"per_pair": per_pair.detach()[places], "rewards": torch.cat([p.rewards for p in parts])[places]}

    # ---- the Trainer's seams ------------------------------------------------------------------------------

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Runs a forward and a backward pass for every part; processes exchange gradients in the last one."""
        assert num_items_in_batch is not None
        z = self._reference_point(model, inputs)
        losses = []
        for index, part in enumerate(inputs["parts"]):
            last = index == len(inputs["parts"]) - 1
            with (
                nullcontext() if last else self.accelerator.no_sync(model),
                attending(model, self.layout),
            ):
                losses.append(super().training_step(model, {"parts": [part], "reference_point": z}, num_items_in_batch))
        return torch.stack(losses).sum()

    def floating_point_ops(self, inputs: Batch) -> int:
        """Estimates the operations of a step as the Trainer does, from a count of parameters that is made once."""
        if self._parameter_count is None:
            self._parameter_count = int(base_of(self.model).num_parameters(exclude_embeddings=True))
        return sum(6 * int(part["input_ids"].numel()) * self._parameter_count for part in inputs["parts"])

    def _items(self, batch: Batch) -> int:
        """What the loss is a mean over: pairs, or the tokens of single responses (the Trainer counts `labels`)."""
        if self.method.single:
            return sum(len(part["targets"]) for part in batch["parts"])
        return sum(len(part["mask"]) // 2 for part in batch["parts"])

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> Tensor | int | None:
        """Pairs, or tokens, in the whole batch: all accumulation steps of all processes."""
        if not batch_samples:
            return None
        count = sum(map(self._items, batch_samples))
        if self.accelerator.num_processes == 1:
            return count  # As a number: a tensor would have to wait for the device.
        # Filled in on the device: a copy to it would wait for the step before.
        everywhere: Tensor = self.accelerator.gather(torch.full((), count, device=device))
        return everywhere.sum()

    # ---- afterwards -----------------------------------------------------------------------------------------

    def token_logps(self, pairs: Sequence[Pair]) -> list[PairLogps]:
        """Computes the log-probs of every completion token under the model as it is now, in the order of `pairs`."""
        # As training does, so that a policy that has not moved shows zeros.
        with placed(self.model, self.args.device), self.accelerator.autocast():
            return score_pairs(self.model, pairs, layout=self.layout, max_tokens=self.args.max_forward_tokens)

    def reference_token_logps(self, pairs: Sequence[Pair]) -> list[PairLogps]:
        """Computes the same log-probs under the live reference: `ref_model`, or the policy without its adapter."""
        model = self.model if self.ref_model is None else self.ref_model
        with placed(model, self.args.device), without_adapter(model), self.accelerator.autocast():
            return score_pairs(model, pairs, layout=self.layout, max_tokens=self.args.max_forward_tokens)
