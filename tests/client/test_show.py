"""The heat map: cells, scale, terminal and page, and text that would like to do harm."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.harness.stack import Stack
from tests.support.fake_service import FakeService
from tests.support.staged_server import PROVENANCE, Staged, problem, reply
from tests.support.staged_server import job as staged_job
from tokenreward import BadInput, cli, label_dataset
from tokenreward.html.code_spans import code_spans
from tokenreward.html.escaping import visible
from tokenreward.schema import ItemFailure, ItemResult
from tokenreward.show.cells import Cell, cells
from tokenreward.show.page import page
from tokenreward.show.rows import ShownRow, shown_rows
from tokenreward.show.scale import Scale
from tokenreward.show.terminal import draw

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" \' x=',
    "ansi": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "carriage": "all is well\rrm -rf",
    "bidi": "abc\u202edcb\u2066\u200f",
    "zero-width": "a\u200bb\u2060c\ufeff",
    "separator": "a\u2028b\u2029c\x85d",
    "markup": "[bold red]x[/] :smile: [link=http://evil]y[/link]",
    "entity": "&lt;b&gt; &amp;",
    "nul": "a\x00b",
}
OUR_TAGS = {"html", "head", "meta", "title", "style", "body", "header", "main", "article", "section"}
OUR_TAGS |= {"h1", "h2", "h3", "p", "div", "span", "fieldset", "label", "input"}


def labeled_row(text: str, **more: Any) -> dict[str, Any]:
    """One token a character, rewards that rise from -0.5 to 0.5, and an end-of-turn token."""
    n = len(text)
    return {
        "prompt": "p",
        "response": text,
        "token_ids": list(range(n + 1)),
        "token_rewards": [i / n - 0.5 for i in range(n)] + [0.0],
        "token_error": None,
        "tokens": [*text, "<|im_end|>"],
        "token_offsets": [[i, i + 1] for i in range(n)] + [[n, n]],
        **more,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    meta = {"provenance": PROVENANCE.model_dump(mode="json")}
    path.with_name(path.name + ".meta.json").write_text(json.dumps(meta))
    return path


def nobody(_: list[dict[str, Any]]) -> Any:
    raise AssertionError("the service was asked")


def shown(tmp_path: Path, *rows: dict[str, Any]) -> list[ShownRow]:
    return shown_rows(write(tmp_path / "labeled.jsonl", list(rows)), 0, 100, nobody)


def terminal(rows: list[ShownRow], *, colour: bool, width: int = 80) -> str:
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=colour, color_system="truecolor" if colour else None, width=width, no_color=not colour
    )
    draw(console, rows, {"provenance": PROVENANCE.model_dump(mode="json")})
    return file.getvalue()


class Elements(HTMLParser):
    """What a browser would make of a page: tags with attributes, and the text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_response_with_ids_of_its_own_and_no_rewards_is_drawn_without_asking(tmp_path: Path) -> None:
    row = labeled_row("much too long", token_rewards=None, token_error="too_long: 9000 tokens")
    del row["tokens"], row["token_offsets"]
    (drawn,) = shown(tmp_path, row)
    assert drawn.responses[0].error == "too_long: 9000 tokens"


def test_tokens_that_share_a_character_share_a_cell() -> None:
    drawn = cells(
        "a🌙b", ["a", "\ufffd", "\ufffd", "b", "</s>"], [(0, 1), (1, 2), (1, 2), (2, 3), (3, 3)], [1, 2, 4, 5, 6]
    )
    assert drawn == [Cell("a", (1,)), Cell("🌙", (2, 4)), Cell("b", (5,)), Cell("</s>", (6,), special=True)]
    assert drawn[1].reward == 3


def test_text_between_and_behind_tokens_is_drawn_without_a_reward() -> None:
    assert cells("a  b!", ["a", "b"], [(0, 1), (3, 4)], [1, 2]) == [
        Cell("a", (1,)),
        Cell("  "),
        Cell("b", (2,)),
        Cell("!"),
    ]


def test_without_usable_offsets_every_token_is_a_cell() -> None:
    tokens = [Cell("x", (1,)), Cell("y", (2,))]
    assert cells(None, ["x", "y"], None, [1, 2]) == tokens
    assert cells("x", ["x", "y"], [(0, 1), (1, 9)], [1, 2]) == tokens
    assert cells("xy", ["x", "y"], [(1, 2), (0, 0)], [1, 2]) == tokens


