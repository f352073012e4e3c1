"""Which labels an audit is about, and that no branch is asked for twice."""

from __future__ import annotations

import numpy as np
import pytest

from tokenreward import estimators, templates
from tokenreward.audit.contents import PLAIN, Content
from tokenreward.audit.measures.judged_tokens import BASELINES
from tokenreward.audit.plan import labels, requests
from tokenreward.errors import BadInput
from tokenreward.estimators import Estimator
from tokenreward.schema import Branch, ContextField, Template

SHIPPED = templates.of_one_model()
ESTIMATORS = list(estimators.shipped().values())


def estimator(name: str, *branches: str) -> Estimator:
    return Estimator(name, branches, "made up", lambda evidence, parameters: np.zeros(1))


def template(name: str, **directives: str | None) -> Template:
    """Branches by their directive; None: the bare prompt."""
    branches = {
        branch: Branch(conversation=True) if directive is None else Branch(directive=directive)
        for branch, directive in directives.items()
    }
    return Template(name=name, context="c", branches=branches)


def test_every_shipped_template_has_the_bare_prompt() -> None:
    for one in SHIPPED:
        assert one.branches["plain"].conversation


def test_labels_are_all_shipped_estimators_under_all_templates_that_have_their_branches() -> None:
    found = {(label.template.name, label.estimator.name) for label in labels(SHIPPED, ESTIMATORS)}
    assert {("revision", "contrast"), ("opposite", "contrast")} <= found
    for one in SHIPPED:
        for method in ESTIMATORS:
            fits = set(method.branches) <= one.branches.keys()
            assert ((one.name, method.name) in found) <= fits
    assert {name for _, name in found} == {e.name for e in ESTIMATORS if not e.unbounded}


def test_a_label_is_called_by_its_template_too_where_there_are_several_or_a_baseline_has_its_name() -> None:
    one, other = template("t", better="b", worse="w", plain=None), template("u", better="x", worse="w")
    contrast = estimator("contrast", "better", "worse")
    assert [label.name for label in labels([one], [contrast])] == ["contrast"]
    assert [label.name for label in labels([one, other], [contrast])] == ["t/contrast", "u/contrast"]
    assert [label.name for label in labels([one], [estimator("surprisal", "plain")])] == ["t/surprisal"]


def test_a_contrast_that_two_templates_share_is_one_label() -> None:
    both = [template("t", plain=None, better="b"), template("u", plain=None, better="x")]
    found = labels(both, [estimator("e", "plain"), estimator("f", "better")])
    assert [label.name for label in found] == ["t/e", "t/f", "u/f"]


def test_two_templates_of_one_name_are_refused_where_their_labels_would_have_one_name_too() -> None:
    contrast = estimator("contrast", "better", "worse")
    one, other = template("t", better="b", worse="w", plain=None), template("t", better="x", worse="w")
    with pytest.raises(BadInput, match=r"two templates are called 't', and both have a label 't/contrast': rename one"):
        labels([one, other], [contrast])
    assert [label.name for label in labels([one, other], [estimator("p", "plain")])] == ["t/p"]


def test_no_fitting_template_says_what_is_missing() -> None:
    with pytest.raises(BadInput, match=r"e reads nowhere; t has better"):
        labels([template("t", better="b")], [estimator("e", "nowhere")])


def test_no_branch_is_asked_for_that_adds_nothing() -> None:
    many = template("t", a="a", b="b", c="c", plain=None)
    found = labels(
        [many],
        [estimator("ab", "a", "b"), estimator("abc", "a", "b", "c"), estimator("a", "a"), estimator("plain", "plain")],
    )
    asked = requests(found)
    assert [request.estimator for request in asked] == ["abc", "plain"]
    covered = set().union(*(request.contents.values() for request in asked))
    assert covered == {PLAIN, *(Content(False, "c", name) for name in "abc")}


def test_the_bare_prompt_is_asked_for_even_if_no_label_reads_it() -> None:
    asked = requests(labels([template("t", better="b", worse="w")], [estimator("contrast", "better", "worse")]))
    assert len(asked) == 2
    assert set(asked[1].contents.values()) == {PLAIN}
    assert asked[1].estimator in estimators.shipped()


def test_a_shipped_template_is_sent_by_name_and_a_changed_one_as_it_is() -> None:
    (request, *_) = requests(labels([templates.resolve("revision")], [estimators.resolve("contrast")]))
    assert request.sent == "revision"
    changed = templates.resolve("revision").model_copy(update={"context": "another"})
    (request, *_) = requests(labels([changed], [estimators.resolve("contrast")]))
    assert request.sent is changed


def test_an_estimator_that_reads_fields_goes_with_templates_that_have_one_of_them() -> None:
    found = {(label.template.name, label.estimator.name) for label in labels(SHIPPED, ESTIMATORS)}
    assert {pair for pair in found if pair[1] in ("edit", "rlmec")} == {("edit", "edit"), ("correct", "rlmec")}


def test_a_repeated_branch_is_only_for_estimators_that_read_several_rows() -> None:
    fields = {"other": ContextField()}
    branches = {"better": Branch(directive="b"), "worse": Branch(directive="{other}", each="other")}
    repeated = Template(name="t", fields=fields, branches=branches)
    with pytest.raises(BadInput, match="no template"):
        labels([repeated], [estimators.resolve("contrast")])


def test_a_contrast_of_several_templates_is_called_by_the_one_that_its_estimator_was_made_for() -> None:
    names = [label.name for label in labels(SHIPPED, [estimators.resolve("surprisal")])]
    assert names == ["plain/surprisal"]


def test_unbounded_rewards_are_not_audited() -> None:
    assert not [label for label in labels(SHIPPED, ESTIMATORS) if label.estimator.unbounded]
    with pytest.raises(BadInput, match="difference have no bound"):
        labels(SHIPPED, [estimators.resolve("difference")])


def test_what_needs_no_context_is_asked_for_by_the_same_requests_as_without_labels_that_need_one() -> None:
    every = labels(SHIPPED, ESTIMATORS)
    bare = [label for label in every if not label.reads_context]
    assert len(bare) < len(every)
    assert requests(every)[: len(requests(bare))] == requests(bare)
    covered = {content for request in requests(every) for content in request.contents.values()}
    assert covered == {content for label in every for content in label.contents.values()}


def test_the_branches_of_a_template_differ_by_the_fields_that_they_show() -> None:
    text = {"better": Branch(directive="{hint}"), "plain": Branch(conversation=True)}
    open_, closed = (
        Template(name="t", branches=text),
        Template(name="t", branches=text, fields={"hint": ContextField()}),
    )
    assert Content.of(open_, "better") != Content.of(closed, "better")
    assert Content.of(open_, "plain") == Content.of(closed, "plain") == PLAIN


def test_a_label_says_which_field_it_lacks() -> None:
    found = {label.estimator.name: label for label in labels(SHIPPED, ESTIMATORS)}
    assert found["rlcsd"].lacks({"right": "a"}) == "wrong"
    assert found["rlcsd"].lacks({"right": "a", "wrong": []}) == "wrong"
    assert found["rlcsd"].lacks({"right": "a", "wrong": ["b"]}) is None
    assert found["edit"].lacks({}) == "revised or original"
    assert found["edit"].lacks({"original": "a"}) is None
    assert found["contrast"].lacks({}) is None


def test_baselines_have_names_of_their_own() -> None:
    assert {"surprisal", "random", "position", "step_length", "length"} == set(BASELINES)
