"""prime-rl: GRPO whose advantages have the rewards of single tokens in them. Import it before the orchestrator starts.

An environment with a config of type `grpo` then gets the algorithm below.
"""

from typing import Any

from prime_rl.orchestrator.algo import ALGORITHM_CLASSES

from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.prime_rl import TokenRewardAlgorithm


class WithAnswer(TokenRewardAlgorithm):
    """Tokens are rewarded for what the model would say had it seen the answer."""

    labeler = Labeler(estimator="privileged", template="reference", on_failure="zero")
    weight = 0.5

    def item(self, trace: Any, before: list[dict[str, Any]], ids: list[int]) -> dict[str, Any]:
        return {**super().item(trace, before, ids), "context": {"reference": str(trace.task.data.answer)}}


ALGORITHM_CLASSES["grpo"] = WithAnswer
