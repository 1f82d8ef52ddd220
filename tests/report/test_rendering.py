from __future__ import annotations

import html
import importlib.metadata
import platform
import re
import shlex
from html.parser import HTMLParser

import pytest
from report_models import SCRIPT_TITLE, WHEN, full_facts

from components.finding import Finding
from components.naming import STEPS
from components.report import charts
from components.report.provenance import describe_process
from components.report.render import render_report
from components.report.report_model import (
    DataGateFacts,
    DecisionFacts,
    DifferenceFacts,
    Failure,
    PastRun,
    ReportModel,
    StepFacts,
    TopMovie,
)
from components.report.step_graph import stages_of


class Outline(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        # Cells of a table stand apart without a blank between them.
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(full_facts())


def test_a_title_with_a_script_in_it_is_shown_and_is_no_element(page: str) -> None:
    outline = Outline(page)

    assert SCRIPT_TITLE in outline.text
    assert outline.all("script") == []
    assert outline.all("img") == []


def test_the_page_asks_for_nothing_from_anywhere(page: str) -> None:
    outline = Outline(page)

    loading = [
        attributes[name]
        for _, attributes in outline.tags
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster")
        if attributes.get(name)
    ]
    assert all(target.startswith(("#", "data:")) for target in loading)
    assert "@import" not in page
    assert "@font-face" not in page
    assert not re.search(r"url\((?!#)", page)


def test_headings_tables_and_charts_can_be_read_by_a_machine_that_speaks(page: str) -> None:
    outline = Outline(page)

    assert len(outline.all("h1")) == 1
    assert len(outline.all("h2")) >= 8
    assert all(header.get("scope") in {"col", "row"} for header in outline.all("th"))
    drawings = outline.all("svg")
    assert len(drawings) >= 7
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 20 for drawing in drawings)
    assert outline.all("html")[0]["lang"] == "en"


def test_no_two_elements_share_an_id_though_many_charts_are_drawn(page: str) -> None:
    ids = [attributes["id"] for _, attributes in Outline(page).tags if attributes.get("id")]

    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_every_link_of_the_navigation_has_its_section(page: str) -> None:
    outline = Outline(page)

    ids = {attributes.get("id") for _, attributes in outline.tags}
    links = {link["href"][1:] for link in outline.all("a")}
    # Twelve sections, and from each back to the links themselves.
    assert len(links) == 13
    assert links <= ids


def test_metrics_stand_beside_what_they_are_held_against(page: str) -> None:
    text = " ".join(Outline(page).text.split())

    assert "recall@10 0.3141 0.0271 0.2618 0.3000 ≥ 0.295 passed" in text
    assert "recall@10 lift 1.2000 ≥ 1.5 failed" in text


def test_each_check_of_the_gate_says_in_a_word_whether_it_passed(page: str) -> None:
    text = " ".join(Outline(page).text.split())

    assert "failed recall@10 is 1.20 times that of recent popularity" in text
    assert "passed recall@10 differs by +0.0141 from the last blessed model's" in text
    assert "passed a fresh process loaded the export" in text


def test_the_difference_to_the_last_blessed_model_stands_with_its_interval_and_its_queries(page: str) -> None:
    assert "on the same 1,137 queries: <strong>+0.0141</strong>, 95 % interval -0.0123 to +0.0405." in page


def test_without_a_model_to_compare_with_the_reason_stands_in_the_decision() -> None:
    decision = DecisionFacts(blessed=True, no_baseline="other data (seed was 42 and is 43)")
    page = render_report(full_facts().model_copy(update={"decision": decision}))
    assert "not asked compared with none: other data (seed was 42 and is 43)" in " ".join(Outline(page).text.split())
    assert "the last blessed model&#39;s, on the same" not in page
    assert "Interval: " not in page


def test_the_summary_names_the_popularity_that_the_lift_is_over(page: str) -> None:
    assert "<dt>recall@10</dt><dd>0.3141<small>popularity 0.2618</small></dd>" in page


