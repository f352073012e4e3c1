"""The look that all of the trainer's pages share."""

from __future__ import annotations

from tokenreward.html.document import document
from tokenreward_trainer.report.page import page_of


def test_a_page_may_show_its_own_pictures_and_load_nothing() -> None:
    page = page_of("Any title", ["<p>first</p>", "<p>second</p>"])
    policy = page.partition('Content-Security-Policy" content="')[2].partition('"')[0].split("; ")
    assert "default-src 'none'" in policy
    assert "img-src data:" in policy
    assert page.index("first") < page.index("second")


def test_a_page_has_the_look_of_every_other_page() -> None:
    page = page_of("Any title", [])
    assert page.count("<style>") == 1
    assert (
        page.partition("<style>")[2].partition("</style>")[0]
        == document("", (), ()).partition("<style>")[2].partition("</style>")[0]
    )


def test_a_title_is_text_and_no_markup() -> None:
    assert "<title>&lt;b&gt;bold&lt;/b&gt;</title>" in page_of("<b>bold</b>", [])
