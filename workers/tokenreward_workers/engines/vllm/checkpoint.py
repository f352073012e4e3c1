"""What vLLM does not look at by itself before it loads a model: every key, the files it would read, the rotary
embeddings.

vLLM reads each `*.safetensors` of a folder that has no index, prefers a maker's own format where one lies beside
transformers', and leaves out a head that the configuration ties. So the files are checked by transformers' rules, and a
folder that the two would read differently is refused.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.keys import check_keys
from tokenreward.checkpoint.loading import known_causal_lm, load_config
from tokenreward.checkpoint.weight_files import refuse_strays
from tokenreward.errors import BadInput
from tokenreward_workers.engines.lengths import longest_sequence, ropes
from tokenreward_workers.engines.vllm.settings import VllmSettings

log = logging.getLogger(__name__)


def checked(path: Path, settings: VllmSettings) -> VllmSettings:
    """Check a model's folder for vLLM.

    Args:
        path: The model directory.
        settings: How it is to be loaded.

    Returns:
        The settings, with a `max_tokens` below the length at which vLLM would change rotary embeddings for all texts.

    Raises:
        BadInput: The model is not whole, or vLLM would not compute what transformers computes.
    """
    check_keys(path)
    refuse_strays(path)
    if not known_causal_lm(read_object(path / "config.json")):
        return settings
    config = load_config(path).get_text_config()
    kinds = {rope.get("rope_type") for rope in ropes(config) if not rope.get("alpha")}
    if "dynamic" in kinds:
        raise BadInput(
            f"the model in {path} has dynamic rotary embeddings, which vLLM computes in another way than transformers: "
            "take engine transformers"
        )
    if "longrope" not in kinds:
        return settings
    most = longest_sequence(config) - 1  # vLLM insists on room for one more
    if settings.max_tokens is None or settings.max_tokens > most:
        log.warning("%s: texts are up to %d tokens, where its rotary embeddings (longrope) change", path, most)
        return replace(settings, max_tokens=most)
    return settings
