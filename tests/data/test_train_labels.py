"""How often each movie is a train label in each period: counted by the generator, kept in the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data_helpers import read_csv_release, write_csv_release
from hypothesis import assume, given
from hypothesis import strategies as st
from plain_reference import PlainRating, plain_examples, plain_known, plain_split, plain_train_labels

from data.errors import InputError
from data.examples.manifest import FORMAT_VERSION, Manifest
from data.examples.shards import file_sha256
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue, Movie
from data.splits import SPLIT_NAMES, STRATEGIES
from data.timelines import user_blocks as blocks
from data.timelines.periods import NUM_PERIODS, TimeRange, count_by_movie, label_keys, movies_and_periods
from data.timelines.value_tally import ValueTally

PLAIN_LINE = '{"id": 1, "title": "A (1990)", "year": 1990, "genres": ["Drama"]}'


def _listed(catalogue: Catalogue) -> dict[int, dict[int, int]]:
    """Turn the dense counts into those of `plain_train_labels`."""
    assert catalogue.train_labels is not None
    assert catalogue.train_labels.dtype == np.int64
    assert catalogue.train_labels.shape == (len(catalogue), NUM_PERIODS)
    return {
        movie: {period: count for period, count in enumerate(counts) if count}
        for movie, counts in zip(catalogue.ids.tolist(), catalogue.train_labels.tolist(), strict=True)
        if any(counts)
    }


# Periods


def test_periods_are_equal_stretches_from_the_first_rating_to_the_last():
    # 640 seconds: ten to a period.
    periods = TimeRange(1_000, 1_639).periods_of(np.array([1_000, 1_009, 1_010, 1_629, 1_630, 1_639]))
    assert periods.tolist() == [0, 0, 1, 62, 63, 63]


def test_the_last_second_that_a_release_may_hold_lies_in_the_last_period():
    # From 1990 to 2100, the range that the parser lets through.
    first, last = 631_152_000, 4_102_444_800
    assert TimeRange(first, last).periods_of(np.array([first, last])).tolist() == [0, 63]


def test_ratings_of_one_second_lie_in_the_first_period():
    assert TimeRange(5, 5).periods_of(np.array([5, 5])).tolist() == [0, 0]


@given(st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, NUM_PERIODS - 1)), max_size=30))
def test_movie_and_period_come_back_from_their_key_and_a_movies_count_is_that_of_all_its_periods(labels: list):
    movies = np.array([movie for movie, _ in labels], dtype=np.int32)
    periods = np.array([period for _, period in labels], dtype=np.int64)
    keys = label_keys(movies, periods)
    assert [part.tolist() for part in movies_and_periods(keys)] == [movies.tolist(), periods.tolist()]

    by_movie = count_by_movie(ValueTally.of(keys))
    expected = sorted({movie: movies.tolist().count(movie) for movie in movies.tolist()}.items())
    assert list(zip(by_movie.values.tolist(), by_movie.counts.tolist(), strict=True)) == expected


# The generator


@pytest.mark.parametrize("split", SPLIT_NAMES)
def test_the_catalogue_counts_train_labels_by_movie_and_period(small_release: Path, tmp_path: Path, split: str):
    options = GenerateOptions(release="ml-latest-small", split=split, train_fraction=0.7, seed=3)
    generate(options, tmp_path / "out", source=small_release)

    ratings, movies = read_csv_release(small_release)
    train, _ = plain_split(plain_examples(ratings, movies), split, train_fraction=0.7, seed=3)
    expected = plain_train_labels(train, ratings)
    assert _listed(Catalogue.load(tmp_path / "out" / CATALOGUE_FILE)) == expected
    assert len({period for counts in expected.values() for period in counts}) > 20, "a release of many periods"


def test_the_periods_of_the_real_ml_latest_small_are_counted(ml_latest_small_folder: Path, tmp_path: Path):
    options = GenerateOptions(release="ml-latest-small", split="temporal")
    generate(options, tmp_path / "out", source=ml_latest_small_folder)

    ratings, movies = read_csv_release(ml_latest_small_folder)
    train, _ = plain_split(plain_examples(ratings, movies), "temporal")
    assert _listed(Catalogue.load(tmp_path / "out" / CATALOGUE_FILE)) == plain_train_labels(train, ratings)


@given(
    ratings=st.lists(
        st.builds(
            PlainRating,
            user=st.integers(1, 5),
            movie=st.sampled_from([1, 2, 3, 70, 2**31 - 1]),
            stars=st.sampled_from([1.0, 3.0, 5.0]),
            time=st.integers(10**9, 10**9 + 200) | st.integers(631_152_000, 4_102_444_800),
        ),
        min_size=5,
        max_size=60,
        unique=True,
    ),
    split=st.sampled_from(SPLIT_NAMES),
    fraction=st.floats(0.1, 0.9),
)
def test_any_train_labels_are_counted(
    tmp_path_factory: pytest.TempPathFactory, ratings: list[PlainRating], split: str, fraction: float
):
    train, held_out = plain_split(plain_examples(ratings, {}), split, train_fraction=fraction)
    assume(train and (plain_known(train, held_out) if STRATEGIES[split].known_only else held_out))
    folder = tmp_path_factory.mktemp("any")
    source = write_csv_release(folder / "source", ratings, {})
    options = GenerateOptions(release="ml-latest-small", split=split, train_fraction=fraction)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BYTES_PER_BLOCK", 500)
        generate(options, folder / "out", source=source)

    assert _listed(Catalogue.load(folder / "out" / CATALOGUE_FILE)) == plain_train_labels(train, ratings)


# The catalogue's file


def test_a_line_of_a_movie_that_is_a_train_label_holds_its_periods_and_counts(tmp_path: Path):
    catalogue = Catalogue.of([Movie(1, "A (1990)", 1990, ("Drama",)), Movie(7, "B", 0, ())])
    counted = catalogue.with_train_labels(catalogue.codes_of(np.array([1, 1])), np.array([63, 2]), np.array([4, 10]))
    counted.save(tmp_path / CATALOGUE_FILE)
    assert [json.loads(line) for line in (tmp_path / CATALOGUE_FILE).read_text().splitlines()] == [
        {"id": 1, "title": "A (1990)", "year": 1990, "genres": ["Drama"], "train_labels": [[2, 10], [63, 4]]},
        {"id": 7, "title": "B", "year": 0, "genres": []},
    ]
    assert catalogue.train_labels is None, "the plain catalogue stays as it was"


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([1, 2, 9, 2**31 - 1]), st.integers(0, NUM_PERIODS - 1)),
        st.integers(1, 2**40),
        min_size=1,
    )
)
def test_any_counts_come_back_from_the_file(tmp_path: Path, labels: dict[tuple[int, int], int]):
    catalogue = Catalogue.of([Movie(movie, f"Movie {movie}", 0, ()) for movie in (1, 2, 9, 2**31 - 1)])
    movies, periods = np.array(list(labels), dtype=np.int64).T
    codes = catalogue.codes_of(movies)
    catalogue.with_train_labels(codes, periods, np.array(list(labels.values()))).save(tmp_path / CATALOGUE_FILE)

    loaded = Catalogue.load(tmp_path / CATALOGUE_FILE)
    assert _listed(loaded) == {
        movie: {period: count for (other, period), count in labels.items() if other == movie}
        for movie in {movie for movie, _ in labels}
    }


def test_a_catalogue_of_an_earlier_version_loads_without_counts(tmp_path: Path):
    (tmp_path / CATALOGUE_FILE).write_text(f"{PLAIN_LINE}\n")
    catalogue = Catalogue.load(tmp_path / CATALOGUE_FILE)
    assert catalogue.train_labels is None
    assert catalogue.movie(1) == Movie(1, "A (1990)", 1990, ("Drama",))


@pytest.mark.parametrize(
    "labels",
    [
        "null",
        "3",
        "[3]",
        "[[3]]",
        "[[3, 4, 5]]",
        '[["a", 1]]',
        "[[-1, 1]]",
        "[[64, 1]]",
        "[[0, 0]]",
        "[[0, -2]]",
        "[[0, 1e400]]",
        f"[[0, {2**70}]]",
        f"[[{2**70}, 1]]",
    ],
)
def test_counts_that_are_none_are_refused(tmp_path: Path, labels: str):
    (tmp_path / CATALOGUE_FILE).write_text(f'{PLAIN_LINE[:-1]}, "train_labels": {labels}}}\n')
    with pytest.raises(InputError, match="is not a readable catalogue; generate the data again"):
        Catalogue.load(tmp_path / CATALOGUE_FILE)


@pytest.mark.parametrize(
    "line", [PLAIN_LINE.replace("1,", f"{2**70},", 1), PLAIN_LINE.replace("1990,", "1e400,", 1), "[" * 100_000]
)
def test_a_line_that_only_json_can_hold_is_refused(tmp_path: Path, line: str):
    (tmp_path / CATALOGUE_FILE).write_text(f"{line}\n")
    with pytest.raises(InputError, match="is not a readable catalogue; generate the data again"):
        Catalogue.load(tmp_path / CATALOGUE_FILE)


# Data of an earlier version


def test_a_folder_of_an_earlier_version_is_generated_anew(small_release: Path, tmp_path: Path):
    options = GenerateOptions(release="ml-latest-small")
    output = tmp_path / "out"
    generate(options, output, source=small_release)
    today = {path.name: path.read_bytes() for path in output.iterdir()}
    _make_earlier(output)
    Manifest.load(output).verify(output)

    lines: list[str] = []
    generate(options, output, source=small_release, progress=lines.append)
    assert f"{output} is up to date" not in lines
    assert {path.name: path.read_bytes() for path in output.iterdir()} == today


def _make_earlier(folder: Path) -> None:
    """Turn a folder into one of format 1, whose catalogue held no counts."""
    catalogue = folder / CATALOGUE_FILE
    rows = [json.loads(line) for line in catalogue.read_text().splitlines()]
    for row in rows:
        row.pop("train_labels", None)
    catalogue.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    content = json.loads(Manifest.load(folder).model_dump_json())
    content |= {"format_version": 1, "catalogue_sha256": file_sha256(catalogue)}
    Manifest.model_validate(content).save(folder)


def test_the_manifest_of_an_earlier_version_still_loads(small_release: Path, tmp_path: Path):
    manifest = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=small_release)
    assert manifest.format_version == FORMAT_VERSION == 2
    _make_earlier(tmp_path / "out")
    earlier = Manifest.load(tmp_path / "out")
    assert earlier.format_version == 1
    assert (earlier.counts, earlier.shards) == (manifest.counts, manifest.shards)
    assert earlier.digest != manifest.digest
