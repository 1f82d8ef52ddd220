"""Spans: every label in one and one only, windows as one generation gives them, and nothing written twice."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_helpers import read_examples, write_csv_release
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plain_reference import PlainExample, PlainMovie, PlainRating, plain_examples, plain_popularity

from data.beam_options import IN_PROCESS_ARGS
from data.errors import InputError
from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.span_facts import EVENTS_FILE, TIMELINES_FILE
from data.generate import generate, run
from data.identity import DataIdentity
from data.options import DataSettings, GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.span_settings import SpanSettings
from data.spans import writing
from data.spans.forgetting import find_user, forget_user
from data.spans.series import list_spans, next_span, read_events, span_folder
from data.spans.stretches import stretches_of
from data.spans.writing import write_span, write_spans
from data.timelines import user_blocks

DAY = 86_400
START = 12_000 * DAY
MOVIES = {number: PlainMovie(f"Movie {number} (1990)", ("Drama",)) for number in range(1, 31)}
OPTIONS = GenerateOptions(release="ml-latest-small", train_fraction=0.5, max_context_length=3)

Window = tuple[tuple[int, ...], tuple[float, ...], int]

some = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def events_of(users: int, days: int, start: int = 0) -> list[PlainRating]:
    """Return ratings of so many users on each of some days, at distinct times."""
    return [
        PlainRating(user, 1 + (7 * user + day * day) % 30, 4.0, START + day * DAY + 60 * user)
        for day in range(start, start + days)
        for user in range(1, users + 1)
    ]


def window_of(example: PlainExample) -> Window:
    return (example.context_movie_id, example.context_movie_rating, example.label_movie_id)


def windows_in(*folders: Path, splits: Sequence[str] = ("train", "eval")) -> Counter[Window]:
    """Read the windows of folders of examples."""
    return Counter(
        (example["context_movie_id"], example["context_movie_rating"], example["label_movie_id"][0])
        for folder in folders
        for split in splits
        for example in read_examples(folder, split)
    )


def spans_in(series: Path) -> list[Path]:
    return [span_folder(series, number) for number in list_spans(series)]


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def file_of(folder: Path, events: Iterable[PlainRating]) -> Path:
    return write_csv_release(folder, events, MOVIES)


def refusal(code: str, call: Any, *args: Any, **kwargs: Any) -> str:
    """Return the message of a call that is refused with a code."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three spans of 30 users: of days 0 to 3, 4 to 6 and 7 to 11."""
    write_spans(OPTIONS, tmp_path / "s", by="day", min_labels=90, source=file_of(tmp_path / "first", events_of(30, 12)))
    assert list_spans(tmp_path / "s") == [1, 2, 3]
    return tmp_path / "s"


# Windows


_events = st.lists(
    st.builds(
        PlainRating,
        user=st.integers(1, 4),
        movie=st.integers(1, 30),
        stars=st.sampled_from([1.0, 3.0, 4.5]),
        # Few times of a day: many ties, and timelines that grow slowly.
        time=st.builds(lambda day, second: START + day * DAY + second, st.integers(0, 5), st.integers(0, 2)),
    ),
    min_size=4,
    max_size=60,
    unique_by=lambda event: (event.user, event.movie, event.time),
)
_forms = st.fixed_dictionaries({"min_timeline_length": st.integers(2, 5), "max_context_length": st.integers(1, 4)})


