"""An RTO run as one TOML file. Sections that `tokenreward train` and `tokenreward run` have too mean the same there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tokenreward.errors import BadInput
from tokenreward_trainer.config_file import Positive, Section, complaints, content_of
from tokenreward_trainer.prompts.section import Prompts, check_prompts
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.training.settings import Lora, Model, check_quantization

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Directory(Section):
    """Where the run goes.

    Attributes:
        directory: Checkpoints, the trained model, its record and its report.
    """

    directory: str = ""


class Rollouts(Sampling):
    """How responses are sampled; PPO learns from what its own policy says, so nothing is cut off its distribution.

    Attributes:
        n: Responses to each prompt.
        temperature: Another than 1 samples from another distribution than the one that is trained.
        top_p: As well.
        max_tokens: The most tokens of a response.
    """

    n: Annotated[int, Field(ge=1)] = 4
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 512


class Rewards(Section):
    """Where rewards come from.

    Attributes:
        scorer: Scores whole responses: `verify`, `reward_model:NAME`, `function:MODULE:NAME`, or an http(s) address.
        source: Of the dense rewards. `dpo`: log pi_dpo/pi_ref of the policy `dpo`. `service`: the token rewards of the
            service at `url`. `none`: plain PPO.
        dpo: A model, or an adapter of [model] name, that DPO has trained.
        url: The service's address.
        model: A model of the service, with the version of its adapter where it serves several.
        template: The service's template; None is the estimator's own.
        estimator: The service's estimator.
        parameters: The estimator's parameters.
        scale: The factor on the dense rewards, beta_1.
        clip: The most that a dense reward may come to; 0 leaves it as it is.
        kl: The factor on log pi/pi_ref, beta_2.
        sequence: The factor on the score at the end, beta_3.
    """

    scorer: str = "verify"
    source: Literal["dpo", "service", "none"] = "dpo"
    dpo: str | None = None
    url: str | None = None
    model: str | None = None
    template: str | None = None
    estimator: str = "contrast"
    parameters: dict[str, int | float] = Field(default_factory=dict)
    scale: Number = 0.05
    clip: Number = 0.05
    kl: Number = 0.01
    sequence: Number = 1.0


class Ppo(Section):
    """How the policy is updated. The defaults are those of the authors' code, but for the learning rates.

    Attributes:
        iterations: How often is sampled and updated.
        prompts: Prompts an iteration.
        epochs: Passes over an iteration's responses.
        minibatch: Responses a step of the optimizer.
        clip: How far the ratio may move.
        value_clip: How far a value may move.
        gamma: The discount.
        lam: GAE's lambda.
        learning_rate: Of the policy.
        value_learning_rate: Of the value head.
        lr_scheduler_type: The schedule of both, over all steps.
        warmup: The share of the steps in which the rates rise.
        max_grad_norm: Longer gradients are scaled down to it.
        bf16: Compute in bfloat16 (autocast).
        forward_tokens: The most tokens of a forward pass; 0 leaves it to the device.
        save_every: Iterations between checkpoints.
        seed: Of the order of prompts, of sampling and of the value head.
        use_cpu: Train on the CPU even if there is an accelerator.
    """

    iterations: Positive = 100
    prompts: Positive = 32
    epochs: Positive = 1
    minibatch: Positive = 32
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    value_clip: Annotated[float, Field(gt=0)] = 0.2
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    lam: Annotated[float, Field(ge=0, le=1)] = 0.95
    learning_rate: Number = 1e-6
    value_learning_rate: Number = 1e-4
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    bf16: bool = False
    forward_tokens: Annotated[int, Field(ge=0)] = 0
    save_every: Positive = 10
    seed: int = 0
    use_cpu: bool = False


class RtoRun(Section):
    """The whole file, one attribute a section."""

    run: Directory = Directory()
    model: Model = Model()
    prompts: Prompts = Prompts()
    sample: Rollouts = Rollouts()
    rewards: Rewards = Rewards()
    lora: Lora = Lora()
    ppo: Ppo = Ppo()


def read_rto(config: str, overrides: Sequence[str] = ()) -> RtoRun:
    """Reads an RTO run from a TOML file and `--section.key value` options.

    Raises:
        BadInput: The file cannot be read, or its options are wrong.
    """
    return rto_of(content_of(config, {}, overrides))


def rto_of(content: Mapping[str, Any]) -> RtoRun:
    """Checks every section and key.

    Raises:
        BadInput: Options are unknown, wrong, or do not go together; the message names them.
    """
    try:
        run = RtoRun.model_validate(content)
    except ValidationError as error:
        raise BadInput(complaints(error, RtoRun)) from None
    if not run.run.directory:
        raise BadInput("run.directory is not set: where the run goes, as in --run.directory runs/rto")
    if not run.model.name:
        raise BadInput("model.name is not set: a directory or hub name, as in --model.name DIRECTORY")
    check_quantization(run.model, run.lora)
    check_prompts(run.prompts)
    if run.sample.engine == "vllm" and run.lora.r:
        raise BadInput("sample.engine = 'vllm' loads whole weights, and lora.r trains an adapter: take 'transformers'")
    for source, option in (("dpo", "dpo"), ("service", "url")):
        if (run.rewards.source == source) != (getattr(run.rewards, option) is not None):
            raise BadInput(f"rewards.source = '{source}' and rewards.{option} go together: set both or neither")
    return run
