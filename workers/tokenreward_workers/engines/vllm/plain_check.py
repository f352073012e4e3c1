"""A small model's log-probs by vLLM against a plain pass of transformers, before a worker says that it is ready.

vLLM has code of its own for every architecture and every kind of attention. A plain pass costs the model a second
time, so only small ones are compared at every start; larger ones of the same architectures are compared by `make
models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.loading import CAUSAL_LM, known_causal_lm, load_model
from tokenreward.checkpoint.weight_files import weight_files
from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.engines.lengths import longest_sequence, windows
from tokenreward_workers.scoring import LogProbs, Scoring, ScoringFailed

#: Bytes of weights of the largest model that is compared.
_SMALL = 2**28
_SHORT, _BEYOND, _LONGEST = 160, 64, 1024
#: The largest difference of a token's log-prob in float32, and the mean one of a half precision.
_EXACT, _ROUNDING = 1e-3, 0.5


def plain_rows(path: Path, max_tokens: int | None) -> list[tuple[Scoring, LogProbs]]:
    """Score a few texts plainly, in float32.

    Args:
        path: A model directory.
        max_tokens: The longest text that is to be scored; None for the model's own limit.

    Returns:
        Each text and its response's log-probs; nothing for a model that is too large or quantised, or that transformers
        has no class for.
    """
    content = read_object(path / "config.json")
    size = sum(file.stat().st_size for file in weight_files(path))
    if size > _SMALL or content.get("quantization_config") is not None or not known_causal_lm(content):
        return []
    import torch

    model = load_model(CAUSAL_LM, path, dtype=torch.float32, attn_implementation="eager").eval()
    text = model.config.get_text_config()
    most = min(longest_sequence(text) - 1, max_tokens or 2**31, _LONGEST)
    lengths = {min(_SHORT, most), *(min(size + _BEYOND, most) for size in windows(text))}
    found = []
    with torch.inference_mode():
        for length in sorted(lengths):
            ids = np.random.default_rng(length).integers(0, min(text.vocab_size, 1000), length).tolist()
            start = length - max(1, length // 3)
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
            rows = logits[:-1].gather(-1, torch.tensor(ids)[1:, None])[start - 1 :, 0].numpy()
            found.append((Scoring((), {"plain": tuple(ids[:start])}, tuple(ids[start:])), rows))
    return found


def compare(engine: Engine, texts: Sequence[tuple[Scoring, LogProbs]]) -> None:
    """Let an engine score the texts, cold and from its cache.

    Raises:
        BadInput: It gives them other log-probs.
    """
    work = [scoring for scoring, _ in texts if scoring.longest <= engine.info.max_tokens]
    for outcomes in (score_all(engine, work), score_all(engine, work)):
        for outcome, (_, expected) in zip(outcomes, texts, strict=False):
            if isinstance(outcome, ScoringFailed):
                raise BadInput(f"vLLM cannot score with this model: {outcome.message}; take engine transformers")
            difference = np.abs(outcome["plain"].logprobs - expected)
            exact = engine.info.dtype == "float32"
            apart = float(difference.max() if exact else difference.mean())
            if not apart < (_EXACT if exact else _ROUNDING):
                raise BadInput(
                    f"vLLM's log-probs of this model are {apart:.3g} off a plain pass of transformers, so it cannot "
                    "score with it: take engine transformers"
                )
