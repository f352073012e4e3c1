"""Which labels are audited, and the fewest requests whose log-probs give all of them.

A label is an estimator under a template. Several labels read the same branches, and templates share branches, so
log-probs are kept by what a branch says, and each is asked for once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tokenreward import estimators, templates
from tokenreward.errors import BadInput
from tokenreward.estimators import Estimator
from tokenreward.schema import Branch, Template

#: What the baselines are called; no label of the audit's own may be called so.
BASELINES = ("surprisal", "random", "position", "length")


@dataclass(frozen=True)
class Content:
    """What a branch says, whatever its name and its template: equal contents have equal log-probs."""

    conversation: bool
    context: str = ""
    directive: str = ""

    @classmethod
    def of(cls, template: Template, branch: Branch) -> Content:
        if branch.conversation:
            return PLAIN
        return cls(False, template.context if branch.context is None else branch.context, branch.directive)

    def branch(self) -> Branch:
        if self.conversation:
            return Branch(conversation=True)
        return Branch(context=self.context, directive=self.directive)


#: The bare prompt: surprisal is -log p under it.
PLAIN = Content(True)


@dataclass(frozen=True)
class Label:
    """An estimator under a template. contents: of each branch that the estimator reads."""

    name: str
    template: Template
    estimator: Estimator
    contents: Mapping[str, Content]


@dataclass(frozen=True)
class Request:
    """One job: its template (named where it is a shipped one), its estimator, and what each branch of it says."""

    template: Template
    estimator: str
    contents: Mapping[str, Content]

    @property
    def sent(self) -> str | Template:
        return self.template.name if templates.shipped().get(self.template.name) == self.template else self.template


def labels(asked: Sequence[Template], methods: Sequence[Estimator]) -> list[Label]:
    """Every estimator under every template that has its branches, each distinct contrast once.

    A label is called by its estimator, and by `template/estimator` where there are several templates. Raises BadInput
    if nothing fits.
    """
    found: dict[tuple[str, tuple[Content, ...]], Label] = {}
    for template in asked:
        for estimator in methods:
            if not set(estimator.branches) <= template.branches.keys():
                continue
            contents = {name: Content.of(template, template.branches[name]) for name in estimator.branches}
            bare = len(asked) == 1 and estimator.name not in BASELINES
            name = estimator.name if bare else f"{template.name}/{estimator.name}"
            found.setdefault((estimator.name, tuple(contents.values())), Label(name, template, estimator, contents))
    if not found:
        wanted = "; ".join(f"{e.name} reads {', '.join(e.branches)}" for e in methods)
        there = "; ".join(f"{t.name} has {', '.join(t.branches)}" for t in asked)
        raise BadInput(f"no template has the branches of an estimator: {wanted}; {there}")
    return list(found.values())


def requests(wanted: Iterable[Label]) -> list[Request]:
    """Jobs that together score the contents of all labels, and the bare prompt, each as often as needed and no more."""
    labels = list(wanted)
    missing = {PLAIN}.union(*(label.contents.values() for label in labels))
    made: list[Request] = []
    while missing:
        # The label that adds most first: branches in one job share their common beginning.
        label = max(labels, key=lambda label: len(missing & set(label.contents.values())))
        new = missing & set(label.contents.values())
        request = Request(label.template, label.estimator.name, label.contents) if new else _bare()
        made.append(request)
        missing -= set(request.contents.values())
    return made


def _bare() -> Request:
    """For the bare prompt, if no label reads it: under every branch of the estimator that reads fewest."""
    estimator = min(estimators.shipped().values(), key=lambda e: len(e.branches))
    template = Template(name="bare", branches={name: PLAIN.branch() for name in estimator.branches})
    return Request(template, estimator.name, dict.fromkeys(estimator.branches, PLAIN))
