"""A run of the whole loop as one TOML file. Sections that `tokenreward train` has too mean the same there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tokenreward.errors import BadInput
from tokenreward_trainer.config_file import Positive, Section, complaints, content_of
from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.training import settings
from tokenreward_trainer.training.settings import Lora, Model, check_train


class Directory(Section):
    """directory: where everything goes; the same directory again does what has changed."""

    directory: str = ""


class Prompts(Section):
    """file: rows with `prompt`.  sets: generated ones instead, as in ["arithmetic:1", "format"], from `seed`.

    count: how many; of a file the first ones, None: all.
    """

    file: str | None = None
    sets: list[str] = Field(default_factory=list)
    count: Positive | None = None
    seed: int = 0


class Rank(Ranking):
    """scorer: `verify`, `reward_model:NAME`, `function:MODULE:NAME`, an http(s) address.

    extra: a file with responses of a stronger model.
    """

    scorer: str = "verify"
    extra: str | None = None


class Label(Section):
    """url: a service; None starts one here for as long as it is needed, with the policy as its model.

    engine: of that one.  serve: more options of `tokenreward serve` for it.  model: of a service at `url`.
    """

    url: str | None = None
    engine: Literal["transformers", "vllm"] = "transformers"
    serve: list[str] = Field(default_factory=list)
    model: str | None = None
    template: str = "revision"
    estimator: str = "contrast"
    rows_per_job: Positive = 64


class Data(Section):
    """eval_share: of the pairs, held out.  max_length: of prompt and completion, in tokens."""

    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800


class Report(settings.Report):
    """samples, pairs: how many groups of responses and how many labeled pairs the report shows."""

    samples: Annotated[int, Field(ge=0)] = 12
    pairs: Annotated[int, Field(ge=0)] = 6


class Recipe(Section):
    """The whole file. `train` is PreferenceConfig, as in `tokenreward train`."""

    run: Directory = Directory()
    model: Model = Model()
    prompts: Prompts = Prompts()
    sample: Sampling = Sampling()
    rank: Rank = Rank()
    label: Label = Label()
    data: Data = Data()
    lora: Lora = Lora()
    train: dict[str, Any] = Field(default_factory=dict)
    report: Report = Report()


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))}


def read_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a file (or a shipped one's name) with `--section.key value` options. Raises BadInput."""
    return recipe_of(content_of(recipe, shipped(), overrides))


def recipe_of(content: dict[str, Any]) -> Recipe:
    """Checks every section and key. Raises BadInput that names the options."""
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise BadInput(complaints(error, Recipe)) from None
    _check(recipe)
    check_train(recipe.train)
    return recipe


def _check(recipe: Recipe) -> None:
    if not recipe.run.directory:
        raise BadInput("run.directory is not set: where the run goes, as in --run.directory runs/first")
    if not recipe.model.name:
        raise BadInput("model.name is not set: a directory or hub name, as in --model.name DIRECTORY")
    if (recipe.prompts.file is None) == (not recipe.prompts.sets):
        raise BadInput("prompts.file and prompts.sets: give one of them")
    if recipe.prompts.sets and recipe.prompts.count is None:
        raise BadInput("prompts.count is not set: how many prompts to make")
    if recipe.label.url is not None and recipe.label.serve:
        raise BadInput("label.serve is for a service that is started here, and label.url names another: remove one")
    if recipe.label.url is None and recipe.label.model is not None:
        raise BadInput("label.model names a model of the service at label.url; without one, the policy itself labels")
    if recipe.report.baseline and not recipe.train.get("reg_alpha", 0):
        raise BadInput("report.baseline trains the same without the regulariser, and train.reg_alpha is 0: set one")
    for name in ("output_dir", "resume_from_checkpoint"):
        if name in recipe.train:
            raise BadInput(f"train.{name} is the run's own affair (run.directory): remove it")
