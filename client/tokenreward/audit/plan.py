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

#: The names of the baselines. No label may have one of them.
BASELINES = ("surprisal", "random", "position", "length")


@dataclass(frozen=True)
class Content:
    """The content of a branch, under any name and in any template: equal contents have equal log-probs.

    Attributes:
        conversation: Whether it is the bare prompt.
        context: The first part of its message.
        directive: The last part of its message.
    """

    conversation: bool
    context: str = ""
    directive: str = ""

    @classmethod
    def of(cls, template: Template, branch: Branch) -> Content:
        """Return the content of a template's branch."""
        if branch.conversation:
            return PLAIN
        return cls(False, template.context if branch.context is None else branch.context, branch.directive)

    def branch(self) -> Branch:
        """Return a branch with this content."""
        if self.conversation:
            return Branch(conversation=True)
        return Branch(context=self.context, directive=self.directive)


#: The bare prompt: surprisal is -log p under it.
PLAIN = Content(True)


@dataclass(frozen=True)
class Label:
    """An estimator under a template.

    Attributes:
        name: What the audit calls it.
        template: The template.
        estimator: The estimator.
        contents: The content of each branch that the estimator reads.
    """

    name: str
    template: Template
    estimator: Estimator
    contents: Mapping[str, Content]


@dataclass(frozen=True)
class Request:
    """One job of an audit.

    Attributes:
        template: Its template.
        estimator: The name of its estimator.
        contents: What each branch of the template says.
    """

    template: Template
    estimator: str
    contents: Mapping[str, Content]

    @property
    def sent(self) -> str | Template:
        """The template as it is sent: by name if it is a shipped one."""
        return self.template.name if templates.shipped().get(self.template.name) == self.template else self.template


def labels(asked: Sequence[Template], methods: Sequence[Estimator]) -> list[Label]:
    """Return every estimator under every template that has its branches, each distinct contrast once.

    A label is called by its estimator, and by `template/estimator` where there are several templates.

    Raises:
        BadInput: No template has the branches of an estimator.
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
    """Return jobs that score the contents of all labels, and the bare prompt.

    Each content is scored once if that is possible, and there are few jobs.
    """
    labels = list(wanted)
    missing = {PLAIN}.union(*(label.contents.values() for label in labels))
    made: list[Request] = []
    while missing:
        # The label that adds most comes first, because branches in one job share their common beginning.
        label = max(labels, key=lambda label: len(missing & set(label.contents.values())))
        new = missing & set(label.contents.values())
        request = Request(label.template, label.estimator.name, label.contents) if new else _bare()
        made.append(request)
        missing -= set(request.contents.values())
    return made


def _bare() -> Request:
    """Return a request for the bare prompt, for when no label reads it."""
    estimator = min(estimators.shipped().values(), key=lambda e: len(e.branches))
    template = Template(name="bare", branches={name: PLAIN.branch() for name in estimator.branches})
    return Request(template, estimator.name, dict.fromkeys(estimator.branches, PLAIN))
