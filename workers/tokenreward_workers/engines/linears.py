"""The linear layers of a model that an adapter may change, by their names in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.loading import in_one_line, known_causal_lm, load_config
from tokenreward.errors import BadInput

#: (outputs, inputs) by a layer's name.
Linears = dict[str, tuple[int, int]]


def linears_of_model(model: Any) -> Linears:
    """Return the linear layers of a model of transformers, without its LM head and its experts.

    An LM head with an adapter is computed in one way by PEFT and in another by vLLM, which would apply it to the wrong
    rows of a prompt; experts are no layers of their own.
    """
    import torch

    head = model.get_output_embeddings()
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head and ".experts." not in name
    }


def linears_of_folder(folder: Path) -> Linears:
    """Return the same of a model directory, without reading a weight.

    Raises:
        BadInput: transformers does not know the architecture, so that nobody can tell what an adapter of it changes.
    """
    if not known_causal_lm(read_object(folder / "config.json")):
        raise BadInput(f"transformers does not know the architecture of {folder}, so it takes no adapters")
    with in_one_line(f"the model in {folder}"):
        import torch
        import transformers

        with torch.device("meta"):
            return linears_of_model(transformers.AutoModelForCausalLM.from_config(load_config(folder)))
