"""Where rewards come from: the worker's set-up, the template and the estimator."""

from __future__ import annotations

from pydantic import Field

from tokenreward.schema.hashing import digest
from tokenreward.schema.wire import AnswerModel

#: The head of a model that judges tokens and does not predict them.
TOKEN_CLASSIFIER = "token_classifier"
#: The engine of a worker that scores through endpoints: they give log-probs of tokens, and no moments.
REMOTE = "remote"
#: Bumped only when the same input may give other log-probs, so that a rolling upgrade does not strand jobs.
SCORING_VERSION = 2

#: Fields of a fingerprint that older versions do not have.
_OPTIONAL = ("head_dtype", "chat_template_hash", "head", "training_data_hash", "adapter", "adapter_version")


class Fingerprint(AnswerModel):
    """Everything that may change a worker's log-probs. A job is pinned to one fingerprint.

    Attributes:
        model: The name that clients ask for.
        model_hash: The hash of the weights and of the configuration that shapes the forward pass.
        tokenizer_hash: The canonical hash of vocabulary, merges, normaliser and special tokens, see `tokenizer_hash`.
        engine: The engine's name.
        engine_version: The engine's version.
        dtype: Of weights and arithmetic: bfloat16, float32, ...
        scoring_version: SCORING_VERSION of the worker.
        head_dtype: Of the LM head's arithmetic where it is not `dtype`; else None.
        chat_template_hash: The hash of the chat template and of the special tokens that it writes, see `template_hash`;
            None for a worker of an older version.
        head: TOKEN_CLASSIFIER for a model whose rows are judgements of tokens; None for one that predicts them.
        training_data_hash: The SHA-256 of the data that a trained labeler has learned from; None for other models.
        adapter: The name of the adapter that scored; None for the model itself.
        adapter_version: The hash of that adapter's content.
    """

    model: str
    model_hash: str
    tokenizer_hash: str
    engine: str
    engine_version: str
    dtype: str
    scoring_version: int = SCORING_VERSION
    head_dtype: str | None = None
    chat_template_hash: str | None = None
    head: str | None = None
    training_data_hash: str | None = None
    adapter: str | None = None
    adapter_version: str | None = None

    @property
    def digest(self) -> str:
        """The hash by which the fingerprint is named."""
        # What is not there does not count, so that set-ups keep the names that they had before there was a choice.
        unset = {name for name in _OPTIONAL if getattr(self, name) is None}
        return digest(self.model_dump(exclude=unset))

    @property
    def base(self) -> Fingerprint:
        """The fingerprint without its adapter, which is that of the workers."""
        return self.model_copy(update={"adapter": None, "adapter_version": None})


class ModelUse(AnswerModel):
    """A model, or a version of an adapter, that scored some of a template's branches.

    Attributes:
        fingerprint: What it is.
        fingerprint_digest: Its hash.
        branches: The branches that it scored.
    """

    fingerprint: Fingerprint
    fingerprint_digest: str
    branches: list[str]

    @property
    def name(self) -> str:
        """What names exactly this: `adapter@version`, or `model@fingerprint`."""
        own = self.fingerprint
        return f"{own.adapter}@{own.adapter_version}" if own.adapter else f"{own.model}@{own.digest}"


class Provenance(AnswerModel):
    """Where a set of rewards came from. There are no rewards without it.

    Attributes:
        fingerprint: The set-up of the workers.
        fingerprint_digest: Its hash.
        template: The template's name.
        template_hash: The template's hash.
        estimator: The estimator's name.
        estimator_hash: The estimator's hash.
        tokenreward_version: The version of the service.
        parameters: Every parameter of the estimator.
        pool: What rewards were pooled over and how, as in `word:mean`; None if they were not.
        unbounded: Whether rewards may lie outside [-0.5, 0.5].
        models: What scored which branches, where several models or an adapter did; else empty, and `fingerprint` did.
    """

    fingerprint: Fingerprint
    fingerprint_digest: str
    template: str
    template_hash: str
    estimator: str
    estimator_hash: str
    tokenreward_version: str
    parameters: dict[str, float] = Field(default={})
    pool: str | None = None
    unbounded: bool = False
    models: list[ModelUse] = Field(default=[])

    @property
    def bases(self) -> dict[str, Fingerprint]:
        """The fingerprints of all workers that are needed, by their digests; the job's own first."""
        found = {self.fingerprint_digest: self.fingerprint}
        return found | {use.fingerprint.base.digest: use.fingerprint.base for use in self.models}