def test_the_scale_ends_where_most_rewards_do() -> None:
    scale = Scale.of([0.1] * 99 + [0.5])
    assert scale.end == 0.1
    assert [scale.level(r) for r in (-0.5, -0.1, -0.06, 0.0, 0.01, 0.04, 0.5)] == [-3, -3, -2, 0, 0, 1, 3]
    assert Scale.of([]).end == Scale.of([1e-9]).end > 0


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("colour", [True, False])
def test_hostile_text_reaches_a_terminal_as_text(tmp_path: Path, text: str, colour: bool) -> None:
    rows = shown(tmp_path, labeled_row(text, id=text, prompt=text), {**labeled_row(text), "token_ids": None})
    said = terminal(rows, colour=colour)
    ours = re.sub(r"\x1b\[[0-9;]*m", "", said) if colour else said
    assert all(c == "\n" or c.isprintable() for c in ours)
    said.encode()
    if not colour and text.isprintable():
        assert f"prompt  {text}\n" in said


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_reaches_a_page_as_text(tmp_path: Path, text: str) -> None:
    failed = {**labeled_row(text), "token_ids": None, "token_error": text}
    document = page(shown(tmp_path, labeled_row(text, id=text, prompt=text), failed), {}, text)
    document.encode()
    found = Elements(document)
    assert {tag for tag, _ in found.tags} <= OUR_TAGS
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    assert all(c in "\n\t" or c.isprintable() for c in found.text)
    assert visible(text) in found.text


def test_half_a_surrogate_pair_is_shown_as_what_it_is(tmp_path: Path) -> None:
    rows = shown(tmp_path, labeled_row("ab", id="a\ud83db"))
    assert "a<U+D83D>b" in terminal(rows, colour=False)
    assert "a&lt;U+D83D&gt;b" in page(rows, {}, "t")


def test_a_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    document = page(shown(tmp_path, labeled_row("ab")), {}, "t")
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img", document)
    assert "default-src 'none'" in document
    assert "color-scheme: light dark" in document


def test_a_page_says_every_exact_reward_to_mouse_and_keyboard(tmp_path: Path) -> None:
    tokens = [a for tag, a in Elements(page(shown(tmp_path, labeled_row("abcd")), {}, "t")).tags if "data-reward" in a]
    assert [a["data-reward"] for a in tokens] == ["-0.5000", "-0.2500", "+0.0000", "+0.2500", "+0.0000"]
    assert all(a["tabindex"] == "0" for a in tokens)
    assert [a["class"] for a in tokens] == ["t down", "t down", "t up", "t up", "t up special"]


def test_cjk_emoji_and_right_to_left_text_stay_themselves(tmp_path: Path) -> None:
    for text in ("早上好", "おはよう 🌙", "שלום", "naïve é"):
        rows = shown(tmp_path, labeled_row(text, prompt=text))
        assert f"prompt  {text}\n" in terminal(rows, colour=False)
        assert text in Elements(page(rows, {}, "t")).text


def test_without_colour_signs_tell_strength(tmp_path: Path) -> None:
    rows = shown(tmp_path, labeled_row("abc d", token_rewards=[-0.5, -0.2, 0.0, 0.2, 0.5, 0.0]))
    said = terminal(rows, colour=False)
    assert "[---a][-b]c[+ ][+++d]<|im_end|>" in said
    assert "response  6 tokens, sum +0.00, mean +0.000" in said
    assert "hurts  [---] -0.50  [--] -0.33  [-] -0.17  [+] +0.17  [++] +0.33  [+++] +0.50  helps" in said
    assert "\x1b" not in said


def test_colours_are_backgrounds_that_the_colour_blind_tell_apart(tmp_path: Path) -> None:
    said = terminal(shown(tmp_path, labeled_row("ab", token_rewards=[-0.5, 0.5, 0.0])), colour=True)
    assert "48;2;165;15;21ma" in said
    assert "48;2;8;81;156mb" in said


@pytest.mark.parametrize("system", ["standard", "256", "truecolor"])
def test_every_strength_looks_different_in_every_terminal(tmp_path: Path, system: Any) -> None:
    rewards = [-0.5, -0.33, -0.17, 0.17, 0.33, 0.5, 0.0]
    rows = shown(tmp_path, labeled_row("abcdef", token_rewards=rewards))
    file = io.StringIO()
    draw(Console(file=file, force_terminal=True, color_system=system, width=80, no_color=False), rows, {})
    styles = re.findall(r"\x1b\[([0-9;]+)m[a-f]\x1b\[0m", file.getvalue())
    assert len(styles) == len(set(styles)) == 6