def test_the_movie_that_was_really_watched_next_is_marked(page: str) -> None:
    assert "Ronin ✓ watched next" in Outline(page).text


@pytest.mark.parametrize(
    ("training", "purpose"),
    [({"patience": None}, "to watch"), ({"patience": 3}, "to stop on"), ({}, "to watch")],
)
def test_the_validation_curve_says_what_its_windows_are_held_out_for(training: dict, purpose: str) -> None:
    page = render_report(full_facts(settings={"training": training}))

    said = set(re.findall(r"recall@10 on train windows held out (to watch|to stop on)", page))
    assert said == {purpose}


def test_a_label_beyond_the_list_is_named_with_its_rank_and_genres() -> None:
    facts = full_facts()
    facts.samples[0].recommended[1].is_label = False
    facts.samples[0].label_rank = 37

    text = " ".join(Outline(render_report(facts)).text.split())

    assert "✓ watched next" not in text
    assert "missed Watched next: Ronin (Action, Thriller), at rank 37 of 45" in text


def test_a_label_that_the_model_does_not_know_has_no_rank() -> None:
    facts = full_facts()
    facts.samples[0].recommended[1].is_label = False
    facts.samples[0].label_rank = None

    assert "Ronin (Action, Thriller), which the model doesn't know" in " ".join(
        Outline(render_report(facts)).text.split()
    )


def test_a_failed_step_stands_on_top_with_its_error_escaped() -> None:
    page = render_report(full_facts(failure=Failure(step="Trainer", error="ValueError: <b>NaN</b>")))
    outline = Outline(page)

    assert "Step Trainer failed" in outline.text
    assert "ValueError: <b>NaN</b>" in outline.text
    assert outline.all("b") == []
    assert page.index("Step Trainer failed") < page.index("Summary")


def test_a_run_that_got_to_nothing_is_told_without_empty_sections() -> None:
    facts = ReportModel(pipeline="p", made_at=WHEN, failure=Failure(step="ExampleGen", error="no shards"))

    outline = Outline(render_report(facts))

    assert {link["href"] for link in outline.all("a")} == {"#sections", "#summary", "#model-card"}
    assert outline.all("svg") == []
    assert "no shards" in outline.text


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (DecisionFacts(blessed=True, servable=[], published="7"), "published"),
        (DecisionFacts(blessed=True, servable=[Finding(kind="servable", what="answers differ")]), "not servable"),
        (DecisionFacts(blessed=False), "not blessed"),
        (DecisionFacts(), "unfinished"),
    ],
)
def test_the_decision_is_said_in_a_word(decision: DecisionFacts, said: str) -> None:
    page = render_report(full_facts(decision=decision))

    assert re.search(rf'class="badge \w+">{said}<', page)


def test_findings_of_the_data_gate_are_listed_with_their_reason() -> None:
    finding = Finding(kind="drift", where=("train", "label_movie_id"), what="moved by 0.4 > 0.02")

    text = Outline(render_report(full_facts(data_gate=DataGateFacts(findings=[finding])))).text

    assert "moved by 0.4 > 0.02" in text
    assert "No anomalies" not in text


def test_what_was_not_compared_with_the_run_before_is_named_with_its_reason() -> None:
    gate = DataGateFacts(compared_with_previous=True, not_compared={"context_movie_id": "20 values, 10 before"})

    text = Outline(render_report(full_facts(data_gate=gate))).text

    assert "context_movie_id: 20 values, 10 before" in text
    assert "Not compared" not in Outline(render_report(full_facts())).text


def test_the_history_tells_blessed_from_refused_models_and_names_this_run(page: str) -> None:
    text = " ".join(Outline(page).text.split())

    assert "2 (this) 2026-03-01 12:00 UTC 0.3141 not blessed" in text
    assert "1 2026-02-28 12:00 UTC 0.3000 blessed" in text


