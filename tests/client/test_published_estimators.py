"""The estimators of published methods, against their formulas by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tokenreward import estimators
from tokenreward.errors import BadInput
from tokenreward.estimators import Evidence
from tokenreward.schema import Fingerprint

BETTER = np.array([-1.0, -2.0, -0.5], dtype=np.float32)
WORSE = np.array([-2.0, -2.0, -4.5], dtype=np.float32)
DIFFERENCES = [1.0, 0.0, 4.0]


def sigmoid_half(d: float) -> float:
    return 1 / (1 + math.exp(-d)) - 0.5


def test_difference_is_the_contrast_before_it_is_squashed() -> None:
    found = estimators.resolve("difference").rewards({"better": BETTER, "worse": WORSE})
    assert found == pytest.approx(DIFFERENCES)
    assert found.dtype == np.float32
    assert estimators.resolve("difference").unbounded


def test_tis_clamps_at_one_and_a_half_as_the_authors_code() -> None:
    found = estimators.resolve("tis").rewards({"better": BETTER, "worse": WORSE})
    assert found == pytest.approx([1 / 3, 0.0, 0.5])
    # The authors' weight in [0.7, 1.3] is 1 + 0.6 r.
    assert 1 + 0.6 * found == pytest.approx([1.2, 1.0, 1.3])
    assert estimators.resolve("tis").rewards({"better": BETTER, "worse": WORSE}, {"clamp": 4}) == pytest.approx(
        [1 / 8, 0.0, 0.5]
    )


def test_rto_scales_and_clamps_as_the_authors_code() -> None:
    found = estimators.resolve("rto").apply(Evidence({"better": BETTER, "worse": WORSE}))
    assert found.difference == pytest.approx(DIFFERENCES)
    assert found.rewards == pytest.approx([0.05, 0.0, 0.05])
    assert estimators.resolve("rto").rewards({"better": WORSE, "worse": BETTER}) == pytest.approx([-0.05, 0.0, -0.05])
    wide = estimators.resolve("rto").rewards({"better": BETTER, "worse": WORSE}, {"scale": 0.1, "clamp": 0.3})
    assert wide == pytest.approx([0.1, 0.0, 0.3])
    assert estimators.resolve("rto").template == "strong-weak"
    with pytest.raises(BadInput, match="clamp"):
        estimators.resolve("rto").rewards({"better": BETTER, "worse": WORSE}, {"clamp": 0.6})


def test_rlcsd_takes_the_mean_over_wrong_siblings() -> None:
    wrong = np.array([[-1.0, -2.1, -0.5], [-1.02, -1.9, -0.6]], dtype=np.float32)
    found = estimators.resolve("rlcsd").apply(Evidence({"right": BETTER, "wrong": wrong}))
    d = [0.01, 0.0, 0.05]
    assert found.difference == pytest.approx(d, abs=1e-6)
    assert found.rewards == pytest.approx([math.tanh(x / 0.03) / 2 for x in d], abs=1e-5)
    wide = estimators.resolve("rlcsd").rewards({"right": BETTER, "wrong": wrong}, {"tau": 1.0})
    assert wide == pytest.approx([math.tanh(x) / 2 for x in d], abs=1e-6)


def test_privileged_is_sdpos_token_form() -> None:
    found = estimators.resolve("privileged").apply(Evidence({"privileged": BETTER, "plain": WORSE}))
    assert found.difference == pytest.approx(DIFFERENCES)
    assert found.rewards == pytest.approx([sigmoid_half(d) for d in DIFFERENCES], abs=1e-6)


def test_unrelated_subtracts_the_mean_under_other_questions() -> None:
    others = np.array([[-2.0, -3.0, -1.0], [-3.0, -1.0, -1.0]], dtype=np.float32)
    found = estimators.resolve("unrelated").rewards({"plain": BETTER, "unrelated": others})
    assert found == pytest.approx([sigmoid_half(d) for d in (1.5, 0.0, 0.5)], abs=1e-6)


def test_surprisal_has_its_zero_at_the_centre() -> None:
    found = estimators.resolve("surprisal")
    assert found.rewards({"plain": BETTER}) == pytest.approx([sigmoid_half(d) for d in (1.0, 0.0, 1.5)], abs=1e-6)
    assert found.rewards({"plain": BETTER}, {"centre": -1.0})[0] == 0


@pytest.mark.parametrize(
    ("outcome", "expected"), [("right", [0.0, 0.4, 0.0]), ("wrong", [-0.1, 0.0, -0.05])], ids=["right", "wrong"]
)
def test_rlmec_clips_the_probability_by_the_outcome(outcome: str, expected: list[float]) -> None:
    correct = np.log(np.array([0.1, 0.9, 0.45], dtype=np.float32))
    found = estimators.resolve("rlmec").apply(Evidence({"correct": correct}, context={"outcome": outcome}))
    assert found.rewards == pytest.approx(expected, abs=1e-6)


def test_an_outcome_that_is_a_list_is_the_items_error() -> None:
    with pytest.raises(BadInput, match="'outcome'"):
        estimators.resolve("rlmec").apply(Evidence({"correct": BETTER}, context={"outcome": ["right"]}))


def test_a_template_may_repeat_only_what_the_estimator_takes_repeated() -> None:
    from tokenreward.schema import Branch, ContextField, Template

    template = Template(
        name="t",
        fields={"h": ContextField()},
        branches={"plain": Branch(each="h", context="{prompt} {h}"), "null": Branch(context="Write.")},
    )
    assert "repeats branch 'plain'" in str(estimators.resolve("evidence").unfit(template))
    assert estimators.resolve("rlcsd").unfit(template) is not None
    from tokenreward import templates

    assert estimators.resolve("rlcsd").unfit(templates.resolve("siblings")) is None


def test_rlmec_without_an_outcome_says_which_field_is_missing() -> None:
    with pytest.raises(BadInput, match="'outcome'"):
        estimators.resolve("rlmec").apply(Evidence({"correct": BETTER}))


def edits(text: str, offsets: list[tuple[int, int]], **context: str) -> list[float]:
    found = estimators.resolve("edit").apply(Evidence({}, text, offsets, context))
    return [float(value) for value in found.rewards]


def test_edit_lowers_what_the_revision_replaced_or_deleted() -> None:
    text = "It is 12 miles away, honestly."
    offsets = [(0, 2), (2, 5), (5, 7), (7, 8), (8, 14), (14, 19), (19, 20), (20, 25), (25, 29), (29, 30), (30, 30)]
    found = edits(text, offsets, revised="It is 13 miles away.")
    assert found == [0, 0, -0.5, -0.5, 0, 0, -0.5, -0.5, -0.5, 0, 0]


def test_edit_raises_what_the_revision_added() -> None:
    assert edits("It is 13 miles.", [(0, 2), (2, 5), (5, 8), (8, 14), (14, 15)], original="It is 12 miles.") == [
        *(0, 0, 0.5, 0, 0)
    ]


@pytest.mark.parametrize("context", [{}, {"revised": "a", "original": "b"}])
def test_edit_needs_one_of_its_two_fields(context: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="'revised' or 'original'"):
        edits("a", [(0, 1)], **context)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tua": 1.0}, r"no parameter 'tua' \(did you mean tau\?\)"),
        ({"tau": 0.0}, "outside its range"),
        ({"tau": math.nan}, "outside its range"),
        ({"tau": 10**400}, "outside its range"),
        ({"k": 2.5}, "whole number"),
        ({"k": True}, "must be a number"),
        ({"tau": "0.1"}, "must be a number"),
    ],
)
def test_parameters_are_checked_by_name_and_range(given: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        estimators.resolve("rlcsd").chosen(given)


def test_a_parameter_is_part_of_the_hash_and_its_default_is_none() -> None:
    rlcsd = estimators.resolve("rlcsd")
    assert rlcsd.hash_with({"tau": 0.03}) == rlcsd.hash
    assert rlcsd.hash_with({"tau": 0.05}) != rlcsd.hash


def test_hashes_of_the_first_estimators_and_templates_never_change() -> None:
    from tokenreward import templates

    assert {name: estimators.resolve(name).hash for name in ("contrast", "evidence")} == {
        "contrast": "2026c178b546d7df",
        "evidence": "665786dc6579e34f",
    }
    assert {name: templates.resolve(name).hash for name in ("revision", "opposite", "evidence")} == {
        "revision": "5b3df2547d849e12",
        "opposite": "727fb71f21f7f089",
        "evidence": "a005e2172eb61055",
    }


def test_tlcr_is_half_the_difference_of_the_classes_probabilities() -> None:
    positive, neutral, negative = np.array([0.7, 0.1, 0.0]), np.array([0.2, 0.1, 1.0]), np.array([0.1, 0.8, 0.0])
    row = np.log(positive + neutral / 2).astype(np.float32)
    outcome = estimators.resolve("tlcr").apply(Evidence({"plain": row}))
    np.testing.assert_allclose(outcome.difference, positive - negative, atol=1e-6)
    np.testing.assert_allclose(outcome.rewards, (positive - negative) / 2, atol=1e-6)
    assert outcome.rewards.dtype == np.float32


def test_a_token_classifier_serves_tlcr_alone_and_a_language_model_everything_else() -> None:
    model = Fingerprint(model="m", model_hash="", tokenizer_hash="", engine="vllm", engine_version="", dtype="")
    judge = model.model_copy(update={"head": "token_classifier"})
    assert "needs a token classifier" in str(estimators.resolve("tlcr").unfit_model(model))
    assert estimators.resolve("tlcr").unfit_model(judge) is None
    assert "take estimator 'tlcr'" in str(estimators.resolve("contrast").unfit_model(judge))
    assert estimators.resolve("contrast").unfit_model(model) is None
    assert estimators.resolve("edit").unfit_model(judge) is None
    assert judge.digest != model.digest


def test_an_estimator_that_needs_moments_is_not_for_a_model_behind_endpoints() -> None:
    model = Fingerprint(model="m", model_hash="", tokenizer_hash="", engine="remote", engine_version="", dtype="")
    assert "take estimator 'lp_word'" in str(estimators.resolve("z_word").unfit_model(model))
    assert estimators.resolve("lp_word").unfit_model(model) is None


def test_every_estimator_names_a_shipped_template_that_has_its_branches() -> None:
    from tokenreward import templates

    for estimator in estimators.shipped().values():
        template = templates.resolve(estimator.template)
        assert set(estimator.branches) <= set(template.branches), estimator.name
        assert set(estimator.fields) <= set(template.fields), estimator.name
        assert all(template.branches[name].each for name in estimator.repeated), estimator.name
