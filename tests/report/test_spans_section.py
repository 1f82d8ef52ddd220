"""The curve of the served model over the spans, on the page."""

from __future__ import annotations

import html
import re

from report_models import full_facts
from test_rendering import Outline

from components.report.render import render_report
from components.report.report_model import SpanDay

DAYS = [
    SpanDay(span=1, outcome="published"),
    SpanDay(span=2, outcome="published", version="1", recall=0.25, low=0.175, high=0.343, ndcg=0.125, queries=1_100),
    SpanDay(span=3, outcome="refused", reason="the span is refused: half of it is gone [G17]"),
    SpanDay(span=4, outcome="judged", version="2", recall=0.5, low=0.4, high=0.6, ndcg=0.25, queries=900, current=True),
]


def page_of(**changes: object) -> str:
    return render_report(full_facts(settings={"rolling": {}}, **changes))


def test_the_newest_span_stands_first_and_each_with_what_was_served_on_it():
    text = " ".join(Outline(page_of(days=DAYS)).text.split())
    assert "4 (this) 2 0.5000 0.4000 to 0.6000 0.2500 900 unpublished 3 refused" in text
    assert "2 1 0.2500 0.1750 to 0.3430 0.1250 1,100 published 1 published" in text
    assert "Span 3: the span is refused: half of it is gone [G17]" in text


def test_the_curve_is_drawn_from_two_measured_spans_on_and_names_refused_ones():
    drawn = [html.unescape(label) for label in re.findall(r'aria-label="(Line: the served[^"]*)"', page_of(days=DAYS))]
    assert drawn == [
        "Line: the served model's recall@10: span 1 no number; span 2 0.250; span 3 refused; span 4 0.500."
    ]
    assert "a dashed line marks a span that was refused" in page_of(days=DAYS)
    assert "Line: the served" not in page_of(days=DAYS[:3])


def test_of_many_spans_the_table_has_the_newest_twenty_and_says_so():
    page = page_of(days=[SpanDay(span=span, outcome="published") for span in range(1, 101)])
    rows = re.findall(r'<tr><th scope="row">(\d+)</th>', page[page.index('id="spans"') : page.index('id="protocol"')])
    assert rows == [str(span) for span in range(100, 80, -1)]
    assert "The table has the newest 20 of 100 spans." in page


def test_where_spans_are_learned_from_the_page_compares_with_the_served_model():
    text = " ".join(Outline(page_of(days=DAYS)).text.split())
    assert "metric model popularity recent popularity served required" in text
    assert "recall@10 minus the served model's" in text
    assert "last blessed" not in text.replace("from the last blessed model's", "")


def test_data_without_spans_have_no_such_section():
    assert 'id="spans"' not in render_report(full_facts())


def test_the_choice_between_a_warm_and_a_cold_training_stands_in_the_decision():
    page = page_of(days=DAYS, choice="of the warm model recall@10 differs by so much, so that the cold one goes on")
    assert "chosen of the warm model recall@10 differs by so much" in " ".join(Outline(page).text.split())
