"""Which labels an audit is about, and that no branch is asked for twice."""

from __future__ import annotations

import numpy as np
import pytest

from tokenreward import estimators, templates
from tokenreward.audit import plan
from tokenreward.audit.plan import PLAIN, Content, labels, requests
from tokenreward.errors import BadInput
from tokenreward.estimators import Estimator
from tokenreward.schema import Branch, Template

SHIPPED = list(templates.shipped().values())
ESTIMATORS = list(estimators.shipped().values())


def estimator(name: str, *branches: str) -> Estimator:
    return Estimator(name, branches, "made up", lambda logprobs: np.zeros_like(logprobs[branches[0]]))


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
    assert {name for _, name in found} == {e.name for e in ESTIMATORS}


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


def test_baselines_have_names_of_their_own() -> None:
    assert {"surprisal", "random", "position", "length"} == set(plan.BASELINES)
