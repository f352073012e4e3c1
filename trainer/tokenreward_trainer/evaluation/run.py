"""The way of an evaluation: check everything, answer, score, judge, measure, write.

OUT/answers/NAME.jsonl   what each checkpoint said
OUT/scores/              what the scorers said of it
OUT/judgements.jsonl     what the judge said, if there is one
OUT/evaluation.json      the result
OUT/report.html          the same for people, with answers side by side
OUT/alpaca_eval/, OUT/arena-hard*/   the answers as those benchmarks' own tools read them
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenreward.dataset.atomic import locked, replace
from tokenreward_trainer.evaluation.answers import answers_of, check_names, identical
from tokenreward_trainer.evaluation.judging.comparisons import Comparisons
from tokenreward_trainer.evaluation.judging.judge import Judging
from tokenreward_trainer.evaluation.output.formats import write_formats
from tokenreward_trainer.evaluation.output.page import write_page
from tokenreward_trainer.evaluation.result import Evaluation
from tokenreward_trainer.evaluation.scores import check_prompts, scores_of
from tokenreward_trainer.evaluation.settings import Answering
from tokenreward_trainer.evaluation.statistics import slices_of, values_of
from tokenreward_trainer.sampling.settings import Sampling


def evaluate(
    prompts: Path,
    models: Mapping[str, str],
    out: Path,
    settings: Sampling | None = None,
    scorer: str | None = None,
    *,
    judging: Judging | None = None,
    reference: Path | None = None,
    gamed: Path | None = None,
    examples: int = 12,
    progress: bool | None = False,
) -> Evaluation:
    """Compares checkpoints, each with the first, on the prompts of a file; writes what it finds under `out`.

    Answers, scores and judgements of a former run are used again; interrupted at any moment, the same call goes on.

    Args:
        prompts: The file of prompts.
        models: Model directories by the checkpoints' names; the first is the baseline.
        out: The directory to write to.
        settings: How checkpoints answer; None is the defaults.
        scorer: A specification as `tokenreward rank` takes it; without one, lengths and finished shares are compared.
        judging: A judge that compares answers with those of the first checkpoint, or of the file `reference`.
        reference: A file with one answer to each prompt.
        gamed: AlpacaEval's df_gamed.csv, for its prompts.
        examples: Prompts that the report shows with all answers.
        progress: True always shows it, False never, None only in a terminal.

    Raises:
        BadInput: An input cannot be used.
        ConnectionFailed: The judge or the scorer gives no answer in time.
    """
    settings = settings or Answering()
    check_names(models)
    identity = check_prompts(prompts, scorer) if scorer is not None else None
    comparisons = Comparisons.of(prompts, judging, reference, gamed) if judging is not None else None
    answers = answers_of(prompts, models, out, settings, progress)
    lock = locked(out / "lock")
    try:
        write_formats(answers, out, prompts.stem)
        scores = scores_of(answers, out, scorer, progress) if scorer is not None else {}
        judged = comparisons.judge(answers, out, progress) if comparisons is not None else None
        evaluation = Evaluation(
            prompts=prompts.name,
            baseline=answers[0].name,
            models=list(models),
            n=settings.n,
            settings=settings.model_dump(exclude={"gpu_memory"}),
            scorer=identity,
            unscored={name: sum(score is None for row in rows for score in row) for name, rows in scores.items()},
            identical=identical(answers),
            slices=slices_of(answers[0].rows, values_of(answers, scores)),
            judged=judged,
        )
        with replace(out / "evaluation.json") as file:
            file.write(evaluation.to_json())
        write_page(out / "report.html", evaluation, answers, scores, examples)
    finally:
        lock.close()
    return evaluation