@given(events=_events, form=_forms)
@some
def test_the_spans_of_a_first_file_hold_window_for_window_what_one_generation_gives(
    events: list[PlainRating], form: dict[str, int]
):
    plain = plain_examples(events, MOVIES, **form)
    assume(len(plain) >= 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = file_of(folder / "source", events)
        options = OPTIONS.model_copy(update=form)
        write_spans(options, folder / "s", by="day", min_labels=2, source=source)
        generate(options, folder / "whole", source=source)
        assert windows_in(*spans_in(folder / "s")) == Counter(map(window_of, plain)) == windows_in(folder / "whole")
        # Own data have ties by item, and no filter by stars.
        own = GenerateOptions(name="shop", train_fraction=0.5, **form)
        file = own_file(folder / "own.csv", events, "{}")
        write_spans(own, folder / "shop", by="day", min_labels=2, interactions=file)
        generate(own, folder / "whole-shop", interactions=file)
        assert windows_in(*spans_in(folder / "shop")) == windows_in(folder / "whole-shop")
        held = [event for span in spans_in(folder / "s") for event in read_events(span).to_pylist()]
        assert Counter((e["user_id"], e["movie_id"], e["rating"], e["timestamp"]) for e in held) == Counter(events)


@given(files=st.lists(_events, min_size=2, max_size=4), form=_forms)
@some
def test_what_arrives_late_or_again_belongs_to_one_span_and_is_a_label_in_one_only(
    files: list[list[PlainRating]], form: dict[str, int]
):
    options = OPTIONS.model_copy(update=form)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there: list[PlainRating] = []
        labels: set[tuple[int, int, int]] = set()
        waiting: list[PlainRating] = []
        for count, arrived in enumerate(files):
            # What was refused for having too few labels comes again with the next file.
            known = {(event.user, event.movie, event.time) for event in waiting}
            waiting += [event for event in arrived if (event.user, event.movie, event.time) not in known]
            before = {(event.user, event.movie, event.time) for event in there}
            new = [event for event in waiting if (event.user, event.movie, event.time) not in before]
            plain = plain_examples([*there, *new], MOVIES, **form)
            owned = [one for one in plain if (one.user, one.label_movie_id, one.label_time) not in labels]
            number = len(list_spans(folder / "s")) + 1
            source = file_of(folder / f"file-{count}", waiting)
            if len(owned) < 2:
                with pytest.raises(InputError):
                    write_span(options, folder / "s", number, source=source, max_seen_share=1.0, max_unknown_share=1.0)
                continue
            manifest = write_span(
                options, folder / "s", number, source=source, max_seen_share=1.0, max_unknown_share=1.0
            )
            assert windows_in(span_folder(folder / "s", number)) == Counter(map(window_of, owned))
            newest = max((event.time for event in there), default=-1)
            assert manifest.span is not None
            assert (manifest.span.events, manifest.span.seen) == (len(new), len(waiting) - len(new))
            assert manifest.span.late == sum(event.time <= newest for event in new)
            there, waiting = [*there, *new], []
            labels |= {(one.user, one.label_movie_id, one.label_time) for one in owned}
        # One event of each user with a timeline, and no other, is a label nowhere.
        timelines = Counter(event.user for event in there if event.stars >= options.min_rating)
        long_enough = {user: length for user, length in timelines.items() if length >= options.min_timeline_length}
        assert Counter(user for user, _, _ in labels) == {user: length - 1 for user, length in long_enough.items()}


def test_a_label_that_waits_for_its_user_to_have_enough_ratings_belongs_to_the_span_that_brings_them(tmp_path: Path):
    others = events_of(10, 6)
    slow = [PlainRating(99, movie, 4.0, START + day * DAY) for movie, day in ((41, 0), (42, 1), (43, 5))]
    for name, day in (("1", range(3)), ("2", range(3, 6))):
        arrived = [event for event in [*others, *slow] if (event.time - START) // DAY in day]
        write_span(OPTIONS, tmp_path / "s", int(name), source=file_of(tmp_path / name, arrived))
    own = [((41, 0, 0), (4.0, 0.0, 0.0), 42), ((41, 42, 0), (4.0, 4.0, 0.0), 43)]
    first, second = (windows_in(span) for span in spans_in(tmp_path / "s"))
    assert [first[window] for window in own] == [0, 0]
    assert [second[window] for window in own] == [1, 1]


def test_a_late_event_changes_no_window_that_is_written_and_later_ones_hold_it(tmp_path: Path):
    base = events_of(10, 4)
    ratings = [PlainRating(99, movie, 4.0, START + hour * 3600) for movie, hour in ((11, 1), (12, 2), (13, 4))]
    write_span(OPTIONS, tmp_path / "s", 1, source=file_of(tmp_path / "1", [*base, *ratings]))
    before = bytes_in(tmp_path / "s" / "span-1")
    late, new = PlainRating(99, 20, 3.0, START + 3 * 3600), PlainRating(99, 14, 5.0, START + 9 * DAY)
    write_span(OPTIONS, tmp_path / "s", 2, source=file_of(tmp_path / "2", [*events_of(10, 3, 4), late, new]))
    assert bytes_in(tmp_path / "s" / "span-1") == before
    assert windows_in(tmp_path / "s" / "span-1")[((11, 12, 0), (4.0, 4.0, 0.0), 13)] == 1
    second = windows_in(tmp_path / "s" / "span-2")
    assert second[((11, 12, 0), (4.0, 4.0, 0.0), 20)] == 1
    assert second[((12, 20, 13), (4.0, 3.0, 4.0), 14)] == 1


@pytest.mark.parametrize("split", ["random", "temporal", "leave_one_out"])
def test_each_span_is_split_by_itself(tmp_path: Path, split: str):
    options = OPTIONS.model_copy(update={"split": split})
    events = events_of(10, 12)
    manifests = write_spans(options, tmp_path / "s", by="day", min_labels=40, source=file_of(tmp_path / "f", events))
    assert len(manifests) == 2
    for manifest in manifests:
        labels = manifest.counts.train + manifest.counts.eval
        assert manifest.counts.eval == (10 if split == "leave_one_out" else labels - round(labels / 2))
        assert (manifest.train_until is not None) is (split == "temporal")
        if split != "random":
            assert manifest.times is not None
            assert manifest.times.late_labels == 0
    assert windows_in(*spans_in(tmp_path / "s")) == Counter(
        map(window_of, plain_examples(events, MOVIES, max_context_length=3))
    )


def test_labels_are_popular_by_the_train_labels_of_all_spans_so_far(series: Path):
    counted: list[PlainExample] = []
    for place, span in enumerate(spans_in(series)):
        train, held_out = (read_examples(span, split) for split in ("train", "eval"))
        for example in train:
            [label] = example["label_movie_id"]
            counted.append(PlainExample(0, 0, 0, False, 0, (), (), (), (), (), 0, label))
        buckets = plain_popularity(counted)
        for example in [*train, *held_out]:
            assert example["label_popularity"] == (buckets.get(example["label_movie_id"][0], "unseen"),)
        catalogue = Catalogue.load(span / CATALOGUE_FILE)
        assert catalogue.train_labels is not None
        assert catalogue.train_labels.sum() == len(train)
        earlier = 0 if catalogue.earlier_labels is None else catalogue.earlier_labels.sum()
        assert earlier == len(counted) - len(train), place


# What a span is


def test_the_manifests_say_which_spans_they_are_and_share_an_identity(series: Path):
    manifests = [Manifest.load(span) for span in spans_in(series)]
    spans = [manifest.span for manifest in manifests]
    assert [(span.number, span.by, span.events, span.seen, span.late, span.revision) for span in spans] == [
        (1, "day", 120, 0, 0, 0),
        (2, "day", 90, 0, 0, 0),
        (3, "day", 150, 0, 0, 0),
    ]
    assert [span.previous_sha256 for span in spans] == [None, manifests[0].digest, manifests[1].digest]
    assert spans[0].first_time == START + 60
    assert all(before.last_time < after.first_time for before, after in itertools.pairwise(spans))
    assert len({DataIdentity.of(manifest).model_dump_json() for manifest in manifests}) == 1
    for span, manifest in zip(spans_in(series), manifests, strict=True):
        manifest.verify(span)
        assert len(read_events(span)) == manifest.span.events


def test_the_manifest_of_data_that_stand_for_themselves_says_nothing_of_spans(small_release: Path, tmp_path: Path):
    generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=small_release)
    assert '"span"' not in (tmp_path / "out" / MANIFEST_FILE).read_text()
    assert "earlier_labels" not in (tmp_path / "out" / CATALOGUE_FILE).read_text()


def test_a_catalogue_holds_the_movies_that_are_known_so_far(tmp_path: Path):
    events = [
        PlainRating(user, 10 * day + place, 4.0, START + day * DAY + place)
        for user in range(1, 9)
        for day in (0, 1)
        for place in range(1, 5)
    ]
    write_spans(OPTIONS, tmp_path / "s", by="day", min_labels=2, source=file_of(tmp_path / "first", events))
    known = [Catalogue.load(span / CATALOGUE_FILE).ids.tolist() for span in spans_in(tmp_path / "s")]
    assert known == [[1, 2, 3, 4], [1, 2, 3, 4, 11, 12, 13, 14]]
    # A file that arrives lists what can be recommended, and a title that it lacks is the earlier one.
    rows = [event._replace(time=event.time + 5 * DAY, movie=event.movie % 3 + 1) for event in events]
    source = write_csv_release(tmp_path / "next", rows, {77: PlainMovie("New (2020)", ())})
    write_span(OPTIONS, tmp_path / "s", 3, source=source)
    catalogue = Catalogue.load(tmp_path / "s" / "span-3" / CATALOGUE_FILE)
    assert catalogue.ids.tolist() == [1, 2, 3, 4, 11, 12, 13, 14, 77]
    assert [catalogue.title(movie) for movie in (1, 77)] == ["Movie 1 (1990)", "New (2020)"]


def test_the_next_span_is_the_first_behind_all_that_were_ingested(series: Path, tmp_path: Path):
    assert [next_span(series, ingested) for ingested in ((), (1,), (2, 1), (1, 2, 3))] == [1, 2, 3, None]
    assert list_spans(tmp_path / "none") == []


# How a first file is cut


def test_a_configuration_says_how_data_become_spans():
    settings = DataSettings.model_validate(
        {"release": "sample", "spans": {"by": "year", "first_through": "2016-12-31"}}
    )
    assert settings.spans == SpanSettings(by="year", first_through=date(2016, 12, 31))
    assert settings.options == GenerateOptions(release="sample")
    with pytest.raises(ValueError, match="by"):
        DataSettings.model_validate({"release": "sample", "spans": {"by": "decade"}})


def test_weeks_begin_on_monday_and_a_first_span_reaches_through_its_day(tmp_path: Path):
    sunday = np.array(["2002-11-10T23:59:59", "2002-11-11T00:00:00"], "datetime64[s]").astype(np.int64)
    assert np.diff(stretches_of(sunday, "week")).tolist() == [1]
    # The first of these days is the ninth of November 2002.
    source = file_of(tmp_path / "first", events_of(30, 12))
    manifests = write_spans(
        OPTIONS, tmp_path / "s", by="day", min_labels=2, first_through=date(2002, 11, 16), source=source
    )
    spans = [manifest.span for manifest in manifests]
    assert [(span.first_time - START) // DAY for span in spans] == [0, 8, 9, 10, 11]


def test_a_stretch_with_too_few_labels_is_joined_to_the_next_and_the_last_to_the_one_before(series: Path):
    labels = [manifest.counts.train + manifest.counts.eval for manifest in map(Manifest.load, spans_in(series))]
    # A user's first event is no label: there are 30 on each day but the first.
    assert labels == [90, 90, 150]


def test_the_sample_has_six_spans_by_year(tmp_path: Path):
    manifests = write_spans(GenerateOptions(release="sample"), tmp_path / "s", by="year")
    assert len(manifests) == 6
    whole = generate(GenerateOptions(release="sample"), tmp_path / "whole")
    assert sum(one.counts.train + one.counts.eval for one in manifests) == whole.counts.train + whole.counts.eval


def test_the_real_ml_latest_small_by_month_is_one_generation_of_it(ml_latest_small_folder: Path, tmp_path: Path):
    source, options = ml_latest_small_folder, GenerateOptions(release="ml-latest-small")
    write_spans(options, tmp_path / "s", by="month", source=source)
    generate(options, tmp_path / "whole", source=source)
    assert len(list_spans(tmp_path / "s")) > 100
    assert windows_in(*spans_in(tmp_path / "s")) == windows_in(tmp_path / "whole")


# Never written twice


def test_the_same_again_does_nothing_and_other_content_is_refused(series: Path, tmp_path: Path):
    first, fourth = tmp_path / "first", file_of(tmp_path / "4", events_of(30, 4, 12))
    write_span(OPTIONS, series, 4, source=fourth)
    times = {path: path.stat().st_mtime_ns for path in series.rglob("*")}
    lines: list[str] = []
    assert write_span(OPTIONS, series, 4, source=fourth, progress=lines.append) == Manifest.load(series / "span-4")
    assert len(write_spans(OPTIONS, series, by="day", min_labels=90, source=first, progress=lines.append)) == 3
    assert [line for line in lines if "up to date" in line] == [
        f"{series / 'span-4'} is up to date",
        f"{series} is up to date",
    ]
    other = file_of(tmp_path / "other", events_of(30, 3, 12))
    assert "span-4 holds other content" in refusal("N01", write_span, OPTIONS, series, 4, source=other)
    refusal("N01", write_spans, OPTIONS, series, by="day", source=other)
    refusal("N01", write_spans, OPTIONS, series, by="week", source=first)
    refusal("N01", write_spans, OPTIONS, series, by="day", min_labels=2, source=first)
    refusal("N01", write_span, OPTIONS, series, 1, source=first)
    assert {path: path.stat().st_mtime_ns for path in series.rglob("*")} == times


def test_a_file_is_not_cut_where_files_arrived(tmp_path: Path):
    source = file_of(tmp_path / "first", events_of(30, 12))
    write_span(OPTIONS, tmp_path / "s", 1, source=source)
    refusal("N01", write_spans, OPTIONS, tmp_path / "s", by="day", min_labels=90, source=source)
    assert list_spans(tmp_path / "s") == [1]


def test_a_killed_cut_is_finished_by_the_next_call(series: Path, tmp_path: Path):
    expected = bytes_in(series)
    for number in (2, 3):
        shutil.rmtree(series / f"span-{number}")
    (series / ".span-2.partial-0123456789ab").mkdir()
    (series / ".work").mkdir()
    write_spans(OPTIONS, series, by="day", min_labels=90, source=tmp_path / "first")
    assert bytes_in(series) == expected
    (series / "span-3").rename(series / ".span-3.former")
    write_spans(OPTIONS, series, by="day", min_labels=90, source=tmp_path / "first")
    assert bytes_in(series) == expected


def test_what_goes_wrong_in_one_span_of_a_file_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, real = file_of(tmp_path / "first", events_of(30, 12)), writing.write_span_folder

    def fail_at_the_second(options: GenerateOptions, origin: Any, *args: Any, **kwargs: Any) -> Any:
        if origin.number == 2:
            raise InputError("the eval split is empty", code="C11")
        return real(options, origin, *args, **kwargs)

    monkeypatch.setattr(writing, "write_span_folder", fail_at_the_second)
    message = refusal("C11", write_spans, OPTIONS, tmp_path / "s", by="day", min_labels=90, source=source)
    assert message == "span 2: the eval split is empty"
    assert list((tmp_path / "s").iterdir()) == []


def test_neither_blocks_nor_beam_change_an_example(series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fourth = file_of(tmp_path / "4", events_of(30, 6, 10))
    write_span(OPTIONS, series, 4, source=fourth)
    monkeypatch.setattr(user_blocks, "BYTES_PER_BLOCK", 1500)
    for name, beam_args in (("blocks", ()), ("beam", IN_PROCESS_ARGS)):
        write_spans(OPTIONS, tmp_path / name, by="day", min_labels=90, source=tmp_path / "first", beam_args=beam_args)
        write_span(OPTIONS, tmp_path / name, 4, source=fourth, beam_args=beam_args)
        for number in (1, 2, 3, 4):
            expected, found = (bytes_in(span_folder(folder, number)) for folder in (series, tmp_path / name))
            # Parquet holds a row group for each block, and the manifest its digest.
            for file in (EVENTS_FILE, TIMELINES_FILE, MANIFEST_FILE):
                del expected[file], found[file]
            assert found == expected
        assert Manifest.load(tmp_path / name / "span-4").digest == Manifest.load(series / "span-4").digest


# What is refused


def test_what_is_no_next_span_is_refused(series: Path, tmp_path: Path):
    source = file_of(tmp_path / "next", events_of(30, 4, 12))
    for number in (5, 0):
        assert "that is span 4" in refusal("N02", write_span, OPTIONS, series, number, source=source)
    assert "that is span 1" in refusal("N02", write_span, OPTIONS, tmp_path / "new", 2, source=source)
    (series / "notes.txt").touch()
    refusal("F05", write_span, OPTIONS, series, 4, source=source)


def test_a_file_that_was_seen_is_refused_and_a_share_of_it_is_left_out(series: Path, tmp_path: Path):
    half = file_of(tmp_path / "half", events_of(30, 8, 8))
    message = refusal("N03", write_span, OPTIONS, series, 4, source=half, max_seen_share=0.49)
    assert "120 of 240 events are in earlier spans already" in message
    refusal("N03", write_span, OPTIONS, series, 4, source=tmp_path / "first", max_seen_share=1.0)
    assert list_spans(series) == [1, 2, 3]
    span = write_span(OPTIONS, series, 4, source=half).span
    assert (span.events, span.seen, span.late) == (120, 120, 0)


def test_spans_of_another_form_or_another_data_set_are_refused(series: Path, tmp_path: Path):
    source = file_of(tmp_path / "next", events_of(30, 4, 12))
    for changes in ({"max_context_length": 5}, {"split": "temporal"}, {"seed": 1}, {"release": "ml-20m"}):
        message = refusal("N04", write_span, OPTIONS.model_copy(update=changes), series, 4, source=source)
        assert f"have {next(iter(changes))} = " in message
    strangers = [event._replace(movie=event.movie + 10_000) for event in events_of(30, 4, 12)]
    stranger = write_csv_release(tmp_path / "strangers", strangers, {})
    message = refusal("N05", write_span, OPTIONS, series, 4, source=stranger)
    assert "120 of 120 events are of movies that no earlier span knows" in message
    write_span(OPTIONS.model_copy(update={"shards": 2}), series, 4, source=stranger, max_unknown_share=1.0)


@pytest.mark.parametrize("name", [EVENTS_FILE, TIMELINES_FILE, CATALOGUE_FILE])
def test_a_damaged_span_is_named(series: Path, tmp_path: Path, name: str):
    path = series / "span-2" / name
    path.write_bytes(path.read_bytes()[:-9] + b"tampered!")
    message = refusal("N07", write_spans, OPTIONS, series, by="day", min_labels=90, source=tmp_path / "first")
    assert str(path) in message
    if name == EVENTS_FILE:
        source = file_of(tmp_path / "next", events_of(30, 4, 12))
        assert str(path) in refusal("N07", write_span, OPTIONS, series, 4, source=source)
        path.unlink()
        refusal("N07", read_events, series / "span-2")


def test_ordinary_data_are_no_span(small_release: Path, tmp_path: Path):
    generate(GenerateOptions(release="ml-latest-small"), tmp_path / "s" / "span-1", source=small_release)
    refusal("N08", write_span, OPTIONS, tmp_path / "s", 2, source=small_release)
    refusal("N08", read_events, tmp_path / "s" / "span-1")


# Own data


def own_file(path: Path, events: Iterable[PlainRating], item: str) -> str:
    rows = [f"u{user},{item.format(movie)},{time}" for user, movie, _, time in events]
    path.write_text("\n".join(["user,item,timestamp", *rows, ""]), encoding="utf-8")
    return str(path)


def test_own_data_are_cut_and_go_on_with_ids_of_the_same_kind(tmp_path: Path):
    options = GenerateOptions(name="shop", train_fraction=0.5, max_context_length=3)
    first = own_file(tmp_path / "first.csv", events_of(20, 8), "sku-{}")
    write_spans(options, tmp_path / "s", by="day", min_labels=60, interactions=first)
    generate(options, tmp_path / "whole", interactions=first)
    assert windows_in(*spans_in(tmp_path / "s")) == windows_in(tmp_path / "whole")
    number = len(list_spans(tmp_path / "s")) + 1
    # By themselves these ids would be taken for integers.
    second = own_file(tmp_path / "second.csv", events_of(20, 4, 8), "{}")
    write_span(options, tmp_path / "s", number, interactions=second, max_unknown_share=1.0)
    rows = [*Path(first).read_text("utf-8").splitlines(), *Path(second).read_text("utf-8").splitlines()[1:]]
    both = tmp_path / "both.csv"
    both.write_text("\n".join([*rows, ""]), encoding="utf-8")
    generate(options, tmp_path / "all", interactions=str(both))
    assert windows_in(*spans_in(tmp_path / "s")) == windows_in(tmp_path / "all")
    assert read_events(span_folder(tmp_path / "s", number))["movie_id"].type == "string"


def test_texts_are_no_ids_where_they_were_integers(tmp_path: Path):
    options = GenerateOptions(name="shop", train_fraction=0.5)
    write_span(options, tmp_path / "s", 1, interactions=own_file(tmp_path / "1.csv", events_of(20, 4), "{}"))
    texts = own_file(tmp_path / "2.csv", events_of(20, 4, 4), "sku-{}")
    refusal("D27", write_span, options, tmp_path / "s", 2, interactions=texts)


def test_the_id_that_stands_for_no_item_stays_free(tmp_path: Path):
    options = GenerateOptions(name="shop", train_fraction=0.5)
    with_zero = [event._replace(movie=event.movie - 1) for event in events_of(29, 8)]
    late_zero = [event for event in with_zero if event.movie or event.time > START + 6 * DAY]
    assert {event.movie for event in late_zero if event.time < START + 6 * DAY} < {event.movie for event in late_zero}
    whole = own_file(tmp_path / "whole.csv", late_zero, "{}")
    manifests = write_spans(options, tmp_path / "cut", by="day", min_labels=80, interactions=whole)
    assert {manifest.pad_movie_id for manifest in manifests} == {-1}
    early = own_file(tmp_path / "1.csv", [event for event in late_zero if event.time < START + 4 * DAY], "{}")
    write_span(options, tmp_path / "s", 1, interactions=early)
    later = own_file(tmp_path / "2.csv", [event for event in late_zero if event.time >= START + 4 * DAY], "{}")
    assert "0 stands for no item" in refusal("N06", write_span, options, tmp_path / "s", 2, interactions=later)


# Last histories


def histories_in(folder: Path) -> dict[Any, list[Any]]:
    return {row["id"]: row["history"] for row in pq.read_table(folder / LAST_HISTORIES_FILE).to_pylist()}


def test_the_users_of_a_span_have_the_last_movies_of_all_that_they_watched_by_then(tmp_path: Path):
    first, series = file_of(tmp_path / "first", events_of(20, 9)), tmp_path / "s"
    write_spans(OPTIONS, series, by="day", min_labels=90, last_histories=7, source=first)
    # Events that arrive late stand in the midst of histories, and not every user has any.
    late = [event for event in events_of(30, 9)[3::5] if event.user > 20]
    arrived = [event for event in events_of(25, 3, 9) if event.user % 3]
    number = len(list_spans(series)) + 1
    write_span(OPTIONS, series, number, last_histories=7, source=file_of(tmp_path / "2", [*late, *arrived]))
    known: list[tuple[int, int, int]] = []
    for folder in spans_in(series):
        rows = read_events(folder).to_pylist()
        known += [(row["timestamp"], row["user_id"], row["movie_id"]) for row in rows]
        watched = {row["user_id"]: [] for row in rows}
        for _, user, movie in sorted(known):
            if user in watched:
                watched[user].append(movie)
        least = OPTIONS.min_timeline_length
        expected = {user: movies[-7:] for user, movies in watched.items() if len(movies) >= least}
        assert histories_in(folder) == expected
        manifest = Manifest.load(folder)
        manifest.verify(folder)
        assert manifest.last_histories.users == len(expected) > 0


def test_own_users_have_last_histories_by_their_own_ids_span_by_span(tmp_path: Path):
    options = GenerateOptions(name="shop", train_fraction=0.5)
    for number, start in ((1, 0), (2, 8)):
        source = own_file(tmp_path / f"{number}.csv", events_of(2, 8, start), "{}")
        write_span(options, tmp_path / "s", number, last_histories=3, interactions=source)
    assert set(histories_in(tmp_path / "s" / "span-2")) == {"u1", "u2"}


def test_a_forgotten_user_has_no_last_history_and_the_others_keep_theirs(series: Path, tmp_path: Path):
    source = file_of(tmp_path / "4", events_of(30, 4, 12))
    write_span(OPTIONS, series, 4, last_histories=5, source=source)
    before = histories_in(series / "span-4")
    forget_user(series, "7")
    Manifest.load(series / "span-4").verify(series / "span-4")
    assert histories_in(series / "span-4") == {user: movies for user, movies in before.items() if user != 7}
    assert Manifest.load(series / "span-4").last_histories.users == len(before) - 1


def test_a_span_that_is_there_without_last_histories_does_not_get_them_and_says_so(tmp_path: Path):
    source = file_of(tmp_path / "first", events_of(20, 9))
    write_span(OPTIONS, tmp_path / "s", 1, source=source)
    with pytest.raises(InputError) as refused:
        write_span(OPTIONS, tmp_path / "s", 1, last_histories=5, source=source)
    assert refused.value.code == "G16"
    assert write_span(OPTIONS, tmp_path / "s", 1, source=source).last_histories is None


# Forgetting


def test_a_forgotten_user_is_gone_and_all_else_stays_where_it_was(series: Path, tmp_path: Path):
    before = [[windows_in(span, splits=[split]) for split in ("train", "eval")] for span in spans_in(series)]
    found = find_user(series, "7")
    assert forget_user(series, "7") == found
    assert (list(found), sum(found.values())) == ([1, 2, 3], 12)
    plain = plain_examples(events_of(30, 12), MOVIES, max_context_length=3)
    gone = Counter(window_of(example) for example in plain if example.user == 7)
    removed: Counter[Window] = Counter()
    for span, splits in zip(spans_in(series), before, strict=True):
        manifest = Manifest.load(span)
        manifest.verify(span)
        assert manifest.span.revision == 1
        assert 7 not in read_events(span)["user_id"].to_pylist()
        for split, windows in zip(("train", "eval"), splits, strict=True):
            left = windows_in(span, splits=[split])
            assert left <= windows
            removed += windows - left
    assert removed == gone
    manifests = [Manifest.load(span) for span in spans_in(series)]
    assert [one.span.previous_sha256 for one in manifests] == [None, manifests[0].digest, manifests[1].digest]
    # What is written is the span's now, and the same file again brings nobody back.
    left = bytes_in(series)
    assert find_user(series, "7") == forget_user(series, "7") == {}
    write_spans(OPTIONS, series, by="day", min_labels=90, source=tmp_path / "first")
    assert bytes_in(series) == left
    write_span(OPTIONS, series, 4, source=file_of(tmp_path / "4", events_of(30, 4, 12)))


def test_forgetting_that_was_killed_is_finished_by_a_second_call(series: Path, tmp_path: Path):
    shutil.copytree(series, tmp_path / "whole")
    forget_user(tmp_path / "whole", "7")
    shutil.copytree(series, tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "span-1")
    shutil.copytree(tmp_path / "whole" / "span-1", tmp_path / "killed" / "span-1")
    assert list(forget_user(tmp_path / "killed", "7")) == [2, 3]
    assert bytes_in(tmp_path / "killed") == bytes_in(tmp_path / "whole")


def test_a_user_of_one_span_is_forgotten_there_and_the_spans_behind_name_its_new_digest(series: Path, tmp_path: Path):
    extra = [PlainRating(77, movie, 4.0, START + 12 * DAY + movie) for movie in range(1, 6)]
    write_span(OPTIONS, series, 4, source=file_of(tmp_path / "4", [*events_of(30, 4, 12), *extra]))
    write_span(OPTIONS, series, 5, source=file_of(tmp_path / "5", events_of(30, 4, 16)))
    # Earlier spans may be gone: nothing of them is needed.
    shutil.rmtree(series / "span-1")
    digest = Manifest.load(series / "span-5").digest
    assert forget_user(series, "77") == {4: 5}
    fourth, fifth = (Manifest.load(series / f"span-{number}") for number in (4, 5))
    assert (fourth.span.revision, fifth.span.revision) == (1, 0)
    assert fifth.span.previous_sha256 == fourth.digest
    assert fifth.digest == digest
    assert fourth.span.series == fifth.span.series


def test_the_only_user_of_a_span_can_be_forgotten(tmp_path: Path):
    options = GenerateOptions(name="shop", train_fraction=0.5)
    source = own_file(tmp_path / "1.csv", events_of(1, 8), "{}")
    write_span(options, tmp_path / "s", 1, interactions=source)
    assert forget_user(tmp_path / "s", "u1") == {1: 8}
    manifest = Manifest.load(tmp_path / "s" / "span-1")
    manifest.verify(tmp_path / "s" / "span-1")
    assert (manifest.counts.train, manifest.counts.eval, manifest.span.events) == (0, 0, 0)
    assert len(read_events(tmp_path / "s" / "span-1")) == 0


# The command


def test_the_command_writes_spans_and_says_what_they_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    form = ["--release", "ml-latest-small", "--train-fraction", "0.5", "--output", str(tmp_path / "s")]
    first = file_of(tmp_path / "first", events_of(30, 12))
    assert run([*form, "--spans-by", "day", "--min-labels", "90", "--source", str(first)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"spans in {tmp_path / 's'}"
    number = str(len(list_spans(tmp_path / "s")) + 1)
    second = file_of(tmp_path / "second", events_of(30, 5, 11))
    assert run([*form, "--span", number, "--source", str(second)]) == 0
    line, _ = capsys.readouterr().out.splitlines()
    assert line == (
        f"span {number}: 60 train and 60 eval examples, 120 events (30 seen before left out, 0 late), 30 movies"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--span", "1", "--spans-by", "day"],
        ["--min-labels", "3"],
        ["--span", "1", "--min-labels", "3"],
        ["--spans-by", "day", "--max-seen-share", "0.2"],
    ],
    ids=["both", "neither", "limit of the other", "share of the other"],
)
def test_options_of_spans_that_do_not_go_together_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    assert run(["--release", "sample", "--output", str(tmp_path / "s"), *arguments]) == 2
    assert capsys.readouterr().err.endswith("[N09]\n")
    assert not (tmp_path / "s").exists()
