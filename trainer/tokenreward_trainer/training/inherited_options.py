"""Options of transformers' TrainingArguments that preference training cannot do, each with the reason why.

Trainer reads them where it computes a loss of its own, or where batches are dictionaries of tensors. Here they would
change nothing, or something else than they say. What is not listed works as in transformers.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from tokenreward.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from tokenreward_trainer.training.config import PreferenceConfig

#: option -> why it is refused where it is not at its default
REFUSED = {
    "label_smoothing_factor": "smooths the labels of a cross-entropy; noisy preferences have label_smoothing",
    "include_num_input_tokens_seen": "counts `input_ids` in batches, and batches of pairs do not have them there",
    "label_names": "names the labels in a batch, and batches of pairs have none",
    "length_column_name": "is a column for sampling by length, and pairs are packed by their length anyway",
    "neftune_noise_alpha": "scales its noise by the length of a row, and a packed row holds many pairs",
    "use_liger_kernel": "replaces the model's forward pass, which here answers with log-probs",
    "liger_kernel_config": "is for use_liger_kernel, which replaces the model's forward pass",
    "torch_compile": "compiles the forward pass again for each of the many shapes that packed batches have",
    "torch_compile_backend": "switches torch_compile on, which packed batches have too many shapes for",
    "torch_compile_mode": "switches torch_compile on, which packed batches have too many shapes for",
    "use_cache": "keeps keys and values, which no pass of a training reads again",
    "average_tokens_across_devices": "averages over one process, and the loss is the mean over the pairs of all",
    "bf16_full_eval": "rounds the weights themselves, which are then saved; bf16 = true evaluates in bfloat16 too",
    "fp16_full_eval": "rounds the weights themselves, which are then saved; fp16 = true evaluates in float16 too",
    "prediction_loss_only": "leaves out the rewards of held-out pairs, from which a run's record concludes",
    "eval_do_concat_batches": "keeps predictions batch by batch, and a run's record has them pair by pair",
    "dataloader_in_order": "may give predictions in another order than that of the pairs",
    "do_predict": "is for scripts with a prediction step: call PreferenceTrainer.predict",
}
_STRATEGIES = ("random", "sequential")
#: integration -> the function of transformers.integrations that says whether it is installed
_INSTALLED = {
    "azure_ml": "is_azureml_available",
    "clearml": "is_clearml_available",
    "codecarbon": "is_codecarbon_available",
    "comet_ml": "is_comet_available",
    "dagshub": "is_dagshub_available",
    "dvclive": "is_dvclive_available",
    "flyte": "is_flytekit_available",
    "mlflow": "is_mlflow_available",
    "neptune": "is_neptune_available",
    "swanlab": "is_swanlab_available",
    "tensorboard": "is_tensorboard_available",
    "trackio": "is_trackio_available",
    "wandb": "is_wandb_available",
}


def check_inherited(args: PreferenceConfig) -> None:
    """Checks the options of TrainingArguments as they were given.

    Raises:
        BadInput: An option would be ignored or do harm; the message says which, and why.
    """
    defaults = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(args)}
    for name, why in REFUSED.items():
        value = getattr(args, name)
        if not _same(value, defaults[name]):
            raise BadInput(f"{name} = {value!r} {why}: leave it at {defaults[name]!r}")
    if "inputs" in args.include_for_metrics:
        raise BadInput("include_for_metrics = 'inputs' wants `input_ids` in batches; batches of pairs have none there")
    if args.train_sampling_strategy not in _STRATEGIES:
        raise BadInput(
            f"train_sampling_strategy = '{args.train_sampling_strategy}' saves padding, of which packed pairs have "
            "none: leave it at 'random', or say 'sequential'"
        )
    sizes = {name: getattr(args.parallelism_config, name, 1) for name in ("tp_size", "cp_size", "sp_size")}
    if any(size not in (None, 1) for size in sizes.values()):
        raise BadInput(f"parallelism_config with {sizes} cuts sequences or layers apart, and packed pairs stay whole")


def check_finished(args: PreferenceConfig) -> None:
    """Checks what TrainingArguments has made of the options.

    Raises:
        UnknownName: `report_to` names something that transformers does not know.
        BadInput: What `report_to` names is not installed, or batches would be sent from one process to the others.
    """
    for name in args.report_to or ():
        from transformers.integrations import integration_utils  # Takes seconds.

        if name not in integration_utils.INTEGRATION_TO_CALLBACK:
            raise UnknownName(
                "report_to", str(name), ["none", "all", *sorted(integration_utils.INTEGRATION_TO_CALLBACK)]
            )
        if name in _INSTALLED and not getattr(integration_utils, _INSTALLED[name])():
            raise BadInput(f"report_to = '{name}': it is not installed; pip install it, or say 'none'")
    if args.accelerator_config is not None and args.accelerator_config.dispatch_batches:
        raise BadInput("accelerator_config.dispatch_batches cuts tensors, and a batch of pairs has parts: leave it out")


def _same(value: Any, default: Any) -> bool:
    """Whether an option says what its default says: False, None, 0 and 'no' are all nothing."""
    nothing = (None, False, 0, "no", "")
    return bool(value == default) or (default in nothing and value in nothing)
