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

#: Columns that a file may have under other names.
COLUMNS = ("prompt", "chosen", "rejected")
#: Options of [train] that the same training without the regulariser has.
WITHOUT_REGULARIZER: Mapping[str, Any] = {"reg_alpha": 0.0, "reg_scale": "absolute", "weighting": "dynamic"}


class Model(Section):
    """The policy and its reference.

    Attributes:
        name: A model directory or hub name.
        reference: The reference model; None is the initial model.
        dtype: Of the weights; `auto` is the checkpoint's.
        attention: transformers' attn_implementation; None is its default.
        quantization: `nf4` loads the layers' weights in 4 bits (QLoRA, arXiv 2305.14314), which needs bitsandbytes and
            an adapter to train.
    """

    name: str = ""
    reference: str | None = None
    dtype: str = "auto"
    attention: str | None = None
    quantization: Literal["nf4"] | None = None


class Part(Section):
    """One file of a mixture.

    Attributes:
        file: The file; with `hub`, its path in the data set.
        hub: A data set on the hub that holds the file, as `owner/name`.
        weight: How often each of its pairs is taken: 1 once, 0.5 half of them, 2 each twice.
        columns: The names that `prompt`, `chosen` and `rejected` have in this file.
    """

    file: str
    hub: str | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    columns: dict[str, str] = Field(default_factory=dict)


class Data(Section):
    """The files of pairs.

    Attributes:
        train: Pairs to train on.
        mix: Several files to train on instead, with weights.
        eval: Held-out pairs, or several sets of them by name; the report shows pairs of the first.
        columns: The names that `prompt`, `chosen` and `rejected` have in `train` and `eval`.
        expected_pairs: How many pairs there will be, for `--check` where `train` is not there yet.
        eval_share: The share of the training pairs that is held out where there is no eval file.
        limit: Train on the first so many pairs.
        max_length: The most tokens of prompt and completion.
        max_prompt_length: The most tokens that a pair which is too long keeps of its prompt.
        squash: Take tanh(r / 2) / 2 of labels of an unbounded estimator, such as `difference`.
    """

    train: str = ""
    mix: list[Part] = Field(default_factory=list)
    eval: str | dict[str, str] | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    expected_pairs: Positive | None = None
    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    limit: Positive | None = None
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800
    squash: bool = False

    @property
    def parts(self) -> list[Part]:
        """The files to train on: those of the mixture, or the one."""
        return self.mix or [Part(file=self.train, columns=self.columns)]

    @property
    def eval_sets(self) -> dict[str, str]:
        """The files of held-out pairs by name; empty where there are none."""
        return {"": self.eval} if isinstance(self.eval, str) else self.eval or {}


class Hardware(Section):
    """What the run is meant for. `--check` says whether it fits; a run on another number of cards warns.

    Attributes:
        cards: The number of GPUs, which is that of processes.
        memory_gb: The memory of each; None is that of the card that is here.
    """

    cards: Positive = 1
    memory_gb: Annotated[float, Field(gt=0)] | None = None


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
        teacher: The model that must have labeled, by its model hash, its fingerprint's digest or its name; None takes
            any. Distillation should have the teacher of the first training.
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
    teacher: str | None = None
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
        hardware: What the run is meant for.
        report: What the report shows.
        train: Options of PreferenceConfig: transformers' TrainingArguments and the method's.
    """

    model: Model = Model()
    data: Data = Data()
    labels: Labels = Labels()
    lora: Lora = Lora()
    hardware: Hardware = Hardware()
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


def check_quantization(model: Model, lora: Lora) -> None:
    """Checks that something is trained of a quantised model.

    Raises:
        BadInput: No adapter is.
    """
    if model.quantization and not lora.r:
        raise BadInput("model.quantization freezes the weights, so an adapter has to be trained: set lora.r, as in 64")


def _check(run: Run) -> None:
    if not run.model.name:
        raise BadInput("model.name is not set: a directory or hub name, as in --model.name DIRECTORY")
    if not run.data.train and not run.data.mix:
        raise BadInput("data.train is not set: a file that `tokenreward label` wrote, as in --data.train labeled.jsonl")
    if run.data.train and run.data.mix:
        raise BadInput("data.train and data.mix: give one of them")
    if run.data.mix and run.labels.source == "service":
        raise BadInput("labels.source = 'service' labels one file, data.train: label the files of data.mix first")
    _check_columns(run.data)
    check_quantization(run.model, run.lora)
    if run.data.eval and run.data.eval_share:
        raise BadInput("data.eval and data.eval_share: give one of them")
    if (run.labels.source == "contrast") != (run.labels.strong is not None):
        raise BadInput("labels.source = 'contrast' and labels.strong (a model, or an adapter's directory) go together")
    if run.labels.weak is not None and run.labels.source != "contrast":
        raise BadInput("labels.weak belongs to labels.source = 'contrast'")
    if run.report.baseline and not run.train.get("reg_alpha", 0):
        raise BadInput("report.baseline trains the same without the regulariser, and train.reg_alpha is 0: set one")


def _check_columns(data: Data) -> None:
    for columns in (data.columns, *(part.columns for part in data.mix)):
        if unknown := sorted(columns.keys() - COLUMNS):
            raise BadInput(f"columns names {', '.join(unknown)}; it may name {', '.join(COLUMNS)}, each as in the file")
