"""What a finished run sends to the Hugging Face hub, once everything that belongs to it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenreward.errors import BadInput

if TYPE_CHECKING:
    from tokenreward_trainer.training.trainer import PreferenceTrainer

#: What stays at home: checkpoints, the baseline's model, and files that were labeled for the run.
_IGNORED = ["checkpoint-*", "baseline/*", "labels/*", "_*", "training_args.bin"]


def push(trainer: PreferenceTrainer, message: str) -> str:
    """Uploads a run's directory to the repository that the Trainer has made for it.

    Args:
        trainer: After training, in the first process.
        message: The commit's message.

    Returns:
        The commit's address.

    Raises:
        BadInput: The hub does not take it; the model stays where it is.
    """
    import huggingface_hub

    args = trainer.args
    try:
        commit = huggingface_hub.HfApi(token=args.hub_token).upload_folder(
            repo_id=trainer.hub_model_id,
            folder_path=Path(args.output_dir),
            ignore_patterns=list(_IGNORED),
            commit_message=message,
            revision=args.hub_revision,
        )
    except Exception as error:  # the hub's client lets through what its transport raises
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(f"the model is in {args.output_dir}, but the hub does not take it: {why}") from error
    return str(commit.commit_url)