def test_the_page_says_which_code_made_it_where_that_is_known(page: str) -> None:
    assert "Made by next-movie-retrieval 1.2.3 (c0ffee123456) on 2026-03-01" in Outline(page).text
    before = Outline(render_report(full_facts(code_version=None, commit=None))).text
    assert "Made by the pipeline itself on 2026-03-01" in before


def test_the_licence_is_the_releases_own(page: str) -> None:
    assert "GroupLens" in page
    sample = full_facts()
    generated = render_report(full_facts(data=sample.data.model_copy(update={"release": "sample"})))
    assert "GroupLens" not in generated


@pytest.mark.parametrize(
    ("split", "said", "warned"),
    [("random", "random", True), ("leave_one_out", "leave-one-out", False), ("temporal", "temporal", False)],
)
def test_the_split_is_spelt_for_people_and_only_a_random_one_is_warned_of(split: str, said: str, warned: bool) -> None:
    facts = full_facts()
    data = facts.data.model_copy(update={"split": split})
    text = " ".join(Outline(render_report(facts.model_copy(update={"data": data}))).text.split())

    assert f"{said} split with seed 42." in text
    assert f"Split {said} " in text
    assert ("The split is random by example" in text) == warned


def test_a_page_stays_small_with_a_long_history_and_many_movies() -> None:
    facts = full_facts()
    movie = TopMovie(title="A long title of a movie (1999)", count=9, share=0.001)
    facts.data.splits[0].top_labels.extend([movie] * 100)
    run = PastRun(when=WHEN, recall=0.3, recall_popularity=0.1, blessed=True)

    page = render_report(facts.model_copy(update={"history": [run] * 200, "samples": facts.samples * 50}))

    assert len(page.encode()) < 1_000_000


def test_facts_survive_the_way_through_json() -> None:
    facts = full_facts()

    assert ReportModel.model_validate_json(facts.model_dump_json()) == facts


def test_charts_name_their_figures_for_those_who_do_not_see_them() -> None:
    drawing = charts.share_bars({"train": {"a": 3, "b": 1}, "eval": {"a": 1, "b": 1}}, "letters", ["a", "b"])

    assert "the largest is a with 75.0% in train" in drawing


def test_charts_escape_what_they_draw() -> None:
    drawing = charts.share_bars({"train": {SCRIPT_TITLE: 3}}, SCRIPT_TITLE, [SCRIPT_TITLE])

    assert Outline(drawing).all("script") == []
    assert Outline(drawing).all("img") == []


def test_charts_take_every_colour_from_the_page(page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))

    assert re.findall(r'(?:fill|stroke)="(#[0-9a-fA-F]+|black|white)"', drawings) == []


def test_charts_have_one_width_so_that_none_is_scaled_and_their_texts_are_of_one_size(page: str) -> None:
    drawings = Outline(page).all("svg")

    assert {drawing["width"] for drawing in drawings} == {str(charts.WIDTH)}
    assert set(re.findall(r'font-size="(\d+)px"', page)) == {"11"}


