"""Loading by transformers, with every key accounted for and every failure said in one line.

transformers draws weights at random for keys that a checkpoint lacks, leaves out those that it does not know, and says
so in a report that nobody reads. Here such a checkpoint is refused, and its keys are named. Keys that transformers
itself knows to be left out of an architecture's checkpoints (buffers, layers for speculative decoding) are fine, and
so are tied ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenreward.checkpoint.folder import check_folder, check_tokenizer
from tokenreward.checkpoint.quantization import check_quantization
from tokenreward.errors import BadInput

CAUSAL_LM = "AutoModelForCausalLM"
TOKEN_CLASSIFIER = "AutoModelForTokenClassification"
#: How many keys a message names.
_NAMED = 3


@contextlib.contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into a BadInput of one line.

    Args:
        what: What is being loaded, as the message begins: "the model in /models/x".

    Raises:
        BadInput: In place of any exception, which stays its cause.
    """
    try:
        yield
    except BadInput as error:
        if "\n" not in str(error):
            raise
        raise BadInput(first_line(error)) from error
    except Exception as error:  # files of any content are read by code that raises anything
        raise BadInput(f"{what} cannot be loaded: {_named(error)}") from error


def load_model(kind: str, folder: Path, name: str | None = None, **options: Any) -> Any:
    """Load a model whole, or refuse it.

    Args:
        kind: The class of transformers that loads it, such as `AutoModelForCausalLM`.
        folder: The model's directory.
        name: What the user calls it, and what the model remembers as its name; None: the folder.
        **options: For `from_pretrained`.

    Raises:
        BadInput: The folder is damaged or an adapter's, or keys are missing, unexpected or of another shape; in one
            line.
    """
    what = f"the model {name}" if name else f"the model in {folder}"
    with in_one_line(what), silence():
        check_quantization(check_folder(folder, tokenizer=False), folder)
        import transformers

        model, report = getattr(transformers, kind).from_pretrained(
            folder,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report then, by name
            local_files_only=True,
            trust_remote_code=False,
            **options,
        )
        refuse_keys(report, what)
        _refuse_untied(model, what)
        if name is not None:
            model.name_or_path = model.config._name_or_path = name
        return model


def load_tokenizer(folder: Path, name: str | None = None) -> Any:
    """Load a tokenizer by transformers.

    Args:
        folder: The model's directory.
        name: What the user calls the model, and what the tokenizer remembers; None: the folder.

    Raises:
        BadInput: It is missing or damaged; in one line.
    """
    with in_one_line(f"the tokenizer of {name or folder}"), silence():
        check_tokenizer(folder)
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if name is not None:
            tokenizer.name_or_path = name
        return tokenizer


def known_causal_lm(content: Mapping[str, Any]) -> bool:
    """Whether transformers has code of its own for a causal language model.

    Args:
        content: Of config.json.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    kind = content.get("model_type")
    return kind in CONFIG_MAPPING and CONFIG_MAPPING[kind] in MODEL_FOR_CAUSAL_LM_MAPPING


def load_config(folder: Path) -> Any:
    """Load a model's configuration by transformers, defaults filled in.

    Raises:
        BadInput: It cannot be read, or its kind of model is not known; in one line.
    """
    with in_one_line(f"the configuration of {folder}"):
        import transformers

        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def refuse_keys(report: Mapping[str, Any], what: str) -> None:
    """Refuse a load that was not whole.

    Args:
        report: The loading info of transformers.
        what: What was loaded, for the message.

    Raises:
        BadInput: Keys are missing, unexpected or of another shape.
    """
    mismatched = sorted(
        f"{key} ({'x'.join(map(str, there))} in the files, {'x'.join(map(str, wanted))} by config.json)"
        for key, there, wanted in report["mismatched_keys"]
    )
    missing = sorted(set(report["missing_keys"]) - {key for key, *_ in report["mismatched_keys"]})
    for kind, keys in (
        ("its files lack", missing),
        ("its files have weights of another shape than its configuration says", mismatched),
        ("its files have what its configuration does not know", sorted(report["unexpected_keys"])),
    ):
        if keys:
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            raise BadInput(f"{what} is not whole: {kind} {', '.join(keys[:_NAMED])}{more}")


def first_line(error: BaseException) -> str:
    """Return the first line of an exception that says something."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:500]


def _named(error: Exception) -> str:
    """Its first line, and its type where the line alone says little."""
    line = first_line(error)
    if "above report" in line:  # the report is silenced, and was a table
        return "its weights cannot be put together as this architecture has them: a part is missing or of another shape"
    return line if isinstance(error, OSError | ValueError | ImportError) else f"{type(error).__name__}: {line}"


def _refuse_untied(model: Any, what: str) -> None:
    """Refuse weights that the configuration ties, and that the files hold twice with different values.

    transformers keeps them apart then, and vLLM does not: two engines would give two answers.
    """
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    apart = sorted(tied.keys() - model.all_tied_weights_keys.keys())
    if apart:
        raise untied(apart[0], tied[apart[0]], what)


def untied(one: str, other: str, what: str) -> BadInput:
    """What to tell a user whose checkpoint contradicts its `tie_word_embeddings`."""
    return BadInput(
        f"{what}: by tie_word_embeddings in config.json, {one} is {other}, but its files have two different ones: "
        "write into config.json what the model was trained with, or remove the one that is not used"
    )


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep transformers from printing its report and its progress."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
