"""The synthetic engine: repeatable, at its rate, and deadly only where it is told to be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence

import pytest

from tokenreward.errors import BadInput
from tokenreward_workers.engines import load_engine
from tokenreward_workers.engines.base import Key, ListFeed, score_all
from tokenreward_workers.engines.synthetic import SyntheticEngine, SyntheticSettings
from tokenreward_workers.model_files.resolve import ModelFiles
from tokenreward_workers.scoring import Row, Scoring


def work(count: int, length: int = 100) -> list[Scoring]:
    return [Scoring((1, 2), {"a": (3,), "b": (4,)}, (n, *range(length - 1))) for n in range(count)]


def test_it_needs_no_torch_and_gives_the_same_log_probs_in_every_process() -> None:
    code = (
        "import sys\n"
        "from tokenreward_workers.engines import load_engine\n"
        "from tokenreward_workers.engines.base import score_all\n"
        "from tokenreward_workers.scoring import Scoring\n"
        "work = [Scoring((1, 2), {'a': (3,), 'b': (4,)}, (n, 5)) for n in range(10)]\n"
        "print([float(rows['a'].logprobs[0]) for rows in score_all(load_engine('synthetic', None).engine, work)])\n"
        "assert not {'torch', 'transformers', 'vllm'} & set(sys.modules)\n"
    )
    runs = {subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout for _ in range(2)}
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("settings", "count", "seconds"),
    [
        (SyntheticSettings(rate=25), 10, 0.4),
        (SyntheticSettings(tokens_per_second=50_000), 100, 0.41),  # 20,600 plain tokens
        (SyntheticSettings(tokens_per_second=1_000_000), 2000, 0.41),
    ],
)
def test_it_keeps_its_rate(settings: SyntheticSettings, count: int, seconds: float) -> None:
    engine, scorings = SyntheticEngine(settings), work(count)
    started = time.monotonic()
    score_all(engine, scorings)
    took = time.monotonic() - started
    assert seconds <= took < seconds + 3
    assert engine.stats.tokens == engine.stats.computed_tokens == sum(scoring.tokens for scoring in scorings)
    assert engine.stats.branches == 2 * count
    assert engine.stats.steps >= 1


def test_time_without_work_is_lost() -> None:
    engine = SyntheticEngine(SyntheticSettings(tokens_per_second=100_000))
    late = [False]

    class Late(ListFeed):
        def take(self, tokens: int, *, wait: bool) -> Sequence[tuple[Key, Scoring]] | None:
            if not late[0]:
                late[0] = True
                time.sleep(0.3)
            return super().take(tokens, wait=wait)

    started = time.monotonic()
    list(engine.score(Late(work(100))))
    assert time.monotonic() - started >= 0.5


def test_what_is_dropped_is_not_scored_and_a_long_step_shows_signs_of_life() -> None:
    steps = 0

    def step() -> Collection[int]:
        nonlocal steps
        steps += 1
        return {0, 2} if steps >= 2 else ()

    engine = SyntheticEngine(SyntheticSettings(rate=5, step_seconds=0.05))
    assert [key for key, _ in engine.score(ListFeed(work(3), step))] == [1]
    assert steps > 4


def test_poison_kills_the_process_and_nothing_else_does() -> None:
    engine = SyntheticEngine(SyntheticSettings(poison=(7, 8)))
    harmless = [Scoring((1,), {"a": ()}, (7, 9, 8)), Scoring((1,), {"a": ()}, (8, 7))]
    assert all(isinstance(outcome, dict) for outcome in score_all(engine, harmless))
    code = (
        "from tokenreward_workers.engines import load_engine\n"
        "from tokenreward_workers.engines.base import score_all\n"
        "from tokenreward_workers.scoring import Scoring\n"
        "score_all(load_engine('synthetic', None).engine, [Scoring((1,), {'a': ()}, tuple(b'some poison here'))])\n"
    )
    environment = os.environ | {"TOKENREWARD_SYNTHETIC_POISON": "poison"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == -9


def test_a_bug_raises() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        score_all(SyntheticEngine(SyntheticSettings(bug=(5, 6))), work(1))


def test_it_uses_a_models_tokenizer_where_it_is_told_to(demo: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_SYNTHETIC_TOKENIZER", str(demo.path))
    loaded = load_engine("synthetic", None)
    assert loaded.engine.info.vocabulary == loaded.chat.tokenizer.vocabulary > 40_000
    (ids,) = loaded.chat.tokenizer.encode(["The apples are red."])
    assert len(ids) < 8
    (rows,) = score_all(loaded.engine, [Scoring((1,), {"a": ()}, tuple(ids))])
    assert isinstance(rows, dict)
    assert isinstance(rows["a"], Row)
    assert rows["a"].logprobs.shape == (len(ids),)


def test_a_rate_that_is_no_number_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENREWARD_SYNTHETIC_TOKENS_PER_SECOND", "fast")
    with pytest.raises(BadInput, match="TOKENREWARD_SYNTHETIC_TOKENS_PER_SECOND"):
        SyntheticSettings.from_environment()