def test_a_line_end_that_is_a_token_is_seen(tmp_path: Path) -> None:
    rows = shown(tmp_path, labeled_row("a\nb", token_rewards=[0.0, -0.5, 0.0, 0.0]))
    assert "a[---⏎]\nb" in terminal(rows, colour=False)
    assert "↵\n</span>" in page(rows, {}, "t")


def test_chosen_stands_beside_rejected_where_there_is_room(tmp_path: Path) -> None:
    row = {"prompt": "p"}
    for side, text in (("chosen", "good"), ("rejected", "bad")):
        labels = labeled_row(text)
        row |= {side: text} | {f"{side}_{k}": v for k, v in labels.items() if k.startswith("token")}
    rows = shown(tmp_path, row)
    narrow, wide = terminal(rows, colour=True), terminal(rows, colour=True, width=140)
    assert not any("chosen" in line and "rejected  " in line for line in narrow.splitlines()[:-5])
    assert any("chosen  5 tokens" in line and "rejected  4 tokens" in line for line in wide.splitlines())
    assert "chosen - rejected: -0.00" in wide or "chosen - rejected: +0.00" in wide


def test_a_file_without_tokens_is_shown_with_the_services_help(
    service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"prompt": "p", "chosen": "yes", "rejected": "no"}) + "\n")
    for tokens in (True, False):
        out = tmp_path / f"out-{tokens}.jsonl"
        label_dataset(source, out, url=service.url, tokens=tokens)
        assert cli.main(["show", str(out), "--url", service.url if not tokens else "http://127.0.0.1:9"]) == 0
        monkeypatch.setenv("NO_COLOR", "1")
        assert "chosen  3 tokens" in capsys.readouterr().out
    assert cli.main(["show", str(out), "--url", "http://127.0.0.1:9"]) == 1
    assert "label with --tokens, or start the service" in capsys.readouterr().err


def written_by(path: Path, head: str | None) -> Path:
    """A labeled row without the texts of its tokens, by an estimator whose template the service has no default for."""
    labeled = write(path, [{"prompt": "p", **scored("ab")}])
    fingerprint = PROVENANCE.fingerprint.model_copy(update={"head": head})
    update = {"fingerprint": fingerprint, "estimator": "z_word", "template": "reference"}
    meta = {"provenance": PROVENANCE.model_copy(update=update).model_dump(mode="json")}
    path.with_name(path.name + ".meta.json").write_text(json.dumps(meta))
    return labeled


@pytest.mark.parametrize(("head", "estimator"), [(None, "surprisal"), ("token_classifier", "tlcr")])
def test_tokens_are_asked_for_with_an_estimator_that_the_model_serves_without_a_context(
    server: Staged, tmp_path: Path, capsys: pytest.CaptureFixture[str], head: str | None, estimator: str
) -> None:
    told = {"index": 0, "token_ids": [97, 98], "rewards": [0.0, 0.0], "tokens": ["a", "b"], "offsets": [[0, 1], [1, 2]]}
    provenance = PROVENANCE.model_dump(mode="json")
    server.stage(reply(200, {"job": staged_job(total=1), "results": [told], "provenance": provenance}))
    assert cli.main(["show", str(written_by(tmp_path / "labeled.jsonl", head)), "--url", server.url]) == 0
    assert "response  2 tokens, sum +0.20" in capsys.readouterr().out
    asked_for = json.loads(server.seen[0].body)
    assert (asked_for["template"], asked_for["estimator"]) == ("plain", estimator)


