"""What a branch says, whichever template and name it has: equal contents have equal log-probs."""

from __future__ import annotations

from dataclasses import dataclass

from tokenreward.schema import Template


@dataclass(frozen=True)
class Content:
    """The content of a branch.

    Attributes:
        conversation: Whether it is the bare prompt.
        context: The first part of its message.
        directive: The last part of its message.
        fields: The context fields that it shows, sorted.
        each: The context field that it is repeated over.
        most: The most repetitions; None without a limit.
        model: What reads it, where that is not the audited model: a trained labeler as `name@fingerprint`, or what the
            template names.
    """

    conversation: bool
    context: str = ""
    directive: str = ""
    fields: tuple[str, ...] = ()
    each: str | None = None
    most: int | None = None
    model: str | None = None

    @classmethod
    def of(cls, template: Template, name: str, most: int | None = None, model: str | None = None) -> Content:
        """Return the content of a template's branch.

        Args:
            template: The template.
            name: The branch.
            most: The most repetitions, if it is repeated.
            model: The trained labeler that reads it, if there is one.
        """
        branch = template.branches[name]
        shown = template.shown(name) | {branch.each}
        fields = tuple(sorted(field for field in template.fields if field in shown))
        if branch.conversation and branch.each is None:
            return cls(True, model=model or branch.model)
        context = template.context if branch.context is None else branch.context
        return cls(False, context, branch.directive, fields, branch.each, most, model or branch.model)


#: The bare prompt: surprisal is -log p under it.
PLAIN = Content(True)