def test_the_difference_is_drawn_beside_zero_and_the_allowed_drop() -> None:
    difference = full_facts().decision.difference
    assert difference is not None

    drawing = charts.difference_interval(difference)

    assert "from -0.0123 to +0.0405, beside equal and allowed -0.005." in drawing
    assert {"allowed -0.005", "equal"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", drawing))
    left, right = (
        float(re.search(rf"translate\(([\d.]+),[\d.]+\)[^>]*>{name}<", drawing)[1])
        for name in ("allowed -0.005", "equal")
    )
    assert left < right
    assert "allowed" not in charts.difference_interval(difference.model_copy(update={"allowed_drop": None}))


@pytest.mark.parametrize("mean", [None, float("nan")], ids=["none", "no number"])
def test_a_difference_that_is_no_number_is_not_drawn(mean: float | None) -> None:
    assert charts.difference_interval(DifferenceFacts(mean=mean, low=None, high=None, queries=0)) == ""


def test_the_page_has_a_request_for_a_model_server_that_asks_for_the_same_movies() -> None:
    folder = "/somewhere/serving/next-movie-my shop's/7"
    decision = full_facts().decision.model_copy(update={"model_folder": folder, "published": "7"})
    page = render_report(full_facts(decision=decision))

    (command,) = re.findall(r"<code>(curl .*?)</code>", page)

    assert shlex.split(html.unescape(command)) == [
        "curl",
        "-d",
        '{"instances": [{"context_movie_id": [6, 17]}]}',
        "http://localhost:8501/v1/models/next-movie-my%20shop%27s:predict",
    ]


def test_every_step_stands_in_the_drawing_in_its_stage_and_says_what_became_of_it() -> None:
    steps = [
        StepFacts(name="ExampleGen", state="cached", seconds=0.1),
        StepFacts(name="Trainer", state="failed", seconds=30.0),
        StepFacts(name="A step of tomorrow", state="done", seconds=2.0),
    ]
    stages = stages_of(steps)

    assert [stage.title for stage in stages] == ["Data", "Training", "Judgement", "Publication"]
    behind = STEPS.index("Trainer") + 1
    names = [step.name for stage in stages for step in stage.steps]
    assert names == [*STEPS[:behind], "A step of tomorrow", *STEPS[behind:]]
    text = " ".join(Outline(render_report(full_facts(steps=steps))).text.split())
    assert "Data ExampleGen cached SchemaImporter not run" in text
    assert "Training Transform not run Trainer failed, 30.0 s A step of tomorrow done, 2.0 s Judgement Audit" in text


def test_the_page_says_what_the_figures_were_made_with() -> None:
    text = " ".join(Outline(render_report(full_facts())).text.split())

    assert "commit c0ffee123456 Source digest beef42" in text
    assert "Data digest abc123" in text
    assert "2 cores, 15.5 GiB of memory; Linux 6.1, x86_64" in text
    assert "tensorflow 2.16.2 2.16.1" in text


def test_the_machine_is_described_without_its_name() -> None:
    described = describe_process("d1")

    assert described.libraries["tfx"] == importlib.metadata.version("tfx")
    assert described.cores is not None
    assert described.cores >= 1
    assert described.memory_gib is not None
    assert described.memory_gib > 0.1
    assert platform.node() not in described.model_dump_json()


def test_the_data_section_says_how_sparse_the_ratings_are(page: str) -> None:
    text = " ".join(Outline(page).text.split())

    # 5,000 of 50 x 40.
    assert "5,000 ratings by 50 users of 40 movies fill 250.00% of all pairs of user and movie." in text
    assert "4,500 ratings by 48 users are left, 90 by the middle one of them." in text
    assert "the most are 3,000 at 1996-12." in page


def test_boxes_that_scroll_are_reached_by_keyboard_and_have_a_name(page: str) -> None:
    boxes = [attributes for _, attributes in Outline(page).tags if "scroll" in (attributes.get("class") or "").split()]

    assert len(boxes) > 4
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def luminance(colour: str) -> float:
    """Return WCAG's relative luminance of a colour such as `#1f5fbf`."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_of_text_have_the_contrast_that_wcag_asks_for(page: str, scheme: int) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", re.findall(r":root \{(.*?)\}", page, re.DOTALL)[scheme]))

    for text, grounds in {
        **dict.fromkeys(("ink", "muted", "model", "good", "bad", "warn"), ("page", "panel")),
        "good ": ("good-back",),
        "bad ": ("bad-back",),
        "warn ": ("warn-back",),
    }.items():
        for ground in grounds:
            assert contrast(colours[text.strip()], colours[ground]) >= 4.5, (text, ground)
    # What is drawn, not written.
    for mark in ("floor", "before"):
        assert contrast(colours[mark], colours["page"]) >= 3, mark
