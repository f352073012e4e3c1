"""A run of the whole loop as one TOML file. Sections that `tokenreward train` has too mean the same there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tokenreward.errors import BadInput
from tokenreward.schema import Pool, PoolBy, Score
from tokenreward_trainer.config_file import Positive, Section, complaints, content_of
from tokenreward_trainer.prompts.section import Prompts, check_prompts
from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.rto.settings import Ppo, Rewards, Rollouts
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.training import settings
from tokenreward_trainer.training.settings import Lora, Model, check_quantization


class Directory(Section):
    """Where the run goes.

    Attributes:
        directory: Everything is below it; the same directory again does what has changed.
        rounds: How often the loop is gone through. Each round samples from what the one before it has trained.
    """

    directory: str = ""
    rounds: Positive = 1


class Sft(Section):
    """SFT before the first round, for a model that cannot follow prompts yet.

    Attributes:
        file: Single responses, conversations or pairs, as in `tokenreward train` with method = "sft"; None leaves it
            out.
        eval_share: The share of the rows that is held out.
        max_length: The most tokens of prompt and response.
        max_prompt_length: The most tokens that a row which is too long keeps of its prompt.
        train: Options of PreferenceConfig.
    """

    file: str | None = None
    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800
    train: dict[str, Any] = Field(default_factory=dict)


class Rank(Ranking):
    """How pairs are made of responses.

    Attributes:
        scorer: `verify`, `reward_model:NAME`, `function:MODULE:NAME`, or an http(s) address.
        extra: A file with responses of a stronger model.
    """

    scorer: str = "verify"
    extra: str | None = None


class Label(Section):
    """What labels the pairs.

    Attributes:
        url: A service; None starts one here for as long as it is needed, with the policy as its model.
        engine: The engine of a service that is started here.
        serve: More options of `tokenreward serve` for it.
        model: A model of the service at `url`.
        template: The prompt template; None is the estimator's own.
        estimator: The estimator of token rewards.
        parameters: The estimator's parameters.
        models: What scores a branch, by its name or by the name that the template has for its model: an adapter (name
            or name@version; a service that is started here gets it by --adapter in `serve`), or a served model.
        context: Where context fields come from, as `--context` of `tokenreward label`. The siblings of `rank` need
            no mention.
        pool: What rewards are pooled over.
        pool_by: How they are pooled.
        score: Which turns of a conversation are scored and trained on, `last` or `all`.
        rows_per_job: Rows that are sent as one job.
    """

    url: str | None = None
    engine: Literal["transformers", "vllm"] = "transformers"
    serve: list[str] = Field(default_factory=list)
    model: str | None = None
    template: str | None = None
    estimator: str = "contrast"
    parameters: dict[str, int | float] = Field(default_factory=dict)
    models: dict[str, str] = Field(default_factory=dict)
    context: dict[str, str] = Field(default_factory=dict)
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    score: Score = "last"
    rows_per_job: Positive = 64


class Data(Section):
    """The pairs' limits.

    Attributes:
        eval_share: The share of the pairs that is held out.
        max_length: The most tokens of prompt and completion.
        max_prompt_length: The most tokens that a pair which is too long keeps of its prompt.
    """

    eval_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    max_length: Annotated[int, Field(ge=2)] = 2048
    max_prompt_length: Positive = 1800


class Rto(Section):
    """PPO behind the last training, whose dense rewards are that training's log-ratio. A recipe with [rto] has it.

    Attributes:
        sample: How responses are sampled, as in `tokenreward rto`.
        rewards: Where rewards come from, as there. `scorer` is that of [rank] where none is named, and `dpo` is what
            the recipe has trained.
        ppo: How the policy is updated, as there.
    """

    sample: Rollouts = Rollouts()
    rewards: Rewards = Rewards()
    ppo: Ppo = Ppo()


class Report(settings.Report):
    """What the report shows, beside what a training's shows.

    Attributes:
        samples: Groups of responses.
        pairs: Labeled pairs.
    """

    samples: Annotated[int, Field(ge=0)] = 12
    pairs: Annotated[int, Field(ge=0)] = 6


class Recipe(Section):
    """The whole file, one attribute a section. `train` is PreferenceConfig, as in `tokenreward train`."""

    run: Directory = Directory()
    model: Model = Model()
    prompts: Prompts = Prompts()
    sft: Sft = Sft()
    sample: Sampling = Sampling()
    rank: Rank = Rank()
    label: Label = Label()
    data: Data = Data()
    lora: Lora = Lora()
    train: dict[str, Any] = Field(default_factory=dict)
    rto: Rto | None = None
    report: Report = Report()


def shipped() -> dict[str, Path]:
    """Returns the recipes that come with the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))}


def read_recipe(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe.

    Args:
        recipe: A path, or a shipped recipe's name.
        overrides: Options as `--section.key value`.

    Raises:
        BadInput: The file cannot be read, or its options are wrong.
    """
    return recipe_of(content_of(recipe, shipped(), overrides))


def recipe_of(content: dict[str, Any]) -> Recipe:
    """Checks every section and key of a recipe's content.

    Raises:
        BadInput: Options are unknown, wrong, or do not go together; the message names them.
    """
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise BadInput(complaints(error, Recipe)) from None
    _check(recipe)
    # Imported here: everything above must not wait for torch.
    from tokenreward_trainer.training.config import PreferenceConfig
    from tokenreward_trainer.training.option_types import check_train
    from tokenreward_trainer.training.run_checks import check_evaluation

    # On the CPU: a recipe is read long before it trains, and must not take the accelerator's memory until then.
    here = {"output_dir": recipe.run.directory, "use_cpu": True}
    check_train(recipe.train)
    check_evaluation(PreferenceConfig.of(recipe.train | here), held_out=recipe.data.eval_share > 0)
    if recipe.sft.file is not None:
        check_train(recipe.sft.train)
        check_evaluation(
            PreferenceConfig.of(recipe.sft.train | {"method": "sft"} | here), held_out=recipe.sft.eval_share > 0
        )
    return recipe


def _check(recipe: Recipe) -> None:
    if not recipe.run.directory:
        raise BadInput("run.directory is not set: where the run goes, as in --run.directory runs/first")
    if not recipe.model.name:
        raise BadInput("model.name is not set: a directory or hub name, as in --model.name DIRECTORY")
    check_prompts(recipe.prompts)
    if recipe.label.url is not None and recipe.label.serve:
        raise BadInput("label.serve is for a service that is started here, and label.url names another: remove one")
    if recipe.label.url is None and recipe.label.model is not None:
        raise BadInput("label.model names a model of the service at label.url; without one, the policy itself labels")
    check_quantization(recipe.model, recipe.lora)
    if recipe.report.baseline and not recipe.train.get("reg_alpha", 0):
        raise BadInput("report.baseline trains the same without the regulariser, and train.reg_alpha is 0: set one")
    if recipe.sft.train.get("method", "sft") != "sft":
        raise BadInput(f"sft.train.method = {recipe.sft.train['method']!r}: this stage's method is 'sft', remove it")
    for section, options in (("train", recipe.train), ("sft.train", recipe.sft.train)):
        for name in ("output_dir", "resume_from_checkpoint"):
            if name in options:
                raise BadInput(f"{section}.{name} is the run's own affair (run.directory): remove it")
