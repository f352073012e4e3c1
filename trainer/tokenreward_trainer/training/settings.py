"""A training run as one TOML file: which model, which data, which method, and what TrainingArguments takes.

Every option can be set on the command line as `--section.key value`. A value is read as TOML (`0.1`, `true`,
`[1, 2]`), and as text if it is not TOML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tokenreward.errors import BadInput
from tokenreward.schema import Pool, PoolBy, Score
from tokenreward_trainer.config_file import Positive, Section, complaints, content_of


class Model(Section):
    """The policy and its reference.

    Attributes:
        name: A model directory or hub name.
        reference: The reference model; None is the initial model.
        dtype: Of the weights; `auto` is the checkpoint's.
        attention: transformers' attn_implementation; None is its default.
    """

    name: str = ""
    reference: str | None = None
    dtype: str = "auto"
    attention: str | None = None


class Data(Section):
    """The files of pairs.

    Attributes:
        train: Pairs to train on.
        eval: Held-out pairs.
        eval_share: The share of the training pairs that is held out where there is no eval file.
        limit: Train on the first so many pairs.
        max_length: The most tokens of prompt and completion.
        max_prompt_length: The most tokens that a pair which is too long keeps of its prompt.
        squash: Take tanh(r / 2) / 2 of labels of an unbounded estimator, such as `difference`.
    """

    train: str = ""
    eval: str | None = None
    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    limit: Positive | None = None
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800
    squash: bool = False


class Labels(Section):
    """Where token rewards come from.

    Attributes:
        source: `file`: the data files hold them (or the method needs none). `service`: the service at `url` labels the
            files first. `contrast`: log pi_strong / pi_weak of two models. `surprisal`: that of the initial model, a
            control.
        url: The service's address.
        template: For the service; None is the estimator's own.
        estimator: For the service.
        parameters: For the service: the estimator's parameters.
        context: For the service: where context fields come from, as `--context` of `tokenreward label`.
        pool: For the service: what rewards are pooled over.
        pool_by: For the service: how they are pooled.
        score: For the service: which turns of a conversation are scored and trained on, `last` or `all`.
        model: For the service.
        models: For the service: what scores a branch, as `models` of `label_dataset`. Labels by another version than
            one that is named here are refused, also those of a file.
        strong: The better model of a contrast, or an adapter of `weak`.
        weak: The worse model of a contrast; None is the initial model.
    """

    source: Literal["file", "service", "contrast", "surprisal"] = "file"
    url: str | None = None
    template: str | None = None
    estimator: str = "contrast"
    parameters: dict[str, int | float] = Field(default_factory=dict)
    context: dict[str, str] = Field(default_factory=dict)
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    score: Score = "last"
    model: str | None = None
    models: dict[str, str] = Field(default_factory=dict)
    strong: str | None = None
    weak: str | None = None


class Lora(Section):
    """Trains a LoRA adapter instead of all weights; the options are those of peft's LoraConfig.

    Attributes:
        r: The adapter's rank; 0 trains all weights.
        alpha: Its scale.
        dropout: Its dropout.
        target_modules: The layers that it adapts.
    """

    r: Annotated[int, Field(ge=0)] = 0
    alpha: Positive = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: str | list[str] = "all-linear"


class Report(Section):
    """What the report shows.

    Attributes:
        baseline: First train the same without the regulariser, and show both side by side.
        examples: Held-out pairs that are drawn as heat maps.
    """

    baseline: bool = False
    examples: Annotated[int, Field(ge=0)] = 6


class Run(Section):
    """The whole file, one attribute a section.

    Attributes:
        model: The policy and its reference.
        data: The files of pairs.
        labels: Where token rewards come from.
        lora: A new adapter.
        report: What the report shows.
        train: Options of PreferenceConfig: transformers' TrainingArguments and the method's.
    """

    model: Model = Model()
    data: Data = Data()
    labels: Labels = Labels()
    lora: Lora = Lora()
    report: Report = Report()
    train: dict[str, Any] = Field(default_factory=dict)


def shipped() -> dict[str, Path]:
    """Returns the configurations that come with the package, by name."""
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
    # Imported here: everything above must not wait for torch.
    from tokenreward_trainer.training.option_types import check_train

    check_train(run.train)
    _check(run)
    return run


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
