"""Every key of a checkpoint against the model that its configuration describes, without reading a weight.

For an engine that loads weights by code of its own, and may draw what is missing or skip what it does not know. Names
and shapes are taken from the files' headers and go through what transformers does to them on loading, on torch's
`meta` device, where tensors have shapes and no values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.checkpoint.folder import check_folder
from tokenreward.checkpoint.loading import (
    in_one_line,
    known_causal_lm,
    load_config,
    refuse_keys,
    silence,
    untied,
)
from tokenreward.checkpoint.safetensors_file import read_header
from tokenreward.checkpoint.weight_files import weight_files

_CHUNK = 2**24


def check_keys(folder: Path, *, tokenizer: bool = True) -> None:
    """Refuse a causal language model whose files are not what its configuration says.

    A quantised checkpoint, whose keys are those of its method, and an architecture that transformers does not know are
    left to the engine.

    Args:
        folder: A model directory.
        tokenizer: Whether its tokenizer has to be there, too.

    Raises:
        BadInput: See `folder.check_folder`; or keys are missing, unexpected, of another shape, or tied and different.
    """
    what = f"the model in {folder}"
    with in_one_line(what), silence():
        content = check_folder(folder, tokenizer=tokenizer)
        import transformers
        from transformers.modeling_utils import load_state_dict

        if content.get("quantization_config") is not None or not known_causal_lm(content):
            return
        files = weight_files(folder)
        shapes: dict[str, Any] = {}
        for file in files:
            shapes |= load_state_dict(file, map_location="meta")
        config = load_config(folder)
        architecture = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
        if type(text := config.get_text_config()) is architecture.config_class:
            config = text
        model, report = architecture.from_pretrained(
            None,
            config=config,
            state_dict=dict(shapes),
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        refuse_keys(report, what)
        for one, other in model.get_expanded_tied_weights_keys(all_submodels=True).items():
            if one in shapes and other in shapes and not _same(files, one, other):
                raise untied(one, other, what)


def _same(files: list[Path], one: str, other: str) -> bool:
    """Whether two tensors of a checkpoint have the same bytes; torch's own files hold tied ones once."""
    if any(file.suffix != ".safetensors" for file in files):
        return True
    places = {name: (file, tensor) for file in files for name, tensor in read_header(file).items()}
    (first, a), (second, b) = places[one], places[other]
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    with first.open("rb") as left, second.open("rb") as right:
        left.seek(a.start)
        right.seek(b.start)
        return all(
            left.read(min(_CHUNK, a.end - a.start - at)) == right.read(min(_CHUNK, a.end - a.start - at))
            for at in range(0, a.end - a.start, _CHUNK)
        )
