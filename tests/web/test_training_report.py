"""The training report in a real browser: on a phone, and in the dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tokenreward_trainer.report.training_report import write_report
from tokenreward_trainer.training.held_out import Outcome
from tokenreward_trainer.training.run_record import RunRecord, ShownPair, ShownResponse


def record(name: str, offset: float) -> RunRecord:
    log = [{"step": step, "loss": 0.7 - step / 100 + offset, "eval_loss": 0.69} for step in range(1, 9)]
    words = ["The", " answer", " is", " seventeen", ".", " Supercalifragilisticexpialidocious" * 3]
    values = [0.1, -0.2, 0.3, -0.4, 0.0, 0.2]
    response = ShownResponse("chosen", words, values, [0.0] * 6, values, [False, False, False, True, False, False])
    options = {"method": "dpo", "beta": 0.1, "learning_rate": 5e-7}
    return RunRecord(
        name=name,
        options=options,
        labels="the file's own",
        provenance=None,
        log=log,
        seconds=3.0,
        pairs=8,
        layout="packed",
        examples=[ShownPair("one", "What is it?", [response])],
        outcomes=[Outcome(1.0, 0.2)] * 12,
    )


@pytest.fixture
def report(tmp_path: Path) -> str:
    """The address of a report of two runs."""
    write_report(tmp_path / "report.html", [record("DPO", 0.0), record("DPO-REG", 1e-5)])
    return (tmp_path / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_as_wide_as_the_screen_and_its_pictures_are_drawn(
    scheme: str, width: int, browser: Browser, report: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(report)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.locator("img").count() == 2
    assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    assert page.locator(".conclusion").first.inner_text().startswith("On 12 held-out pairs, DPO-REG prefers")
    assert page.locator(".wrong").count() == 3  # In the labels, and in what each run learned.
    context.close()


def test_the_pictures_ink_is_light_in_the_dark(browser: Browser, report: str) -> None:
    """The picture's own darkest and lightest dots, as the browser draws them on the page."""

    def brightness(scheme: str) -> float:
        context = browser.new_context(viewport={"width": 900, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(report)
        found = page.evaluate(
            """async () => {
                const image = document.images[0]; await image.decode();
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [600, 460];
                const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 600, 460);
                const data = context.getImageData(0, 0, 600, 460).data; let sum = 0, count = 0;
                for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && data[i] === data[i + 1])
                    { sum += data[i]; count += 1; }
                return sum / count;
            }"""
        )
        context.close()
        return float(found)

    assert brightness("light") < 100 < 160 < brightness("dark")
