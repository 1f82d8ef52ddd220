"""The page of `serve.py` in a real browser: by keyboard, on a phone, with nothing from elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page
from playwright.sync_api import expect

from serving.recommender import Recommender
from serving.versions import publish

sys.path.insert(0, str(Path(__file__).parent))
from server_process import RunningServer, running

pytestmark = pytest.mark.slow

PHONE, DESKTOP = 390, 1280
FIRST, SECOND = "The Northern Winter (2013)", "The Forgotten Train (1984)"


@pytest.fixture(scope="module")
def server(sample_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("demo") / "next-movie-demo"
    for _ in range(2):
        publish(sample_run.model, folder, {"metrics": {"recall_at_10": 0.5}}, keep=5)
    with running("--model", str(folder)) as server:
        yield server


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def width(request: pytest.FixtureRequest) -> int:
    return request.param


def open_page(browser: Page, server: RunningServer, width: int, *, dark: bool = False) -> None:
    browser.open(f"{server.url}/", width=width, dark=dark)
    expect(browser.page.locator("#answers .card")).to_have_count(10)


def add(browser: Page, typed: str) -> None:
    """Add the first title that begins so, by keyboard alone."""
    field = browser.page.get_by_role("combobox", name="Find a movie that was watched")
    field.focus()
    browser.page.keyboard.type(typed)
    expect(browser.page.get_by_role("option").first).to_be_visible()
    browser.page.keyboard.press("ArrowDown")
    browser.page.keyboard.press("Enter")


def titles(browser: Page, where: str = "#answers") -> list[str]:
    expect(browser.page.locator("#answers")).to_have_attribute("aria-busy", "false")
    return browser.page.locator(f"{where} .title").all_inner_texts()


def check(browser: Page, server: RunningServer, width: int, name: str) -> None:
    """Check what holds for every state of the page, and keep a picture where one is wanted."""
    assert browser.complaints == []
    assert {request for request in browser.requests if not request.startswith((server.url, "data:"))} == set()
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.barriers() == []
    if folder := os.environ.get("SCREENSHOTS"):
        (Path(folder) / f"demo-{name}-{width}.png").write_bytes(browser.screenshot())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_begins_with_what_is_popular_and_says_which_model_is_asked(
    browser: Page, server: RunningServer, width: int, dark: bool
) -> None:
    open_page(browser, server, width, dark=dark)
    expect(browser.page.get_by_role("status").filter(has_text="popular")).to_have_text(
        "Nothing watched yet: this is what is popular"
    )
    said = browser.page.locator("#model").inner_text()
    assert said.startswith("Version 2 of next-movie-demo · published 20")
    assert said.endswith("· recall@10 0.5000 · 160 movies")
    browser.page.locator("summary").click()
    check(browser, server, width, f"begin-{'dark' if dark else 'light'}")


def test_a_history_is_built_by_keyboard_and_answered_as_the_recommender_answers(
    browser: Page, server: RunningServer, sample_run: Any, width: int
) -> None:
    open_page(browser, server, width)
    add(browser, "northern winter")
    add(browser, "forgotten tr")
    recommender = Recommender.load(sample_run.model)
    history = [recommender.titles.find_one(title).id for title in (FIRST, SECOND)]
    best = recommender.recommend(history, 10)
    expect(browser.page.locator("#answers .title").first).to_have_text(best[0].title)
    assert titles(browser) == [movie.title for movie in best]
    assert browser.page.locator("#answers .about").first.inner_text().endswith(f"score {best[0].score:.3f}")
    browser.page.get_by_role("button", name=f"Move {FIRST} one place later").press("Enter")
    other = recommender.recommend(history[::-1], 10)
    expect(browser.page.locator("#answers .title").first).to_have_text(other[0].title)
    assert browser.page.locator("#history li span").all_inner_texts() == [SECOND, FIRST]
    check(browser, server, width, "history")
    browser.page.get_by_role("button", name=f"Remove {SECOND}").press("Enter")
    expect(browser.page.locator("#answers .title").first).to_have_text(recommender.recommend(history[:1], 1)[0].title)


def test_the_address_keeps_the_history(browser: Page, server: RunningServer) -> None:
    open_page(browser, server, DESKTOP)
    add(browser, "northern winter")
    add(browser, "forgotten tr")
    expect(browser.page.locator("#history li")).to_have_count(2)
    kept = browser.page.url
    answer = titles(browser)
    open_page(browser, server, DESKTOP)
    assert browser.page.locator("#history li").count() == 0
    browser.open(kept, width=DESKTOP)
    expect(browser.page.locator("#history li span")).to_have_text([FIRST, SECOND])
    expect(browser.page.locator("#answers .title").first).to_have_text(answer[0])
    assert titles(browser) == answer


def test_filters_narrow_the_answer(browser: Page, server: RunningServer, width: int) -> None:
    open_page(browser, server, width)
    before = titles(browser)
    browser.page.locator("summary").click()
    browser.page.get_by_label("Drama").check()
    browser.page.get_by_label("from").fill("1990")
    browser.page.keyboard.press("Tab")
    expect(browser.page.locator("#answers .title").first).not_to_have_text(before[0])
    every = "[...document.querySelectorAll('#answers .about')].every(about => about.innerText.includes('Drama'))"
    browser.page.wait_for_function(every)
    years = [int(title[-5:-1]) for title in titles(browser)]
    assert min(years) >= 1990
    browser.page.get_by_label("to", exact=True).fill("1980")
    browser.page.keyboard.press("Tab")
    expect(browser.page.locator("#state")).to_have_text("the years 1990 to 1980 are none")
    check(browser, server, width, "filters")


def test_similar_movies_open_below_and_close(browser: Page, server: RunningServer, width: int) -> None:
    open_page(browser, server, width)
    title = titles(browser)[0]
    browser.page.get_by_role("button", name=f"Similar to {title}").press("Enter")
    expect(browser.page.locator("#similar-list .card")).to_have_count(12)
    assert browser.page.locator("#similar-title").inner_text() == f"Like {title}"
    assert title not in titles(browser, "#similar-list")
    check(browser, server, width, "similar")
    browser.page.get_by_role("button", name="Close").press("Enter")
    expect(browser.page.locator("#similar")).to_be_hidden()


def test_two_versions_stand_side_by_side(browser: Page, server: RunningServer, width: int) -> None:
    open_page(browser, server, width)
    browser.page.get_by_label("beside").select_option("version 1")
    expect(browser.page.locator("#answers h3")).to_have_text(
        ["Version 2, 0 of 10 not in the other", "Version 1, 0 of 10 not in the other"]
    )
    assert browser.page.locator("#answers .card").count() == 20
    check(browser, server, width, "compare")


def test_a_title_that_is_like_none_is_said_to_be_so(browser: Page, server: RunningServer) -> None:
    open_page(browser, server, DESKTOP)
    browser.page.get_by_role("combobox", name="Find a movie that was watched").fill("<b>zzzz</b>")
    expect(browser.page.locator("#nothing-found")).to_have_text('No title is like "<b>zzzz</b>"')


def test_a_server_that_went_away_is_told(browser: Page, server: RunningServer) -> None:
    open_page(browser, server, DESKTOP)
    browser.page.context.set_offline(True)
    try:
        browser.page.get_by_role("button", name="Watched").first.click()
        expect(browser.page.locator("#state")).to_have_text("the server does not answer")
    finally:
        browser.page.context.set_offline(False)


def test_the_reference_of_the_api_needs_nothing_from_elsewhere(browser: Page, server: RunningServer) -> None:
    browser.open(f"{server.url}/docs", width=DESKTOP)
    expect(browser.page.get_by_text("What comes after a history")).to_be_visible()
    assert browser.complaints == []
    assert all(request.startswith((server.url, "data:")) for request in browser.requests)
