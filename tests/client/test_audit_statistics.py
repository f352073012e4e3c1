"""The audit's statistics: against scikit-learn where it has them, and against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from tokenreward.audit.measures import groups, judged_tokens, ranks, spans
from tokenreward.audit.measures.judged_tokens import Tokens
from tokenreward.audit.measures.resampled_ranks import Cells, auroc_in_parts
from tokenreward.audit.measures.roc import roc
from tokenreward.audit.tokens import BAD, GOOD, LEFT_OUT
from tokenreward.statistics import bootstrap
from tokenreward.statistics.bootstrap import Interval, Resamples, Sampled


def tokens_of(seed: int, responses: int = 12, ties: bool = True) -> tuple[Tokens, np.ndarray]:
    """Made-up judged tokens of responses of unequal lengths, and rewards that know a little of what is bad."""
    chance = np.random.default_rng(seed)
    lengths = chance.integers(3, 30, responses)
    response = np.repeat(np.arange(responses), lengths)
    bad = chance.random(len(response)) < 0.2
    bad[:2] = [True, False]
    logprob = -chance.exponential(1.0, len(response)) - 0.5 * bad
    rewards = np.clip(chance.normal(0, 0.2, len(response)) - 0.1 * bad, -0.5, 0.5)
    if ties:
        logprob, rewards = np.round(logprob, 1), np.round(rewards, 1)
    place = np.concatenate([np.arange(n) / n for n in lengths])
    length = np.repeat(lengths, lengths)
    around = {"step": (3 * place).astype(int), "step_length": length // 3, "kind": chance.integers(0, 4, len(bad))}
    return Tokens(bad, response, logprob, place, length, **around, responses=responses, stepped=True), rewards


seeds = st.integers(0, 10_000)


@given(seeds, st.booleans())
@settings(max_examples=40, deadline=None)
def test_auroc_and_average_precision_are_scikit_learns(seed: int, ties: bool) -> None:
    tokens, rewards = tokens_of(seed, ties=ties)
    assert ranks.auroc(-rewards, tokens.bad) == pytest.approx(roc_auc_score(tokens.bad, -rewards))
    expected = average_precision_score(tokens.bad, -rewards)
    assert ranks.average_precision(-rewards, tokens.bad) == pytest.approx(expected)


@given(seeds, st.booleans())
@settings(max_examples=40, deadline=None)
def test_resamples_are_scikit_learns_with_weights(seed: int, ties: bool) -> None:
    tokens, rewards = tokens_of(seed, ties=ties)
    weights = np.random.default_rng(seed).integers(0, 4, (5, tokens.responses)).astype(np.uint16)
    weighed = Cells(-rewards, tokens.bad, tokens.response).weigh(weights)
    for number, row in enumerate(weights):
        each = row[tokens.response].astype(float)
        if not (each * tokens.bad).sum() or not (each * ~tokens.bad).sum():
            assert np.isnan(weighed.auroc[number])
            continue
        expected = roc_auc_score(tokens.bad, -rewards, sample_weight=each)
        assert weighed.auroc[number] == pytest.approx(expected)
        expected = average_precision_score(tokens.bad, -rewards, sample_weight=each)
        assert weighed.average_precision[number] == pytest.approx(expected)


def test_resamples_of_more_scores_than_there_are_cells_are_close_to_exact() -> None:
    tokens, rewards = tokens_of(1, responses=300, ties=False)
    weights = Resamples("s", tokens.responses, draws=10).weights
    decile = ranks.strata(tokens.logprob)
    for group in (None, decile):
        exact = Cells(-rewards, tokens.bad, tokens.response, group, thresholds=10**6).weigh(weights).auroc
        rough = Cells(-rewards, tokens.bad, tokens.response, group, thresholds=100).weigh(weights).auroc
        np.testing.assert_allclose(rough, exact, atol=0.01)
        assert (rough != exact).any()


def test_many_parts_are_close_to_exact_as_each_has_thresholds_of_its_own() -> None:
    tokens, rewards = tokens_of(2, responses=800, ties=False)
    weights = Resamples("s", tokens.responses, draws=10).weights
    part = tokens.response % 20
    scores, both = -rewards, 10 * part + tokens.tenth
    exact = Cells(scores, tokens.bad, tokens.response, both, thresholds=10**6).weigh(weights).auroc
    shared = Cells(scores, tokens.bad, tokens.response, both).weigh(weights).auroc
    found = auroc_in_parts(scores, tokens.bad, tokens.response, tokens.tenth, part, weights)
    np.testing.assert_allclose(found, exact, atol=0.002)
    assert np.abs(shared - exact).min() > 0.01, "all groups of all parts share too few"


def test_parts_without_bad_tokens_count_nothing() -> None:
    tokens, rewards = tokens_of(3, responses=40)
    part = tokens.response % 4
    weights = Resamples("s", tokens.responses, draws=10).weights
    here = part == 1
    found = [
        auroc_in_parts(-rewards, bad, tokens.response, tokens.tenth, part, weights)
        for bad in (tokens.bad & here, np.zeros_like(tokens.bad))
    ]
    alone = Cells(-rewards[here], tokens.bad[here], tokens.response[here], tokens.tenth[here]).weigh(weights).auroc
    np.testing.assert_allclose(found[0], alone)
    assert np.isnan(found[1]).all()


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_stratified_auroc_is_that_of_each_decile_weighted_by_bad_times_good(seed: int) -> None:
    tokens, rewards = tokens_of(seed, responses=30, ties=False)
    decile = ranks.strata(tokens.logprob)
    assert np.ptp(np.bincount(decile, minlength=10)) <= 2
    won = total = 0.0
    for number in range(10):
        here = decile == number
        bad = tokens.bad[here]
        if bad.any() and not bad.all():
            size = bad.sum() * (~bad).sum()
            won += size * roc_auc_score(bad, -rewards[here])
            total += size
    assert ranks.auroc(-rewards, tokens.bad, decile) == pytest.approx(won / total)
    once = np.ones((1, tokens.responses), dtype=np.uint16)
    weighed = Cells(-rewards, tokens.bad, tokens.response, decile).weigh(once)
    assert weighed.auroc[0] == pytest.approx(won / total)


def test_equally_likely_tokens_share_a_decile() -> None:
    logprobs = np.array([0.0] * 50 + [-1.0] * 30 + [-2.0] * 20)
    assert [len(set(ranks.strata(logprobs)[logprobs == value])) for value in (0.0, -1.0, -2.0)] == [1, 1, 1]
    assert len(set(ranks.strata(logprobs))) == 3


def test_a_reward_that_only_repeats_surprisal_finds_nothing_within_a_stratum_of_equal_log_probs() -> None:
    chance = np.random.default_rng(0)
    logprob = chance.choice([-4.0, -3.0, -2.0, -1.0, -0.1], 500)
    bad = chance.random(500) < np.exp(logprob / -6) / 3
    surprisal = np.tanh(logprob / 2) / 2
    assert ranks.auroc(-surprisal, bad) > 0.55
    assert ranks.auroc(-surprisal, bad, ranks.strata(logprob)) == 0.5


def test_the_aurocs_by_response_are_those_of_each_response_alone() -> None:
    tokens, rewards = tokens_of(3)
    found = ranks.auroc_by_response(-rewards, tokens.bad, tokens.response, tokens.responses)
    for number, value in enumerate(found):
        here = tokens.response == number
        if tokens.bad[here].any() and not tokens.bad[here].all():
            assert value == pytest.approx(roc_auc_score(tokens.bad[here], -rewards[here]))
        else:
            assert np.isnan(value)


def test_a_case_worked_out_by_hand() -> None:
    # Two responses. Bad tokens score 0.4 and 0.1, good ones 0.2, 0.1 and -0.3: of six pairs, four are right, one is
    # a tie and one is wrong.
    bad = np.array([True, False, False, True, False])
    rewards = np.array([-0.4, -0.2, 0.3, -0.1, -0.1])
    response = np.array([0, 0, 0, 1, 1])
    assert ranks.auroc(-rewards, bad) == pytest.approx(4.5 / 6)
    # Thresholds from the top: recall 1/2 at precision 1/1, then (0.2: nothing), then (0.1, both) recall 1 at 2/4.
    assert ranks.average_precision(-rewards, bad) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    np.testing.assert_allclose(ranks.auroc_by_response(-rewards, bad, response, 2), [1.0, 0.5])
    # Of the bad tokens both are below 0; of the good ones, one in three is above.
    assert spans.sign_accuracy(rewards, bad) == pytest.approx((1 + 1 / 3) / 2)
    # The first response alone, drawn twice: its bad token beats both of its good ones.
    assert Cells(-rewards, bad, response).weigh(np.array([[2, 0]], np.uint16)).auroc == [1.0]


def test_rewards_of_zero_have_half_a_sign() -> None:
    assert spans.sign_accuracy(np.zeros(4), np.array([True, False, False, True])) == 0.5
    assert np.isnan(spans.sign_accuracy(np.zeros(2), np.array([True, True])))


@pytest.mark.parametrize("points", [10_000, 40])
def test_the_roc_curve_goes_from_corner_to_corner_and_encloses_the_auroc(points: int) -> None:
    tokens, rewards = tokens_of(5, responses=40, ties=False)
    curve = roc(-rewards, tokens.bad, points)
    assert (curve.x[0], curve.y[0]) == (0.0, 0.0)
    assert (curve.x[-1], curve.y[-1]) == (1.0, 1.0)
    assert len(curve.x) <= max(points, 42) + 2
    assert auc(curve.x, curve.y) == pytest.approx(
        roc_auc_score(tokens.bad, -rewards), abs=0.03 if points == 40 else 1e-3
    )


def test_a_resample_is_the_same_as_writing_its_responses_one_after_another() -> None:
    tokens, rewards = tokens_of(7)
    resamples = Resamples("a set", tokens.responses, seed=1, draws=20)
    found = Cells(-rewards, tokens.bad, tokens.response).weigh(resamples.weights)
    assert resamples.weights.sum(axis=1).tolist() == [tokens.responses] * 20
    for weights, value in zip(resamples.weights, found.auroc, strict=True):
        drawn = np.concatenate(
            [np.flatnonzero(tokens.response == n) for n, count in enumerate(weights) for _ in range(count)]
        )
        assert value == pytest.approx(roc_auc_score(tokens.bad[drawn], -rewards[drawn]))


def test_intervals_are_the_same_every_time_and_another_seed_gives_others() -> None:
    tokens, rewards = tokens_of(9)

    def interval(seed: int) -> Interval:
        given = judged_tokens.baselines(tokens, "s", 0) | {"label": rewards}
        return spans.measure(tokens, given, Resamples("s", tokens.responses, seed))["label"].auroc.interval

    first, again, other = interval(0), interval(0), interval(1)
    assert first == again
    assert first.value == other.value
    assert (first.low, first.high) != (other.low, other.high)
    assert first.low < first.value < first.high


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        values = chance.normal(0.3, 1, 60)
        interval = Resamples(f"trial {trial}", 60, draws=200).mean(values).interval
        covered += interval.low <= 0.3 <= interval.high
    assert 85 <= covered <= 100


def test_a_mean_over_responses_leaves_out_those_without_a_value() -> None:
    found = Resamples("s", 4, draws=50).mean(np.array([1.0, np.nan, 0.0, np.nan]))
    assert found.value == 0.5
    assert np.nanmin(found.draws) >= 0
    assert np.nanmax(found.draws) <= 1


def test_the_gain_over_surprisal_is_paired() -> None:
    tokens, rewards = tokens_of(11, responses=40)
    resamples = Resamples("s", tokens.responses)
    # The second is a rising function of surprisal itself: it gains exactly nothing, on every resample.
    given = judged_tokens.baselines(tokens, "s", 0) | {"label": rewards, "copy": tokens.logprob / 20}
    found = spans.measure(tokens, given, resamples)
    assert found["copy"].gained == Interval(0.0, 0.0, 0.0)
    label = found["label"]
    assert label.gained.value == pytest.approx(label.auroc.value - found["surprisal"].auroc.value)
    np.testing.assert_allclose(label.gain.draws, label.auroc.draws - found["surprisal"].auroc.draws)


def test_labels_that_know_everything_or_nothing_are_seen_as_such() -> None:
    tokens, _ = tokens_of(13, responses=60)
    given = judged_tokens.baselines(tokens, "s", 0) | {
        "all": np.where(tokens.bad, -0.5, 0.5),
        "wrong": np.where(tokens.bad, 0.5, -0.5),
    }
    found = spans.measure(tokens, given, Resamples("s", tokens.responses))
    for name, value in (("all", 1.0), ("wrong", 0.0)):
        figures = found[name]
        assert figures.auroc.interval == Interval(value, value, value)
        assert figures.stratified.value == figures.per_response.value == figures.sign_accuracy == value
    assert found["all"].average_precision.value == 1.0
    assert (found["all"].inside, found["all"].outside) == (-0.5, 0.5)
    assert found["all"].controls.same_place.value == found["all"].controls.same_step.value == 1.0
    assert 0.4 < found["random"].auroc.value < 0.6


def test_surprisal_is_centred_on_the_set_and_as_good_as_the_log_prob_itself() -> None:
    tokens, _ = tokens_of(15)
    expected = np.tanh((tokens.logprob - tokens.logprob.mean()) / 2) / 2
    np.testing.assert_allclose(tokens.surprisal, expected)
    assert ranks.auroc(-tokens.surprisal, tokens.bad) == pytest.approx(roc_auc_score(tokens.bad, -tokens.logprob))


def test_collecting_leaves_out_what_nobody_judged_and_keeps_places_in_the_whole_response() -> None:
    judged = [np.array([GOOD, BAD, LEFT_OUT, LEFT_OUT], np.int8), np.array([LEFT_OUT, GOOD], np.int8)]
    found = judged_tokens.collect(judged, [np.array([-1.0, -2.0, -3.0, -4.0]), np.array([-5.0, -6.0])])
    assert found.bad.tolist() == [False, True, False]
    assert found.response.tolist() == [0, 0, 1]
    assert found.logprob.tolist() == [-1.0, -2.0, -6.0]
    assert found.place.tolist() == [0.0, 0.25, 0.5]
    assert found.length.tolist() == [4, 4, 2]
    assert found.task is None


@pytest.mark.parametrize(
    ("tasks", "several"),
    [
        (["b", "a"] * 10, True),
        (["b", "a"] * 9 + ["a"], False),  # fewer than 10 responses each on average
        (["", "a"] + ["a"] * 18, True),  # on average is enough
        (["a"] * 40, False),
        ([str(n) for n in range(40)], False),  # names of rows
        ([], False),
    ],
)
def test_tasks_are_told_apart_where_there_are_several_of_enough_responses(tasks: list[str], several: bool) -> None:
    count = len(tasks) or 40
    judged = [np.array([GOOD, LEFT_OUT, BAD], np.int8)] * count
    found = judged_tokens.collect(judged, [np.zeros(3)] * count, tasks=tasks).task
    if not several:
        assert found is None
        return
    assert found is not None
    names = sorted(set(tasks))
    assert [names[number] for number in found] == [task for task in tasks for _ in range(2)]


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_every_grouping_holds_every_token_once(seed: int) -> None:
    tokens, rewards = tokens_of(seed)
    for found in (
        groups.by_reward(rewards, tokens.bad),
        groups.by_place(tokens.place, rewards, tokens.bad),
        groups.by_length(tokens.length, rewards, tokens.bad),
        groups.by_kind(tokens.kind, rewards, tokens.bad),
    ):
        assert sum(group.tokens for group in found) == len(rewards)
        assert sum(group.tokens * group.share_bad for group in found) == pytest.approx(tokens.bad.sum())
        assert sum(group.tokens * group.reward for group in found) == pytest.approx(rewards.sum())


def test_a_calibrated_label_has_fewer_bad_tokens_in_every_higher_bin() -> None:
    chance = np.random.default_rng(1)
    rewards = chance.uniform(-0.5, 0.5, 4000)
    bad = chance.random(4000) < 0.5 - rewards
    shares = [group.share_bad for group in groups.by_reward(rewards, bad)]
    assert len(shares) == groups.BINS
    assert shares == sorted(shares, reverse=True)


def test_the_mean_over_sets_counts_every_set_alike() -> None:
    first, second = Sampled(0.4, np.array([0.3, 0.5])), Sampled(0.8, np.array([0.7, 0.9]))
    found = bootstrap.mean([first, second])
    assert found.value == pytest.approx(0.6)
    np.testing.assert_allclose(found.draws, [0.5, 0.7])
