"""Which labels are audited, and the fewest requests whose log-probs give all of them.

A label is an estimator under a template. Several labels read the same branches, and templates share branches, so
log-probs are kept by what a branch says, and each is asked for once where that is possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenreward import templates
from tokenreward.audit.contents import PLAIN, Content
from tokenreward.audit.measures.judged_tokens import BASELINES
from tokenreward.errors import BadInput
from tokenreward.estimators import Estimator
from tokenreward.schema import Pool, PoolBy, Template


@dataclass(frozen=True)
class Label:
    """An estimator under a template.

    Attributes:
        name: What the audit calls it.
        template: The template.
        estimator: The estimator.
        contents: The content of each branch that the estimator reads.
        pool: What its rewards are pooled over before they are judged; None for the tokens' own.
        pool_by: How they are pooled.
        model: The trained labeler that gives it, as `name@fingerprint`; None for the audited model.
    """

    name: str
    template: Template
    estimator: Estimator
    contents: Mapping[str, Content]
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    model: str | None = None

    @property
    def reads_context(self) -> bool:
        """Whether it needs context fields of an item."""
        return bool(self.estimator.fields) or any(content.fields for content in self.contents.values())

    @property
    def shown_fields(self) -> frozenset[str]:
        """The context fields whose text it is shown. An estimator that asks no model reads its fields itself."""
        shown = {field for content in self.contents.values() for field in content.fields}
        return frozenset(shown | set(self.estimator.fields if not self.contents else ()))

    @property
    def asks_model(self) -> bool:
        """Whether a model reads the response at all."""
        return bool(self.contents)

    def lacks(self, context: Mapping[str, Any]) -> str | None:
        """Return the context field that an item would need for this label and does not have, if there is one.

        Args:
            context: The item's context fields.
        """
        shown = [field for content in self.contents.values() for field in content.fields]
        missing = next((field for field in shown if not context.get(field)), None)
        own = self.estimator.fields
        if missing is None and own and not any(context.get(field) for field in own):
            return " or ".join(own)
        return missing


@dataclass(frozen=True)
class Request:
    """One job of an audit: it scores every branch that a label reads.

    Attributes:
        template: Its template.
        estimator: The name of its estimator.
        contents: What each branch that it scores says.
        fields: The context fields that its items bring, as far as they have them.
        model: The trained labeler to ask; None for the audited model.
        moments: Whether some label reads the moments of its predictions.
    """

    template: Template
    estimator: str
    contents: Mapping[str, Content]
    fields: frozenset[str] = frozenset()
    model: str | None = None
    moments: bool = False

    @classmethod
    def of(cls, label: Label) -> Request:
        """Return the request that scores the branches of a label."""
        shown = frozenset(field for content in label.contents.values() for field in content.fields)
        fields = shown | set(label.estimator.fields)
        return cls(label.template, label.estimator.name, label.contents, fields, label.model)

    @property
    def sent(self) -> str | Template:
        """The template as it is sent: by name if it is a shipped one."""
        return self.template.name if templates.shipped().get(self.template.name) == self.template else self.template


def labels(
    asked: Sequence[Template],
    methods: Sequence[Estimator],
    pool: Pool | None = None,
    pool_by: PoolBy = "mean",
    model: str | None = None,
    called: str | None = None,
) -> list[Label]:
    """Return every estimator under every template that has what it reads, each distinct contrast once.

    A label is called by its estimator, and by `template/estimator` where there are several templates. A contrast that
    several templates have is called by the one that its estimator was made for. A trained labeler's are called
    `estimator@labeler`. Unbounded estimators are left out: they rank tokens as their squashed forms do.

    Args:
        asked: The templates.
        methods: The estimators.
        pool: What rewards are pooled over.
        pool_by: How they are pooled.
        model: The trained labeler to ask, as `name@fingerprint`; None for the audited model.
        called: What its labels' names call the labeler; None for `model`.

    Raises:
        BadInput: No template has what an estimator reads, all estimators are unbounded, or two templates of one name
            would give labels of one name.
    """
    bounded = [estimator for estimator in methods if not estimator.unbounded]
    if not bounded:
        names = ", ".join(estimator.name for estimator in methods) or "none"
        raise BadInput(
            f"nothing to audit: the rewards of {names} have no bound; a squashed form such as `contrast` ranks tokens"
            " alike"
        )
    found: dict[tuple[str, tuple[Content, ...]], Label] = {}
    for template in asked:
        for estimator in bounded:
            if not _fits(template, estimator):
                continue
            contents = _contents(template, estimator, model)
            bare = len(asked) == 1 and estimator.name not in BASELINES
            name = estimator.name if bare else f"{template.name}/{estimator.name}"
            if model is not None:
                name = f"{estimator.name}@{called or model}"
            key = (estimator.name, tuple(contents.values()))
            if key not in found or template.name == estimator.template:
                found[key] = Label(name, template, estimator, contents, pool, pool_by, model)
    if not found:
        wanted = "; ".join(f"{e.name} reads {', '.join((*e.branches, *e.fields))}" for e in bounded)
        there = "; ".join(f"{t.name} has {', '.join((*t.branches, *t.fields))}" for t in asked)
        raise BadInput(f"no template has the branches of an estimator: {wanted}; {there}")
    kept = list(found.values())
    twice = next((label for n, label in enumerate(kept) if label.name in {one.name for one in kept[:n]}), None)
    if twice is not None:
        raise BadInput(
            f"two templates are called {twice.template.name!r}, and both have a label {twice.name!r}: rename one, where"
            " its file says `name`"
        )
    return kept


def requests(wanted: Iterable[Label]) -> list[Request]:
    """Return jobs that score the contents of all labels, and the bare prompt.

    There are few jobs. What needs no context fields is asked for by labels that need none, so that these jobs are the
    same for items with and without such fields.
    """
    labels = list(wanted)
    bare = [label for label in labels if not label.reads_context]
    made = _covering(_contents_of(bare) | {PLAIN}, bare)
    covered = {content for request in made for content in request.contents.values()}
    made += _covering(_contents_of(labels) - covered, labels)
    read = _contents_of(label for label in labels if label.estimator.moments)
    return [replace(request, moments=not read.isdisjoint(request.contents.values())) for request in made]


def _covering(missing: set[Content], labels: Sequence[Label]) -> list[Request]:
    """Return requests, of these labels, that score all of `missing`."""
    made: list[Request] = []
    while missing:
        # The label that adds most comes first, because branches in one job share their common beginning.
        label = max(labels, key=lambda label: len(missing & _contents_of([label])), default=None)
        found = _bare() if label is None or not missing & _contents_of([label]) else Request.of(label)
        made.append(found)
        missing = missing - set(found.contents.values())
    return made


def _contents_of(labels: Iterable[Label]) -> set[Content]:
    return {content for label in labels for content in label.contents.values()}


def _bare() -> Request:
    """Return a request for the bare prompt, for when no label reads it."""
    return Request(templates.resolve("plain"), "surprisal", {"plain": PLAIN})


def _fits(template: Template, estimator: Estimator) -> bool:
    """Whether a template has all that an estimator reads, in the form in which it reads it."""
    if not set(estimator.branches) <= template.branches.keys():
        return False
    if estimator.fields and not set(estimator.fields) & template.fields.keys():
        return False
    repeated = {name for name in estimator.branches if template.branches[name].each is not None}
    return repeated <= estimator.repeated.keys()


def _contents(template: Template, estimator: Estimator, model: str | None) -> dict[str, Content]:
    """Return what each branch of an estimator says; of a repeated one as often as the estimator's default wants it."""
    defaults = estimator.chosen({})
    most = {branch: int(defaults[parameter]) for branch, parameter in estimator.repeated.items()}
    return {name: Content.of(template, name, most.get(name), model) for name in estimator.branches}
