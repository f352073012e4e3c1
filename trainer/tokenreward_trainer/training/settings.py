"""A training run as one TOML file: which model, which data, which method, and what TrainingArguments takes.

Every option can be set on the command line as `--section.key value`; values are TOML (`0.1`, `true`, `[1, 2]`), and
what is no TOML value is text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tokenreward.errors import BadInput
from tokenreward_trainer.config_file import Positive, Section, _nearest, complaints, content_of


class Model(Section):
    """name: a directory or hub name.  reference: the reference model; None is the initial model.

    dtype: of the weights; auto is the checkpoint's.  attention: transformers' attn_implementation; None is its default.
    """

    name: str = ""
    reference: str | None = None
    dtype: str = "auto"
    attention: str | None = None


class Data(Section):
    """train, eval: files of pairs.  eval_share: of the training pairs, held out where there is no eval file.

    limit: train on the first so many pairs.  max_length: of prompt and completion, in tokens.
    """

    train: str = ""
    eval: str | None = None
    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    limit: Positive | None = None
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800


class Labels(Section):
    """Where token rewards come from.

    source: `file`, the data files hold them (or the method needs none); `service`, label the files first through the
        service at `url`; `contrast`, log pi_strong / pi_weak of two models (strong may be an adapter of weak);
        `surprisal`, of the initial model, a control.
    template, estimator, model: for the service.
    """

    source: Literal["file", "service", "contrast", "surprisal"] = "file"
    url: str | None = None
    template: str = "revision"
    estimator: str = "contrast"
    model: str | None = None
    strong: str | None = None
    weak: str | None = None


class Lora(Section):
    """Train a LoRA adapter (peft's LoraConfig) instead of all weights; r = 0: all weights."""

    r: Annotated[int, Field(ge=0)] = 0
    alpha: Positive = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | list[str] = "all-linear"


class Report(Section):
    """baseline: first train the same without the regulariser, and show both side by side.

    examples: held-out pairs drawn as heat maps.
    """

    baseline: bool = False
    examples: Annotated[int, Field(ge=0)] = 6


class Run(Section):
    """The whole file. `train` is PreferenceConfig: transformers' TrainingArguments and the method's options."""

    model: Model = Model()
    data: Data = Data()
    labels: Labels = Labels()
    lora: Lora = Lora()
    report: Report = Report()
    train: dict[str, Any] = Field(default_factory=dict)


def shipped() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))}


def read_run(config: str, overrides: Sequence[str] = ()) -> Run:
    """The run that a file (or a shipped configuration's name) and `--section.key value` options describe."""
    return run_of(content_of(config, shipped(), overrides))


def run_of(content: Mapping[str, Any]) -> Run:
    """Checks every section and key. Raises BadInput that names the options."""
    try:
        run = Run.model_validate(content)
    except ValidationError as error:
        raise BadInput(complaints(error, Run)) from None
    check_train(run.train)
    _check(run)
    return run


def check_train(options: Mapping[str, Any]) -> None:
    """Raises BadInput for a name that PreferenceConfig does not have."""
    # Imported here: everything above must not wait for torch.
    from tokenreward_trainer.training.config import PreferenceConfig

    known = [f.name for f in fields(PreferenceConfig) if f.init]
    for key in options:
        if key not in known:
            raise BadInput(
                f"unknown option train.{key}{_nearest(key, known)}; see PreferenceConfig and transformers' "
                "TrainingArguments"
            )


def _check(run: Run) -> None:
    if not run.model.name:
        raise BadInput("model.name is not set: a directory or hub name, as in --model.name DIRECTORY")
    if not run.data.train:
        raise BadInput("data.train is not set: a file that `tokenreward label` wrote, as in --data.train labeled.jsonl")
    if run.data.eval and run.data.eval_share:
        raise BadInput("data.eval and data.eval_share: give one of them")
    if (run.labels.source == "contrast") != (run.labels.strong is not None):
        raise BadInput("labels.source = 'contrast' and labels.strong (a model, or an adapter's directory) go together")
    if run.labels.weak is not None and run.labels.source != "contrast":
        raise BadInput("labels.weak belongs to labels.source = 'contrast'")
    if run.report.baseline and not run.train.get("reg_alpha", 0):
        raise BadInput("report.baseline trains the same without the regulariser, and train.reg_alpha is 0: set one")
