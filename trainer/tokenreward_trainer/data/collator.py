"""From pairs of token ids to tensors, packed (no padding, shared prompt) or padded, in parts of bounded size.

A batch is cut into parts of at most so many tokens. Each part has a forward and backward pass of its own, so memory is
bounded by that number and not by the batch. Both layouts carry the same bookkeeping: where in the row each completion
token is predicted (`positions`), which token it is (`targets`), and where it belongs in the [2B, T] grid of
completions (`slots`), chosen rows first. All of it is computed here, on the CPU, so that a training step never waits
for the device to learn a shape or an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenreward_trainer.data.grouping import by_length
from tokenreward_trainer.data.mismatched import mismatched_pairs
from tokenreward_trainer.data.pair import Batch, BatchLayout, Example, Mask, Pair, Values
from tokenreward_trainer.data.side_by_side import side_by_side
from tokenreward_trainer.data.varlen_row import varlen_row


@dataclass(frozen=True, slots=True)
class Collator:
    """Makes one batch of examples. It can be pickled, so data loader workers can use it.

    Attributes:
        layout: `packed` or `padded`.
        max_tokens: The most tokens that a part reads (or one pair); None puts the whole batch into one part.
        pad_token: The token id in padding, which attention never sees.
        pad_to_multiple_of: The rows of the padded layout are padded to a multiple of this many tokens.
        dtype: The type of token rewards and reference log-probs.
        mismatched: Whether to make parts of completions under other pairs' prompts too (KTO).
        side_by_side: Whether a packed part also says how its sequences lie side by side (see `data.side_by_side`),
            which attention on an accelerator uses.
        varlen: Whether it says where its sequences begin (see `data.varlen_row`), for one variable-length call.
    """

    layout: BatchLayout
    max_tokens: int | None = None
    pad_token: int = 0
    pad_to_multiple_of: int = 1
    dtype: torch.dtype = torch.float32
    mismatched: bool = False
    side_by_side: bool = False
    varlen: bool = False

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """Cuts the examples into parts.

        Args:
            examples: The pairs of one micro-batch.

        Returns:
            `pair_index`, int64 `[B]`; `order`, int64 `[B]`, the examples in the order of the parts; and `parts`, a list
            of what `part` returns; with `mismatched` also that, such parts of the pairs that `mismatched_pairs` makes.
        """
        groups = self._groups(examples)
        batch: Batch = {
            # First, and one entry a pair: the Trainer reads the batch size off the first tensor it finds.
            "pair_index": torch.tensor([example.index for example in examples]),
            "order": torch.tensor([index for group in groups for index in group]),
            "parts": [self.part([examples[index] for index in group]) for group in groups],
        }
        if self.mismatched:
            others = [Example(0, pair) for pair in mismatched_pairs([example.pair for example in examples])]
            batch["mismatched"] = [self.part([others[index] for index in group]) for group in self._groups(others)]
        return batch

    def _groups(self, examples: Sequence[Example]) -> list[list[int]]:
        """Which examples make a part."""
        if self.max_tokens is None:
            return [[*range(len(examples))]] if examples else []
        return list(by_length([example.pair for example in examples], self.max_tokens, self.layout))

    def part(self, examples: Sequence[Example]) -> Batch:
        """Makes the tensors of one forward pass over B pairs with N completion tokens that count.

        A token that does not count has no place in the grid of completions: nothing is predicted for it, and so no loss
        and no metric can know of it.

        Returns:
            `input_ids` (int64, `[1, tokens]` packed, `[2B, width]` padded, or
            `[B, width]` of single responses), `positions`, `targets` and `slots` (int64
            `[N]`), `mask` (bool `[2B, T]`), and where they are known `token_rewards` and `ref_logps` (`[2B, T]`, zero
            in the padding). The packed layout adds `position_ids` and `pairs`; side by side `spread` and `gather` where
            padding does not outweigh the gain; for one variable-length call `keys`, `query_starts` and `key_starts`.
            The padded layout adds `attention_mask`.
        """
        pairs = [example.pair for example in examples]
        completions = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        counted = [pair.counted[0] for pair in pairs] + [pair.counted[1] for pair in pairs]
        lengths = torch.tensor([int(row.sum()) for row in counted])
        mask = torch.arange(int(lengths.max())).unsqueeze(0) < lengths.unsqueeze(1)
        batch = self._packed(pairs) if self.layout == "packed" else self._padded(pairs)
        kept = torch.from_numpy(np.concatenate(counted))
        batch |= {
            "positions": batch["positions"][kept],
            "targets": torch.tensor([token for ids in completions for token in ids])[kept],
            "slots": mask.flatten().nonzero().squeeze(-1),
            "mask": mask,
        }
        if pairs[0].chosen_token_rewards is not None:
            rewards = [pair.chosen_token_rewards for pair in pairs] + [pair.rejected_token_rewards for pair in pairs]
            batch["token_rewards"] = self._grid(rewards, counted, mask)
        if pairs[0].teacher is not None and pairs[0].single:
            batch |= self._teacher(pairs, counted, mask)
        if examples[0].ref_logps is not None:
            both = [example.ref_logps for example in examples if example.ref_logps is not None]
            rows = [chosen for chosen, _ in both] + [rejected for _, rejected in both]
            batch["ref_logps"] = self._grid(rows, counted, mask)
        return batch

    def _teacher(self, pairs: Sequence[Pair], counted: Sequence[Mask], mask: Tensor) -> Batch:
        """`teacher_logps` on the grid, and where there are any `teacher_ids` and `teacher_top`, `[N, K]`."""
        kept = [pair.teacher[which] for pair, which in zip(pairs, counted, strict=False) if pair.teacher is not None]
        rows: list[Values | None] = [scores.logps for scores in kept]
        nothing = [np.zeros(0, np.float32)] * (len(mask) - len(rows))
        whole = [np.ones(int(row.sum()), np.bool_) for row in mask.numpy()]
        found: Batch = {"teacher_logps": self._grid([*rows, *nothing], whole, mask)}
        ids = [scores.top_ids for scores in kept if scores.top_ids is not None]
        values = [scores.top_logps for scores in kept if scores.top_logps is not None]
        if ids:
            found |= {
                "teacher_ids": torch.from_numpy(np.concatenate(ids)),
                "teacher_top": torch.from_numpy(np.concatenate(values)).to(self.dtype),
            }
        return found

    def _grid(self, rows: Sequence[Values | None], counted: Sequence[Mask], mask: Tensor) -> Tensor:
        values = np.concatenate([row[kept] for row, kept in zip(rows, counted, strict=True) if row is not None])
        return torch.zeros(mask.shape, dtype=self.dtype).masked_scatter_(mask, torch.from_numpy(values).to(self.dtype))

    def _packed(self, pairs: Sequence[Pair]) -> Batch:
        ids: list[int] = []
        positions: list[int] = []
        chosen_at: list[int] = []
        rejected_at: list[int] = []
        for pair in pairs:
            last = len(ids) + len(pair.prompt) - 1
            chosen_at += range(last, last + len(pair.chosen))
            ids += pair.prompt + pair.chosen
            rejected_at += [] if pair.single else [last, *range(len(ids), len(ids) + len(pair.rejected) - 1)]
            ids += pair.rejected
            after = len(pair.prompt)
            positions += [*range(after + len(pair.chosen)), *range(after, after + len(pair.rejected))]
        lengths = [(len(pair.prompt), len(pair.chosen), len(pair.rejected)) for pair in pairs]
        batch: Batch = {
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.tensor([positions]),
            "pairs": lengths,
            "positions": torch.tensor(chosen_at + rejected_at),
        }
        if self.varlen:
            row = varlen_row(lengths)
            return batch | {"keys": row.keys, "query_starts": row.query_starts, "key_starts": row.key_starts}
        together = side_by_side(lengths) if self.side_by_side else None
        return batch if together is None else batch | {"spread": together.spread, "gather": together.gather}

    def _padded(self, pairs: Sequence[Pair]) -> Batch:
        rows = [(pair.prompt, pair.chosen) for pair in pairs]
        rows += [(pair.prompt, pair.rejected) for pair in pairs if not pair.single]
        longest = max(len(prompt) + len(completion) for prompt, completion in rows)
        width = -(-longest // self.pad_to_multiple_of) * self.pad_to_multiple_of
        ids = torch.full((len(rows), width), self.pad_token)
        attention = torch.zeros((len(rows), width), dtype=torch.long)
        positions: list[int] = []
        for row, (prompt, completion) in enumerate(rows):
            length = len(prompt) + len(completion)
            ids[row, :length] = torch.tensor(prompt + completion)
            attention[row, :length] = 1
            start = row * width + len(prompt) - 1
            positions += range(start, start + len(completion))
        return {"input_ids": ids, "attention_mask": attention, "positions": torch.tensor(positions)}


def to_device(batch: Mapping[str, Any], device: torch.device) -> Batch:
    """Copies a part's tensors to a device and leaves everything else as it is."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}
