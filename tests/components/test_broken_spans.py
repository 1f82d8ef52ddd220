"""Each kind of broken span is refused by some step: most by the span gate, some when they are written or by drift."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.span_gate import drift_of
from components.spans.settings import SpanGateSettings
from components.spans.span_gate import find_faults
from data.errors import InputError
from data.examples.manifest import Manifest
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue
from data.spans.series import span_folder
from data.spans.writing import write_span

DAY = 86_400
START = 12_000 * DAY
MOVIES, USERS = 60, 40
OPTIONS = GenerateOptions(release="ml-latest-small", train_fraction=0.8)


def write(folder: Path, series: Path, number: int, *, labels: int = USERS * 12, movies=None, shift: int = 0) -> Path:
    """Write what arrives on a day as a span: each movie is rated the more often the smaller its number.

    Parameters
    ----------
    folder, series, number
        Takes the file; the series, and the span's number.
    labels
        Ratings.
    movies
        Lines of the list that arrives, by id.
    shift
        Added to all ids, in a circle of as many as there are movies; beyond it where that is larger.
    """
    random = np.random.default_rng(number)
    folder.mkdir(parents=True)
    popular = np.minimum(random.geometric(0.12, labels * 3), MOVIES)
    pairs = list(dict.fromkeys(zip(random.integers(1, USERS + 1, labels * 3), popular, strict=True)))[:labels]
    moved = {movie: movie + shift if shift > MOVIES else (movie + shift - 1) % MOVIES + 1 for _, movie in pairs}
    lines = [f"{user},{moved[movie]},4.0,{START + number * DAY + place}\n" for place, (user, movie) in enumerate(pairs)]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(lines))
    listed = listing() if movies is None else movies
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n" + "".join(f"{movie},{line}\n" for movie, line in listed.items())
    )
    write_span(OPTIONS, series, number, source=folder)
    return span_folder(series, number)


def listing(year: str = " (1990)", genres: str = "Drama|Comedy") -> dict[int, str]:
    return {movie: f"Movie {movie}{year},{genres}" for movie in range(1, MOVIES + 1)}


@pytest.fixture(scope="module")
def good_series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a series of two good spans."""
    folder = tmp_path_factory.mktemp("good")
    for number in (1, 2):
        write(folder / f"arrived-{number}", folder / "series", number)
    return folder / "series"


@pytest.fixture
def series(good_series: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good_series, tmp_path / "series")


def faults_of(series: Path, number: int) -> list[str]:
    def read(span: int) -> tuple[Manifest, Catalogue]:
        folder = span_folder(series, span)
        manifest = Manifest.load(folder)
        return manifest, Catalogue.load(folder / manifest.catalogue_file)

    return list(find_faults(*read(number), [read(span) for span in range(1, number)], SpanGateSettings()))


def test_a_span_like_those_before_it_passes(series: Path, tmp_path: Path):
    write(tmp_path / "arrived", series, 3)
    assert faults_of(series, 3) == []


def test_half_the_catalogue_gone_is_found_though_the_series_remembers_the_movies(series: Path, tmp_path: Path):
    half = {movie: line for movie, line in listing().items() if movie % 2}
    folder = write(tmp_path / "arrived", series, 3, movies=half)
    # Titles, years and genres are those of before, so that nothing else shows it.
    assert len(Catalogue.load(folder / "catalogue.jsonl")) == MOVIES
    [fault] = faults_of(series, 3)
    assert "of the movies of its events are not in the list that arrived, 0% before" in fault


@pytest.mark.parametrize(("empty", "what"), [({"year": ""}, "a year"), ({"genres": "(no genres listed)"}, "genres")])
def test_an_empty_feature_is_found(series: Path, tmp_path: Path, empty: dict[str, str], what: str):
    write(tmp_path / "arrived", series, 3, movies=listing(**empty))
    assert faults_of(series, 3) == [
        f"100% of its labels are of movies without {what}, 0% before, and 20% more are allowed"
    ]


def test_a_tenth_of_the_usual_volume_is_found(series: Path, tmp_path: Path):
    write(tmp_path / "arrived", series, 3, labels=USERS * 12 // 10)
    assert faults_of(series, 3)[0].startswith("it has ")


def test_ids_of_another_data_set_that_the_series_does_not_know_are_refused_when_they_are_written(
    series: Path, tmp_path: Path
):
    others = {movie + 1_000: line for movie, line in listing().items()}
    with pytest.raises(InputError) as refused:
        write(tmp_path / "arrived", series, 3, movies=others, shift=1_000)
    assert refused.value.code == "N05"


@pytest.mark.slow
def test_ids_of_another_data_set_that_are_numbers_of_the_series_too_are_found_by_their_drift(
    series: Path, tmp_path: Path
):
    write(tmp_path / "good", series, 3)
    write(tmp_path / "arrived", series, 4, shift=MOVIES // 2)
    assert faults_of(series, 4) == []
    drift = drift_of(series, [1, 2, 3, 4], [3, 4], num_spans=2)
    # Of the ids alone: contexts of a series' first span are short, and their pads change other features.
    of_ids = [drift[span]["context_movie_id: JENSEN_SHANNON_DIVERGENCE"] for span in (3, 4)]
    assert of_ids[0] < SpanGateSettings().drift_tolerance < of_ids[1]
