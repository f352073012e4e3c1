"""The field `tokenreward` of a wire's request: what our service can do beyond the wire.

It names one of several served models, and it asks for a branch of a template instead of the bare prompt: the response
is then scored behind that branch's prompt, which may show contexts that the student has not seen. So a privileged
teacher is one URL and one more field.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from tokenreward import templates
from tokenreward.errors import UnknownName
from tokenreward.schema import Item, Template
from tokenreward.schema.wire import WireModel
from tokenreward_service.problems import ProblemError, pointed
from tokenreward_service.wires.scored_options import refused

#: The branch that a wire's job scores, whatever it is called in its template.
BRANCH = "plain"


class TeacherItem(WireModel):
    """What a branch shows for one sequence: the fields of an Item, without its response.

    Attributes:
        response_start: Where the response begins in the sequence's ids. It is scored from there on; what stands before
            is replaced by the branch's prompt.
        item: The Item's other fields: `prompt`, and as needed `context`, `tools` and `chat_template_kwargs`.
    """

    response_start: Annotated[int, Field(ge=1, strict=True)]
    item: dict[str, Any]


class TeacherBranch(WireModel):
    """The field `tokenreward` of a request.

    Attributes:
        model: A served model's name, or `name@fingerprint`, where several are served. None means what the wire says.
        template: The template of the branch; a shipped one's name, or a template of the caller's own.
        branch: The branch to score. None scores the ids of the request as they are.
        items: What the branch shows, one for each sequence.
    """

    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    template: str | Template | None = None
    branch: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    items: list[TeacherItem] | None = None

    def one_branch(self) -> Template | str:
        """Return a template whose only branch, called `plain`, is the one that is asked for.

        Raises:
            ProblemError: 422, for an unknown template or branch, or for a branch that is repeated.
        """
        if self.branch is None:
            if self.template is not None or self.items is not None:
                raise refused("tokenreward", "`template` and `items` are read for a `branch`, and none is named")
            return "plain"
        if self.template is None or self.items is None:
            raise refused("tokenreward", "a `branch` needs the `template` that it is of, and `items` for what it shows")
        try:
            template = templates.resolve(self.template)
        except UnknownName as error:
            raise refused("tokenreward.template", str(error)) from error
        branch = template.branches.get(self.branch)
        if branch is None:
            known = ", ".join(template.branches)
            raise refused(
                "tokenreward.branch", f"template {template.name!r} has no branch {self.branch!r}; it has: {known}"
            )
        if branch.each is not None:
            raise refused(
                "tokenreward.branch", f"branch {self.branch!r} is repeated over a list; a teacher has one prompt"
            )
        shown = {name: field for name, field in template.fields.items() if name in template.shown(self.branch)}
        return Template(name=template.name, context=template.context, fields=shown, branches={BRANCH: branch})

    def shown_item(self, number: int, ids: list[int], named: list[int] | list[list[int]] | None) -> Item:
        """Return the item that the branch is rendered for.

        Args:
            number: Which sequence of the request.
            ids: Its token ids.
            named: Ids whose log-probs are wanted at each token of the response.

        Raises:
            ProblemError: 422, if it is no item, or if nothing is left to score.
        """
        assert self.items is not None
        where = f"tokenreward.items.{number}"
        asked = self.items[number]
        if asked.response_start >= len(ids):
            raise refused(f"{where}.response_start", f"the sequence has {len(ids)} tokens: nothing is left to score")
        for name in ("response", "token_ids", "score"):
            if name in asked.item:
                raise refused(f"{where}.item.{name}", "the response is the sequence's own ids; leave it out")
        try:
            return Item.model_validate(asked.item | {"token_ids": ids[asked.response_start :], "named_ids": named})
        except ValidationError as error:
            errors = pointed(error.errors(include_url=False, include_input=False), f"/tokenreward/items/{number}/item")
            raise ProblemError(422, "Invalid request", errors=errors) from None
