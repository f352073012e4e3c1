"""What vLLM's worker process learns from us: vLLM mixes this class into its worker (`worker_extension_cls`)."""

from __future__ import annotations

from typing import Any


class ScoringExtension:
    """Methods that `LLMEngine.collective_rpc` can call in every worker process."""

    model_runner: Any

    def score_rows_together(self) -> None:
        """Let the V2 runner score named tokens with one LM head for all requests of a step."""
        from tokenreward_workers.engines.vllm.batched_head import BatchedPromptLogprobs

        theirs = self.model_runner.prompt_logprobs_worker
        if theirs is not None:  # a rank of a pipeline that has no head
            ours = BatchedPromptLogprobs(theirs.max_num_reqs, theirs.device, theirs.logprobs_mode)
            self.model_runner.prompt_logprobs_worker = ours

    def score_wanted_rows(self) -> None:
        """Let the V1 runner compute what requests want beside log-probs."""
        from tokenreward_workers.engines.vllm.v1_rows import V1Rows

        V1Rows(self.model_runner).install()
