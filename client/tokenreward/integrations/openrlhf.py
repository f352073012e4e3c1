"""OpenRLHF: a reward function for `--reward.remote_url FILE.py`.

OpenRLHF takes one reward for a whole response: `compute_reward` (`openrlhf/models/utils.py`) puts it on the last
token, and its agents return a number, too. So this is the mean of the rewards of the response's tokens; rewards of
single tokens need a change of OpenRLHF's own code. Read: OpenRLHF 0.11.2, `openrlhf/utils/agent.py`
(`SingleTurnAgentExecutor`), which calls the function for one response at a time.

    # reward.py
    from tokenreward.integrations.labeler import Labeler
    from tokenreward.integrations.openrlhf import reward_function
    reward_func = reward_function(Labeler())
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward.integrations.labeler import Labeler


def reward_function(labeler: Labeler, end_of_turn: Sequence[str] = ("<|im_end|>", "<|eot_id|>", "</s>")) -> Any:
    """Make OpenRLHF's `reward_func(queries, prompts, labels)`.

    Args:
        labeler: How responses are labeled.
        end_of_turn: What may stand at the end of a response; it is no part of its text.

    Returns:
        The function. It returns `rewards`, the mean reward of the response's tokens in [-0.5, 0.5], and `scores`, the
        same in [0, 1], for dynamic filtering.
    """

    def reward_func(queries: list[str], prompts: list[str], labels: list[Any], **_: Any) -> dict[str, Any]:
        items = [
            {"prompt": prompt, "response": _response(query, prompt, end_of_turn)}
            for query, prompt in zip(queries, prompts, strict=True)
        ]
        # A response that cannot be labeled has no rewards where the labeler's `on_failure` is `zero`.
        means = [sum(values) / len(values) if values else 0.0 for values in labeler.rewards(items)]
        rewards = means[0] if len(means) == 1 else means
        scores = means[0] + 0.5 if len(means) == 1 else [mean + 0.5 for mean in means]
        return {"rewards": rewards, "scores": scores, "extra_logs": {"mean_token_reward": rewards}}

    function: Callable[..., dict[str, Any]] = reward_func
    return function


def _response(query: str, prompt: str, end_of_turn: Sequence[str]) -> str:
    if not query.startswith(prompt):
        raise BadInput(f"the query does not begin with its prompt: {query[:80]!r} and {prompt[:80]!r}")
    response = query[len(prompt) :].strip()
    for end in end_of_turn:
        response = response.removesuffix(end).rstrip()
    return response
