"""The checkpoints before a judge: who is compared with whom, by which length control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_trainer.evaluation.answers import Answers
from tokenreward_trainer.evaluation.judging.baseline_answers import read_reference
from tokenreward_trainer.evaluation.judging.judge import Judging
from tokenreward_trainer.evaluation.judging.judgements import AnswerPair, judge_pairs
from tokenreward_trainer.evaluation.judging.length_control import Floats, Gamed, difficulties_of, read_gamed
from tokenreward_trainer.evaluation.judging.winrate import formula_of, win_rate
from tokenreward_trainer.evaluation.output.formats import text_of
from tokenreward_trainer.evaluation.result import Judged
from tokenreward_trainer.resumable.segments import read_rows
from tokenreward_trainer.scorers.final_answer import answer_of


@dataclass(frozen=True)
class Comparisons:
    """What a judge is asked to compare.

    Attributes:
        judging: How the judge is asked.
        against: Name and answers of a reference; None for those of the first checkpoint.
        difficulties: How hard each prompt is, for the length control; None leaves that out.
        gamed: AlpacaEval's judgements of gamed baselines, for the length control; None leaves them out.
    """

    judging: Judging
    against: tuple[str, Sequence[str]] | None
    difficulties: Floats | None
    gamed: Gamed | None

    @classmethod
    def of(cls, prompts: Path, judging: Judging, reference: Path | None, gamed: Path | None) -> Comparisons:
        """Reads all files that a judge needs, before anything is sampled.

        Args:
            prompts: The file of prompts.
            judging: How the judge is asked.
            reference: A file with one answer to each prompt, or None.
            gamed: AlpacaEval's df_gamed.csv, or None.

        Raises:
            BadInput: A file cannot be used.
        """
        rows = read_rows(prompts)
        against = (
            None if reference is None else (reference.stem, [*map(answer_of, read_reference(reference, rows, prompts))])
        )
        table = None if gamed is None else read_gamed(gamed, len(rows))
        own = difficulties_of(rows, prompts)
        if table is not None and own is not None:
            raise BadInput(f"{prompts} has a column `instruction_difficulty`, and so has {gamed}: give one of them")
        return cls(judging, against, own if table is None else table.difficulties, table)

    def judge(self, answers: Sequence[Answers], out: Path, progress: bool | None) -> Judged:
        """Has the judge compare the first answer of each checkpoint to each prompt.

        Args:
            answers: The answers of each checkpoint, the baseline first.
            out: The evaluation's directory.
            progress: True always shows it, False never, None only in a terminal.

        Raises:
            BadInput: The judge refuses, or not one verdict can be used.
            ConnectionFailed: It gives no answer in time.
        """
        first, *others = answers
        name, baseline = self.against or (first.name, _texts(first))
        compared = others if self.against is None else answers
        pairs = [
            AnswerPair(one.name, text_of(row["prompt"]), answer, given)
            for one in compared
            for row, answer, given in zip(one.rows, _texts(one), baseline, strict=True)
        ]
        found = judge_pairs(pairs, self.judging, out / "judgements.jsonl", progress)
        parts = {
            one.name: slice(number * len(baseline), (number + 1) * len(baseline)) for number, one in enumerate(compared)
        }
        return Judged(
            judge=self.judging.identity,
            against=name,
            formula=formula_of(self.difficulties, self.gamed),
            rates={of: win_rate(pairs[part], found[part], self.difficulties, self.gamed) for of, part in parts.items()},
            preferences={of: [one.preference for one in found[part]] for of, part in parts.items()},
        )


def _texts(answers: Answers) -> list[str]:
    """What the judge sees and whose length counts: answers without their thoughts."""
    return [given[0].without_thought for given in answers.given]