def test_a_service_that_refuses_or_cannot_read_the_items_is_told_as_what_it_is(
    server: Staged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labeled = written_by(tmp_path / "labeled.jsonl", None)
    wrong = {"index": 0, "error": {"code": "invalid_item", "message": "id 98 is unknown"}}
    provenance = PROVENANCE.model_dump(mode="json")
    answer = {"job": staged_job(total=1), "results": [wrong], "provenance": provenance}
    server.stage(problem(422, "No such model"), reply(200, answer))
    assert cli.main(["show", str(labeled), "--url", server.url]) == 1
    assert "label with --tokens, or start the service" in capsys.readouterr().err
    assert cli.main(["show", str(labeled), "--url", server.url]) == 0
    assert "the service cannot say its tokens: id 98 is unknown" in " ".join(capsys.readouterr().out.split())


class Service:
    """A service that knows ids only, and counts what it is asked."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.items: list[dict[str, Any]] = []

    def __call__(self, items: list[dict[str, Any]]) -> list[ItemResult]:
        self.items += items
        return [self.answer(number, item) for number, item in enumerate(items)]

    def answer(self, number: int, item: dict[str, Any]) -> ItemResult:
        ids = list(item["token_ids"])
        if 13 in ids:
            return ItemResult(index=number, error=ItemFailure(code="too_long", message="9 tokens, the model takes 8"))
        if 14 in ids:
            return ItemResult(index=number, token_ids=[1], rewards=[0.0], tokens=["x"], offsets=[(0, 1)])
        spelled = [chr(token) for token in ids]
        spans = [(n, n + 1) for n in range(len(ids))]
        return ItemResult(index=number, token_ids=ids, rewards=[0.0] * len(ids), tokens=spelled, offsets=spans)


def scored(text: str, ids: list[int] | None = None, side: str = "", **more: Any) -> dict[str, Any]:
    """The columns of one labeled response without the texts of its tokens."""
    ids = [ord(character) for character in text] if ids is None else ids
    start = f"{side}_" if side else ""
    labels = {start + "token_ids": ids, start + "token_rewards": [0.1] * len(ids), start + "token_error": None}
    return {side or "response": text, **labels, **more}


def asked(tmp_path: Path, service: Service, *rows: dict[str, Any]) -> list[ShownRow]:
    labeled = write(tmp_path / "labeled.jsonl", [{"prompt": "p", **row} for row in rows])
    return shown_rows(labeled, 0, 100, service)


def test_the_service_is_asked_with_the_ids_that_were_rewarded(tmp_path: Path) -> None:
    service = Service()
    (row,) = asked(tmp_path, service, scored("Hello"))
    assert service.items == [{"prompt": "p", "token_ids": [72, 101, 108, 108, 111]}]
    assert [cell.text for cell in row.responses[0].cells] == list("Hello")


def test_one_call_asks_for_both_sides_of_every_row_that_needs_it(tmp_path: Path) -> None:
    calls = []
    service = Service()

    def ask(items: list[dict[str, Any]]) -> list[ItemResult]:
        calls.append(len(items))
        return service(items)

    pair = scored("yes", side="chosen") | scored("no", side="rejected", rejected_finished=False)
    rows = [{"prompt": "p", **pair}, {"prompt": "p", **pair}]
    drawn = shown_rows(write(tmp_path / "labeled.jsonl", rows), 0, 100, ask)
    assert calls == [4]
    assert [item.get("finished", True) for item in service.items] == [True, False, True, False]
    assert [[response.side for response in row.responses] for row in drawn] == [["chosen", "rejected"]] * 2


def test_ids_that_spell_something_else_than_the_text_are_drawn_as_what_they_spell(tmp_path: Path) -> None:
    (row,) = asked(tmp_path, Service(), scored("Hello", [74, 101, 108, 108, 121]))
    assert "".join(cell.text for cell in row.responses[0].cells) == "Jelly"


def test_a_text_of_which_the_ids_spell_the_beginning_keeps_its_end(tmp_path: Path) -> None:
    (row,) = asked(tmp_path, Service(), scored("Hi  ", [72, 105]))
    assert [(cell.text, cell.rewards) for cell in row.responses[0].cells] == [("H", (0.1,)), ("i", (0.1,)), ("  ", ())]


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (13, "the service cannot say its tokens: 9 tokens, the model takes 8"),
        (14, "the service does not know these tokens"),
    ],
)
def test_a_response_that_the_service_cannot_match_is_drawn_as_ids_in_its_place(
    tmp_path: Path, odd: int, says: str
) -> None:
    rows = asked(tmp_path, Service(), scored("ab"), scored("cd", [99, odd]), scored("ef"))
    assert [cell.text for cell in rows[1].responses[0].cells] == ["99 ", f"{odd} "]
    for text in (terminal(rows, colour=False), Elements(page(rows, {}, "t")).text):
        assert f"2 tokens, sum +0.20, mean +0.100; shown as ids, {says}" in text
    assert [row.responses[0].note for row in rows] == [None, says, None]


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ({"response": "r"}, "row 1: no labels"),
        ({"chosen": "r", "token_ids": [1]}, "row 1: no column 'rejected'"),
        (scored("ab") | {"token_rewards": [0.1]}, "differ in length"),
        (scored("ab") | {"token_rewards": "high"}, "differ in length"),
        (scored("ab") | {"token_rewards": ["a", "b"]}, "a list of numbers is expected"),
        (scored("ab") | {"tokens": ["a"]}, "differ in length"),
    ],
)
def test_an_odd_row_is_reported_in_its_place_and_hides_no_other(tmp_path: Path, odd: dict[str, Any], says: str) -> None:
    rows = asked(tmp_path, Service(), scored("ab"), {"id": "odd", **odd}, scored("cd"))
    assert [row.name for row in rows] == ["0", "odd", "2"]
    assert says in str(rows[1].responses[0].error)
    assert [bool(row.responses[0].rewards) for row in rows] == [True, False, True]
    assert says in terminal(rows, colour=False)
    assert says in Elements(page(rows, {}, "t")).text


def test_rows_with_ids_of_their_own_are_shown_by_the_real_service(
    synthetic: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, html = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "page.html"
    rows = [
        {"prompt": "Greet.", "response": "Hello", "token_ids": [72, 101, 108, 108, 111, 258]},
        {"prompt": "Greet.", "response": "Hi", "token_ids": [72, 105]},
        {"prompt": "Greet.", "response": "Hey", "finished": False},
        {"prompt": "Greet.", "response": "Oh"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    label_dataset(source, out, url=synthetic.url)
    assert cli.main(["show", str(out), "--url", synthetic.url]) == 0
    said = capsys.readouterr().out
    tokens = [6, 2, 3, 3]
    assert re.findall(r"response  (\d+) tokens", said) == [str(count) for count in tokens]
    assert "shown as ids" not in said
    assert cli.main(["show", str(out), "--html", str(html), "--url", synthetic.url]) == 0
    spans = [attributes for tag, attributes in Elements(html.read_text()).tags if "data-reward" in attributes]
    assert len(spans) == sum(tokens)


def test_parquet_is_shown_too(service: FakeService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": "p", "response": f"r{i}"} for i in range(30)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    label_dataset(tmp_path / "in.parquet", out, url=service.url, tokens=True)
    assert cli.main(["show", str(out), "--from", "25", "--html", str(tmp_path / "page.html")]) == 0
    assert "page.html: 5 rows" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_text().count("<article>") == 5
    assert cli.main(["show", str(out)]) == 0
    assert "rows 0 to 19; --from 20 goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p", "response": "r"}, "no labels"),
        (labeled_row("ab", token_rewards=[0.1]), "differ in length"),
    ],
)
def test_a_file_that_cannot_be_shown_says_why(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        shown(tmp_path, row)


def test_a_file_that_is_not_there_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(tmp_path / "none.jsonl")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_blanks_before_a_word_are_drawn_beside_its_colour(tmp_path: Path) -> None:
    row = labeled_row("a b") | {"token_ids": [1, 2, 3], "token_rewards": [0.2, 0.2, 0.0], "tokens": ["a", " b", "</s>"]}
    document = page(shown(tmp_path, row | {"token_offsets": [[0, 1], [1, 3], [3, 3]]}), {}, "t")
    assert re.search(r">a</span> <span [^>]*>b</span>", document)


def test_the_colours_of_a_page_are_the_same_in_every_page_until_they_are_stretched(tmp_path: Path) -> None:
    document = page(shown(tmp_path, labeled_row("ab", token_rewards=[0.05, -0.01, 0.0])), {}, "t")
    assert 'style="--f:0.20;--o:1.00"' in document
    assert 'style="--f:0.04;--o:0.50"' in document
    assert "+0.25" in document
    assert "full colour at ±0.02" in document


def test_code_and_segments_are_marked(tmp_path: Path) -> None:
    segments = [{"start": 0, "end": 2, "reward": 0.1}, {"start": 3, "end": 5, "reward": -0.1}]
    (row,) = shown(tmp_path, labeled_row("ab cd", segments=segments))
    assert [cell.text for cell in row.responses[0].cells if cell.begins] == ["a", "c"]
    (row,) = shown(tmp_path, labeled_row("Do:\n```\nx\n```"))
    assert "".join(cell.text for cell in row.responses[0].cells if cell.code) == "```\nx\n```"
    assert "t down code" in page([row], {}, "t")


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Plain words.", []),
        ("Use\n```py\nx\n```\nnow", [(4, 15)]),
        ("```\nnever closed", [(0, 16)]),
        ("def f():\n    return 1\n", [(0, 22)]),
        ("I return it; for now.\n  Yours", []),
        ("- one\n- two", []),
    ],
)
def test_code_is_told_from_words(text: str, spans: list[tuple[int, int]]) -> None:
    assert code_spans(text) == spans
