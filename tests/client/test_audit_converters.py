"""Other people's sets become sets of an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tokenreward import cli
from tokenreward.audit.set_files import load
from tokenreward.audit.sets import SpanItem
from tokenreward.audit.tokens import BAD, GOOD, LEFT_OUT, judged


def lines(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def converted(tmp_path: Path, kind: str, *files: str) -> list[SpanItem]:
    out = tmp_path / "out.jsonl"
    assert cli.main(["audit-set", kind, *files, "--out", str(out)]) == 0
    items = load(out).items
    assert all(isinstance(item, SpanItem) for item in items)
    return list(items)  # type: ignore[arg-type]


def texts(item: SpanItem) -> tuple[list[str], list[str]]:
    """What is marked as wrong, and what is marked as judged by nobody."""
    return [item.response[a:b] for a, b in item.bad], [item.response[a:b] for a, b in item.ignore]


def test_processbench_marks_the_earliest_wrong_step_and_leaves_out_what_follows(tmp_path: Path) -> None:
    row = {"id": "gsm8k-0", "problem": "How many?", "steps": ["One.", "Two \U0001f642. ", "Three."], "label": 1}
    right = row | {"id": "gsm8k-1", "label": -1, "final_answer_correct": True}
    wrong, fine = converted(tmp_path, "processbench", lines(tmp_path / "gsm8k.jsonl", row, right))
    assert wrong.prompt == "How many?"
    assert wrong.response == "One.\n\nTwo \U0001f642.\n\nThree."
    assert texts(wrong) == (["Two \U0001f642."], ["Three."])
    assert texts(fine) == ([], [])


def test_what_stands_between_steps_that_nobody_judged_is_not_judged_either(tmp_path: Path) -> None:
    steps = ["a", "b", "c", "d"]
    bench = {"problem": "p", "steps": steps, "label": 0}
    (item,) = converted(tmp_path, "processbench", lines(tmp_path / "gsm8k.jsonl", bench))
    assert texts(item) == (["a"], ["b\n\nc\n\nd"])
    rated = {
        "question": {"problem": "p", "pre_generated_steps": steps},
        "label": {"steps": [prm("a", 1), prm("b", -1)], "finish_reason": "found_error"},
    }
    untouched = rated | {"label": {"steps": [], "finish_reason": "found_error"}}
    first, second = converted(tmp_path, "prm800k", lines(tmp_path / "phase2_test.jsonl", rated, untouched))
    assert texts(first) == (["b"], ["c\nd"])
    assert texts(second) == ([], ["a\nb\nc\nd"])


def test_a_blank_step_has_no_span(tmp_path: Path) -> None:
    bench = [{"problem": "p", "steps": ["a", " ", "b", " "], "label": label} for label in (0, 1, 2)]
    found = converted(tmp_path, "processbench", lines(tmp_path / "gsm8k.jsonl", *bench))
    assert [texts(item) for item in found] == [(["a"], ["\n\nb\n\n"]), ([], ["b\n\n"]), (["b"], [])]
    nothing = {"completions": [], "human_completion": None, "chosen_completion": None}
    label = {"steps": [prm("a", -1), nothing, prm(" ", -1), prm("b", 1)], "finish_reason": "solution"}
    rated = {"question": {"problem": "p"}, "label": label}
    (item,) = converted(tmp_path, "prm800k", lines(tmp_path / "phase1_test.jsonl", rated))
    assert texts(item) == (["a"], [])


def prm(text: str, rating: int | None) -> dict[str, Any]:
    return {"completions": [{"text": text, "rating": rating}], "human_completion": None, "chosen_completion": 0}


def test_prm800k_takes_the_generated_solution_and_what_people_rated_of_it(tmp_path: Path) -> None:
    last = {
        "completions": [{"text": "b", "rating": -1}, {"text": "other", "rating": 0}],
        "human_completion": None,
        "chosen_completion": None,
    }
    phase2 = {
        "question": {"problem": "p", "pre_generated_steps": ["a", "b", "c"]},
        "label": {"steps": [prm("a", 0), last], "finish_reason": "found_error"},
    }
    human = {
        "completions": [{"text": "no", "rating": -1}],
        "human_completion": {"text": "mine"},
        "chosen_completion": None,
    }
    phase1 = {
        "question": {"problem": "q"},
        "label": {"steps": [prm("x", 1), human, prm("z", -1), prm("w", None)], "finish_reason": "solution"},
    }
    given_up = {"question": {"problem": "q"}, "label": {"steps": [prm("x", 1)], "finish_reason": "give_up"}}
    found = converted(tmp_path, "prm800k", lines(tmp_path / "phase2_test.jsonl", phase2, phase1, given_up))
    assert [item.response for item in found] == ["a\nb\nc", "x\nmine\nz\nw"]
    assert texts(found[0]) == (["b"], ["c"])
    assert texts(found[1]) == (["z"], ["w"])


def test_ragtruth_joins_answers_with_their_prompts_and_leaves_out_what_is_true_anyway(tmp_path: Path) -> None:
    row = {
        "id": "1",
        "source_id": "7",
        "quality": "good",
        "response": "Gaza Strip is in the East.",
        "labels": [{"start": 0, "end": 10, "text": "Gaza Strip"}, {"start": 21, "end": 25, "implicit_true": True}],
    }
    sources = lines(tmp_path / "source_info.jsonl", {"source_id": "7", "prompt": "Summarize: ..."})
    answers = lines(tmp_path / "response.jsonl", row, row | {"id": "2", "quality": "truncated"})
    (item,) = converted(tmp_path, "ragtruth", answers, sources)
    assert item.prompt == "Summarize: ..."
    assert texts(item) == (["Gaza Strip"], ["East"])
    assert item.task == ""


def test_ragtruth_names_the_kind_of_task_where_its_sources_do(tmp_path: Path) -> None:
    sources = [
        {"source_id": "7", "task_type": "Summary", "prompt": "Summarize: ..."},
        {"source_id": "8", "task_type": "QA", "prompt": "Answer: ..."},
        {"source_id": "9", "task_type": None, "prompt": "Say: ..."},
    ]
    answers = [{"id": f"a{n}", "source_id": n, "response": "Yes.", "labels": []} for n in ("8", "7", "9", "8")]
    paths = [tmp_path / name for name in ("response.jsonl", "source_info.jsonl")]
    found = converted(tmp_path, "ragtruth", lines(paths[0], *answers), lines(paths[1], *sources))
    assert [(item.prompt, item.task) for item in found] == [
        ("Answer: ...", "QA"),
        ("Summarize: ...", "Summary"),
        ("Say: ...", ""),
        ("Answer: ...", "QA"),
    ]


def test_mqm_gathers_the_lines_of_a_translation(tmp_path: Path) -> None:
    header = "system\tdoc\tseg_id\trater\tsource\ttarget\tcategory\tseverity"
    rows = [
        'A\td\t1\tr1\tGuten "Tag\t<v>Good</v> day there\tStyle\tminor',
        'A\td\t1\tr2\tGuten "Tag\tGood day <v>there</v>\tAccuracy\tMajor',
        'A\td\t1\tr2\t<v>Guten</v> "Tag\tGood day there\tSource\tMajor',
        "B\td\t1\tr1\tHallo\tHello\tno-error\tno-error",
    ]
    file = tmp_path / "mqm.tsv"
    file.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    first, second = converted(tmp_path, "mqm", str(file))
    assert first.prompt == 'Translate this text:\n\nGuten "Tag'
    assert texts(first) == (["there"], ["Good"])
    assert (second.response, texts(second)) == ("Hello", ([], []))


def test_mqm_counts_what_is_part_of_a_major_error_as_wrong(tmp_path: Path) -> None:
    rows = ["s\t<v>a b c d</v>\tminor", "s\ta <v>b</v> c d\tmajor", "s\ta b c <v>d</v>\tcritical"]
    file = tmp_path / "mqm.tsv"
    file.write_text("\n".join(["source\ttarget\tseverity", *rows]) + "\n", "utf-8")
    (item,) = converted(tmp_path, "mqm", str(file))
    assert texts(item) == (["b", "d"], ["a", "c"])


def test_mqm_leaves_no_blank_that_a_wrong_word_begins_with_to_a_minor_error(tmp_path: Path) -> None:
    rows = ["s\t<v>a b </v>c\tminor", "s\ta <v>b</v> c\tmajor"]
    file = tmp_path / "mqm.tsv"
    file.write_text("\n".join(["source\ttarget\tseverity", *rows]) + "\n", "utf-8")
    (item,) = converted(tmp_path, "mqm", str(file))
    assert texts(item) == (["b"], ["a"])
    tokens = np.array([[0, 1], [1, 3], [3, 5]])  # `a`, ` b` and ` c`
    assert judged(tokens, item.bad, item.ignore).tolist() == [LEFT_OUT, BAD, GOOD]


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("processbench", '{"problem": "p", "steps": ["a"], "label": 1}', "line 1, field 'label': 1 is no step"),
        ("processbench", '{"problem": "p", "label": 1}', "line 1, field 'steps': None is not a list"),
        ("prm800k", '{"question": {}}', "line 1, field 'label': None is not an object; is this the right file?"),
        ("mqm", "a\tb\n1\n", "line 2: 1 columns, and the header has 2"),
        ("ragtruth", "{}", "ragtruth needs 2 files: response.jsonl, source_info.jsonl"),
        ("nope", "{}", "unknown set 'nope'"),
        ("prm800k", "", "it has no response that can be audited"),
    ],
)
def test_what_is_no_such_file_is_named(
    tmp_path: Path, kind: str, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("a.tsv" if kind == "mqm" else "a.jsonl")
    path.write_text(content)
    assert cli.main(["audit-set", kind, str(path), "--out", str(tmp_path / "out.jsonl")]) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
