"""What people type for movies of the real ml-latest-small: the right one, several to choose from, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from serving.titles import TitleIndex

RIGHT = {
    "Toy Story": 1,
    "Heat": 6,
    "12 Monkeys": 32,
    "Seven": 47,
    "Se7en": 47,
    "Il Postino": 58,
    "A New Hope": 260,
    "star wars episode iv": 260,
    "Leon": 293,
    "Léon": 293,
    "pulp ficton": 296,
    "Shawshank": 318,
    "shawshank redemtion": 318,
    "Forrest Gump 1994": 356,
    "Jurasic Park": 480,
    "Terminator 2": 589,
    "Silence of the lambs": 593,
    "Fargo": 608,
    "Mission Impossible": 648,
    "Dr Strangelove": 750,
    "the godfather": 858,
    "2001": 924,
    "2001 a space odyssey": 924,
    "Holy Grail": 1136,
    "Empire Strikes Back": 1196,
    "Princess Bride": 1197,
    "Raiders of the Lost Ark": 1198,
    "Aliens": 1200,
    "The Good the Bad and the Ugly": 1201,
    "Return of the Jedi": 1210,
    "Alien": 1214,
    "Terminator": 1240,
    "1984": 2117,
    "La vita e bella": 2324,
    "The Matrx": 2571,
    "X-Men": 3793,
    "Crouching Tiger": 3996,
    "Amelie": 4973,
    "Fellowship of the Ring": 4993,
    "Sen to Chihiro no Kamikakushi": 5618,
    "Cidade de Deus": 6016,
    "matrix reloaded": 6365,
    "Finding Nemmo": 6377,
    "Kill Bill 2": 7438,
    "Prisoner of Azkaban": 8368,
    "harry potter and the goblet of fire": 40815,
    "Dark Knight": 58559,
    "Wall-E": 60069,
    "500 Days of Summer": 69757,
}
AMBIGUOUS = {
    "Lord of the Rings": {2116, 4993, 5952, 7153},
    "Star Wars": {260, 1196, 1210, 2628},
    "Star Trek": {68358, 329, 1356},
    "Harry Potter": {4896, 5816, 8368},
    "Indiana Jones": {1198, 1291, 2115},
    "Kill Bill": {6874, 7438},
    "Les Miserables": {73, 1873, 99149},
    "Monty Python": {1136, 1080, 6807},
    "The Professional": {293, 5782},
    "Sabrina": {7, 915},
    "Titanic": {1721, 3404},
    "Batman": {592, 26152},
    "Casino Royale": {49272, 5796},
    "Train": {76093, 2186, 20},
}
UNKNOWN = ["qwertyuiop", "Toy Story (1931)", "Grumpiest Middle-Aged Robots", "Сталинград"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, ml_latest_small_folder: Path) -> TitleIndex:
    made = tmp_path_factory.mktemp("latest-small") / "made"
    generate(GenerateOptions(release="ml-latest-small"), made, source=ml_latest_small_folder)
    return TitleIndex(Catalogue.load(made / CATALOGUE_FILE))


@pytest.mark.parametrize("text", RIGHT)
def test_the_movie_that_is_meant_is_found(index: TitleIndex, text: str):
    assert [movie.id for movie in index.find(text)] == [RIGHT[text]]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_where_several_may_be_meant_all_of_them_are_offered(index: TitleIndex, text: str):
    assert {movie.id for movie in index.find(text)} >= AMBIGUOUS[text]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_no_movie_is_called_finds_none(index: TitleIndex, text: str):
    assert index.find(text) == []
