"""Cutting a pair that is longer than a model or a batch takes."""

from __future__ import annotations

from dataclasses import replace

from tokenreward_trainer.data.pair import Pair, Values


def truncate(pair: Pair, max_length: int, max_prompt_length: int) -> Pair:
    """Cuts a pair whose prompt and longer completion do not fit together.

    Args:
        pair: The pair.
        max_length: The most tokens of prompt and completion.
        max_prompt_length: The most tokens that a cut pair keeps of its prompt.

    Returns:
        The pair itself if both sides fit; else its prompt's end and its completions' beginnings, with their rewards.
    """
    room = max_length - max(len(pair.chosen), len(pair.rejected))
    if len(pair.prompt) <= room:
        return pair
    prompt = pair.prompt[-max_prompt_length:]
    room = max_length - len(prompt)

    def rewards(values: Values | None) -> Values | None:
        return None if values is None else values[:room]

    return replace(
        pair,
        prompt=prompt,
        chosen=pair.chosen[:room],
        rejected=pair.rejected[:room],
        chosen_token_rewards=rewards(pair.chosen_token_rewards),
        rejected_token_rewards=rewards(pair.rejected_token_rewards),
        teacher=None if pair.teacher is None else pair.teacher[:room],
        chosen_mask=None if pair.chosen_mask is None else pair.chosen_mask[:room],
        rejected_mask=None if pair.rejected_mask is None else pair.rejected_mask[:room],
    )
