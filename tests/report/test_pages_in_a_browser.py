from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import tensorflow as tf
from browser import Page
from report_models import SCRIPT_TITLE, full_facts

import inspect_data
from components.report.render import render_report
from components.report.report_model import FACTS_FILE, REPORT_FILE, Failure, ReportModel
from pipeline.runs.index import keep_report, write_index

PHONE, DESKTOP = 390, 1280


def look_at(browser: Page, path: Path) -> None:
    """Look at a page in both widths, light and dark, and check what holds for every page."""
    shots = {}
    for width in (PHONE, DESKTOP):
        for dark in (False, True):
            browser.open(path, width=width, dark=dark)
            assert browser.complaints == []
            assert browser.requests == [path.as_uri()]
            assert browser.evaluate("document.documentElement.scrollWidth") == width
            assert browser.barriers() == []
            shots[width, dark] = shot = browser.screenshot()
            if folder := os.environ.get("SCREENSHOTS"):
                name = f"{path.stem}-{width}-{'dark' if dark else 'light'}.png"
                (Path(folder) / name).write_bytes(shot)
            assert_shows_something(shot, width)
    brightness = {dark: float(tf.reduce_mean(pixels(shots[DESKTOP, dark]))) for dark in (False, True)}
    assert brightness[False] > 200
    assert brightness[True] < 80


def pixels(shot: bytes) -> tf.Tensor:
    return tf.cast(tf.io.decode_png(shot, channels=3), tf.float32)


def assert_shows_something(shot: bytes, width: int) -> None:
    image = pixels(shot)
    assert image.shape[1] == width
    assert image.shape[0] > 500
    # In every stretch of a screen's height something is drawn.
    for start in range(0, image.shape[0] - 900, 900):
        assert float(tf.math.reduce_std(image[start : start + 900])) > 5


def test_a_page_with_hostile_titles_runs_nothing_of_them(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(render_report(full_facts(failure=Failure(step="Trainer", error=SCRIPT_TITLE))), encoding="utf-8")

    look_at(browser, path)

    assert browser.evaluate("window.owned === undefined")
    assert browser.evaluate("document.scripts.length + document.images.length") == 0
    assert SCRIPT_TITLE in browser.evaluate("document.body.innerText")


def test_the_page_over_all_runs_fits_a_phone_and_links_to_each(browser: Page, tmp_path: Path) -> None:
    for name in (
        "next-movie-default-sample-random",
        "next-movie-a-rather-long-name-of-a-configuration--shop-leave-one-out",
    ):
        folder = tmp_path / "pipelines" / name
        folder.mkdir(parents=True)
        for run in range(12):
            when = datetime(2026, 11, 1 + run, tzinfo=timezone.utc)
            keep_report(folder, f"run-{run}", "", full_facts(made_at=when, settings={"training": {"epochs": run}}))

    path = write_index(tmp_path / "pipelines")
    look_at(browser, path)

    links = browser.evaluate("[...document.links].map(link => link.href)")
    assert len(links) == 24
    assert all(Path(unquote(urlsplit(link).path)).is_file() for link in links)


def test_a_page_with_titles_without_a_blank_does_not_widen(browser: Page, tmp_path: Path) -> None:
    facts = full_facts()
    facts.data.splits[0].top_labels[0].title = "A" * 200
    facts.samples[0].history[-1] = "B" * 200
    facts.data_gate.distances["C" * 200] = 0.1
    path = tmp_path / "long.html"
    path.write_text(render_report(facts), encoding="utf-8")

    look_at(browser, path)


def heights(browser: Page) -> dict[str, int]:
    """Return how high the content of each folding section is on the screen."""
    return browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.fold > details > div')]"
        ".map(part => [part.id, part.checkVisibility({contentVisibilityAuto: true}) ? part.offsetHeight : 0]))"
    )


def test_sections_fold_on_a_phone_lie_open_on_a_desk_and_open_when_a_link_leads_there(
    browser: Page, tmp_path: Path
) -> None:
    path = tmp_path / "folded.html"
    path.write_text(render_report(full_facts()), encoding="utf-8")

    browser.open(path, width=DESKTOP)
    on_a_desk = heights(browser)
    browser.open(path, width=PHONE)
    on_a_phone = heights(browser)
    browser.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    browser.evaluate("document.querySelector('nav a[href=\"#data\"]').click()")
    after_a_click = heights(browser)

    assert len(on_a_desk) == 8
    assert all(on_a_desk.values())
    assert not any(on_a_phone.values())
    assert [name for name, height in after_a_click.items() if height] == ["data"]
    heading = "document.querySelector('#data').parentElement.querySelector('h2').getBoundingClientRect()"
    assert 0 <= browser.evaluate(f"{heading}.top") < browser.evaluate("innerHeight")


def test_a_wide_table_scrolls_in_its_own_box_on_a_phone(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "wide.html"
    path.write_text(render_report(full_facts()), encoding="utf-8")

    browser.open(path, width=PHONE)

    box = "document.querySelector('#metrics .scroll')"
    assert browser.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    assert browser.evaluate("document.documentElement.scrollWidth") == PHONE
    links = "[...document.querySelectorAll('nav a')].map(link => link.getBoundingClientRect())"
    assert browser.evaluate(f"{links}.every(box => box.left >= 0 && box.right <= innerWidth && box.height >= 36)")


@pytest.mark.slow
def test_the_page_of_a_real_run_shows_the_figures_of_its_artifacts(browser: Page, sample_run: Any) -> None:
    path = Path(sample_run.paths.metadata).parent / REPORT_FILE
    facts = ReportModel.model_validate_json((sample_run.artifact("RunReport", "report") / FACTS_FILE).read_text())

    look_at(browser, path)

    shown = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#metrics tbody tr')]"
        ".map(row => [row.cells[0].innerText, row.cells[1].innerText]))"
    )
    assert shown == {
        row.label: f"{row.model:.4f}" + ("" if row.low is None else f"\n{row.low:.4f} to {row.high:.4f}")
        for row in facts.metrics
    }
    steps = browser.evaluate("[...document.querySelectorAll('#steps tbody th')].map(cell => cell.textContent)")
    assert steps == [step.name for step in sample_run.record.steps]
    browser.open(path, width=PHONE)
    # It had 10,663 before sections were folded.
    assert browser.evaluate("document.documentElement.scrollHeight") < 5_000


@pytest.mark.slow
@pytest.mark.parametrize("command", [["show"], ["compare"], ["validate", "--infer"]], ids=lambda command: command[0])
def test_the_pages_about_the_data_show_tfdvs_figures(
    browser: Page, sample_run: Any, tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / f"{command[0]}.html"

    assert inspect_data.main([*command, "--work-dir", str(sample_run.work_dir), "--html", str(path)]) == 0

    look_at(browser, path)
    examples = browser.evaluate(
        "[...document.querySelectorAll('#overview tbody tr')].find(row => row.cells[0].innerText === 'examples')"
        ".innerText.split(/\\s+/)"
    )
    assert examples == ["examples", "21,388", "2,377"]
