"""The audit's controls: what is left of a label where place, step, task, kind or a text cannot tell tokens apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.client.test_audit_statistics import tokens_of
from tokenreward.audit.measures import judged_tokens, spans
from tokenreward.audit.measures.controls import DEVIATION
from tokenreward.audit.measures.judged_tokens import POSITION, SURPRISAL, Tokens
from tokenreward.audit.measures.spans import SpanFigures
from tokenreward.audit.measures.surroundings import KINDS, kind_of, repeated, surroundings_of
from tokenreward.statistics.bootstrap import Resamples


def measured(tokens: Tokens, rewards: np.ndarray, shown: np.ndarray | None = None) -> SpanFigures:
    given = judged_tokens.baselines(tokens, "s", 0) | {"label": rewards}
    resamples = Resamples("s", tokens.responses, draws=200)
    return spans.measure(tokens, given, resamples, {} if shown is None else {"label": shown})["label"]


def late_errors(responses: int = 60) -> Tokens:
    """Responses of 20 tokens, in four steps, whose errors stand in the last step."""
    tokens, _ = tokens_of(0, responses)
    place = np.tile(np.arange(20) / 20, responses)
    count = len(place)
    chance = np.random.default_rng(1)
    return replace(
        tokens,
        bad=(place >= 0.75) & (chance.random(count) < 0.5),
        response=np.repeat(np.arange(responses), 20),
        logprob=-chance.exponential(1.0, count),
        place=place,
        length=np.full(count, 20),
        step=(place * 4).astype(int),
        step_length=np.full(count, 5),
        kind=chance.integers(0, 4, count),
        responses=responses,
    )


def test_a_label_that_knows_the_place_alone_is_at_chance_among_tokens_at_the_same_place() -> None:
    tokens = late_errors()
    found = measured(tokens, 0.5 - tokens.place)
    assert found.auroc.value > 0.85
    assert found.gain.interval.above(0)
    assert not found.controls.same_place.interval.above(0.55)
    assert found.controls.gains[POSITION].value == 0.0
    assert measured(tokens, -tokens.step.astype(float)).controls.same_step.value == 0.5


def test_a_baseline_of_place_counts_in_the_direction_that_does_better() -> None:
    tokens = late_errors()
    early = replace(tokens, place=1 - tokens.place - 0.05)
    assert measured(early, tokens.place * 0).controls.gains[POSITION].value < -0.3


def test_same_place_is_the_auroc_of_each_tenth_weighted_by_bad_times_good() -> None:
    tokens, rewards = tokens_of(4, responses=40, ties=False)
    won = total = 0.0
    for tenth in range(10):
        here = (tokens.place * 10).astype(int) == tenth
        bad = tokens.bad[here]
        size = bad.sum() * (~bad).sum()
        if size:
            won += size * roc_auc_score(bad, -rewards[here])
            total += size
    found = measured(tokens, rewards)
    assert found.controls.same_place.value == pytest.approx(won / total)
    surprisal = judged_tokens.baselines(tokens, "s", 0)[SURPRISAL]
    base = measured(tokens, surprisal).controls.same_place.value
    assert found.controls.place_gain.value == pytest.approx(won / total - base)


def test_steps_are_compared_only_where_most_responses_have_several() -> None:
    tokens, rewards = tokens_of(4, responses=40)
    assert np.isfinite(measured(tokens, rewards).controls.same_step.value)
    assert np.isnan(measured(replace(tokens, stepped=False), rewards).controls.same_step.value)


def mixed_tasks() -> Tokens:
    """Responses to two tasks by turns; nearly all errors are in those to the second one."""
    tokens = late_errors()
    task = tokens.response % 2
    bad = np.random.default_rng(2).random(len(task)) < np.where(task == 1, 0.5, 0.1)
    return replace(tokens, bad=bad, task=task)


def test_a_label_that_only_tells_tasks_apart_is_at_chance_among_tokens_at_the_same_place_of_the_same_task() -> None:
    tokens = mixed_tasks()
    assert tokens.task is not None
    found = measured(tokens, np.where(tokens.task == 1, -0.3, 0.3)).controls
    assert found.same_place.interval.above(0.65)
    assert found.same_task.interval.triple() == [0.5, 0.5, 0.5]
    knowing = measured(tokens, np.where(tokens.bad, -0.3, 0.3)).controls
    assert knowing.same_task.interval.triple() == [1.0, 1.0, 1.0]


def test_same_task_compares_tokens_at_the_same_place_only() -> None:
    tokens = late_errors()
    rewards = 0.5 - (tokens.place * 10).astype(int) / 10  # later tenths are worse
    found = measured(replace(tokens, task=tokens.response % 2), rewards)
    assert found.auroc.value > 0.85
    assert found.controls.same_task.interval.triple() == [0.5, 0.5, 0.5]


def test_same_task_is_the_auroc_of_each_tenth_of_each_task_weighted_by_bad_times_good() -> None:
    tokens, rewards = tokens_of(4, responses=40, ties=False)
    task = tokens.response % 3
    won = total = 0.0
    for number in range(3):
        for tenth in range(10):
            here = (task == number) & ((tokens.place * 10).astype(int) == tenth)
            bad = tokens.bad[here]
            size = bad.sum() * (~bad).sum()
            if size:
                won += size * roc_auc_score(bad, -rewards[here])
                total += size
    found = measured(replace(tokens, task=task), rewards).controls.same_task
    assert found.value == pytest.approx(won / total)
    assert found.interval.low < found.value < found.interval.high


def test_without_tasks_the_control_for_them_is_not_defined() -> None:
    tokens, rewards = tokens_of(4, responses=40)
    found = measured(tokens, rewards).controls.same_task
    assert np.isnan(found.interval.triple()).all()


def test_drift_is_of_good_tokens_and_of_rewards_scaled_to_one_deviation() -> None:
    tokens = late_errors(2)
    tokens = replace(tokens, bad=np.arange(40) == 39)
    rewards = np.zeros(40)
    rewards[[0, 1, 20, 21]] = 0.1  # the first tenth of each response
    rewards[[18, 19, 38]] = -0.2
    rewards[39] = 0.5  # a bad token, which does not count
    found = measured(tokens, rewards).controls.drift
    assert found.value == pytest.approx(-0.3 * DEVIATION / rewards.std())
    assert measured(tokens, 3 * rewards).controls.drift.value == pytest.approx(found.value)
    assert measured(tokens, rewards * 0).controls.drift.value == 0.0


def test_a_label_that_only_repeats_the_shown_text_is_at_chance_where_it_repeats_alike() -> None:
    tokens = late_errors()
    chance = np.random.default_rng(3)
    copied = np.where(tokens.bad, chance.random(len(tokens.bad)) < 0.1, chance.random(len(tokens.bad)) < 0.9)
    leaking = measured(tokens, copied - 0.5, copied)
    assert leaking.auroc.value > 0.8
    assert leaking.controls.same_shown.value == 0.5
    assert leaking.controls.gains["shown text"].value == pytest.approx(0.0)
    knowing = measured(tokens, np.where(tokens.bad, -0.3, 0.3), copied)
    assert knowing.controls.same_shown.value == 1.0
    assert np.isnan(measured(tokens, copied - 0.5).controls.same_shown.value)


def test_style_against_content_is_of_good_tokens() -> None:
    tokens = late_errors()
    rewards = np.where(tokens.kind == 0, 0.2, -0.1)
    rewards[tokens.bad] = 0.4
    found = measured(tokens, rewards)
    assert found.controls.content == pytest.approx(-0.3 * DEVIATION / rewards.std())
    assert [group.name for group in found.by_kind] == list(KINDS)


def test_words_are_of_a_kind() -> None:
    text = "The sum of 12 and Anna's 3.5 is fine.\nBut Paris isn't: it is x2 (Berlin)!"
    places = {word: text.index(word) for word in ("The", "sum", "12", "Anna's", "3.5", "fine", ".", "But", "Paris")}
    found = {word: KINDS[kind_of(text, at, at + len(word))] for word, at in places.items()}
    style, number, name, other = KINDS
    assert found == {
        "The": style,
        "sum": other,
        "12": number,
        "Anna's": name,
        "3.5": number,
        "fine": other,
        ".": style,
        "But": style,
        "Paris": name,
    }
    assert KINDS[kind_of("Rome is old.", 0, 4)] == other, "a capital letter that begins a sentence says nothing"


def test_every_token_has_a_step_its_length_and_a_kind() -> None:
    text = "One 1.\nTwo \U0001f642 22."
    offsets = np.array([[0, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 10], [10, 12], [12, 14], [14, 15], [15, 15]])
    found = surroundings_of(text, offsets)
    assert found.step.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert found.step_length.tolist() == [5] * 10
    assert found.steps == 2
    assert [KINDS[kind] for kind in found.kind[[2, 7]]] == ["numbers", "numbers"]
    empty = surroundings_of("", np.zeros((0, 2), dtype=np.int64))
    assert len(empty.step) == len(empty.kind) == 0


def test_a_token_repeats_a_shown_text_if_its_word_stands_there() -> None:
    text = "It is 42 euros"
    offsets = np.array([[0, 2], [2, 5], [5, 7], [7, 8], [8, 14], [14, 14]])
    assert repeated(text, offsets, ["it IS 4 euros"]).tolist() == [True, True, False, False, True, True]
