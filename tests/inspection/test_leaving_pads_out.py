from __future__ import annotations

import pyarrow as pa
import pytest

from components.statistics.statistics_gen import find_faults, without_padding

STARS = [1.0, 2.0, 3.0, 4.0, 5.0]


def batch_of(**changes: list) -> pa.RecordBatch:
    """Return two examples, the first with two movies of three and a film of unknown year."""
    columns = {
        "context_movie_id": [[7, 9, 0], [4, 5, 6]],
        "context_movie_rating": [[3.0, 5.0, 0.0], [1.0, 2.0, 4.0]],
        "context_movie_year": [[1999, 0, 0], [1980, 1981, 0]],
        "context_movie_genre": [[b"War", b"UNK"], [b"Drama", b"War"]],
        "context_length": [[2], [3]],
        "label_movie_id": [[1], [2]],
        "label_popularity": [[b"head"], [b"tail"]],
        **changes,
    }
    kinds = {
        "context_movie_rating": pa.float32(),
        "context_movie_genre": pa.large_binary(),
        "label_popularity": pa.large_binary(),
    }
    arrays = [
        pa.array(values, pa.large_list(kinds.get(name, pa.int64()))) for name, values in columns.items() if values
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[name for name, values in columns.items() if values])


def test_pads_and_unknown_years_are_left_out_and_nothing_else() -> None:
    stripped = without_padding(batch_of()).to_pydict()

    assert stripped == {
        "context_movie_id": [[7, 9], [4, 5, 6]],
        "context_movie_rating": [[3.0, 5.0], [1.0, 2.0, 4.0]],
        "context_movie_year": [[1999], [1980, 1981]],
        "context_movie_genre": [[b"War"], [b"Drama", b"War"]],
        "context_length": [[2], [3]],
        "label_movie_id": [[1], [2]],
        "label_popularity": [[b"head"], [b"tail"]],
    }


def test_what_the_generator_writes_has_no_faults() -> None:
    assert list(find_faults(batch_of(), STARS)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context_movie_id": [[7, 9, 8], [4, 5, 6]]}, "behind the context's end"),
        ({"context_movie_id": [[7, 0, 0], [4, 5, 6]]}, "a pad stands among the ids"),
        ({"context_movie_rating": [[3.25, 5.0, 0.0], [1.0, 2.0, 4.0]]}, "doesn't give"),
        ({"context_movie_rating": [[0.0, 5.0, 0.0], [1.0, 2.0, 4.0]]}, "doesn't give"),
        ({"context_movie_rating": [[3.0, 5.0, 1.0], [1.0, 2.0, 4.0]]}, "behind the context's end"),
        ({"context_movie_genre": [[b"UNK", b"War"], [b"Drama", b"War"]]}, "behind a pad"),
    ],
)
def test_what_no_statistic_shows_is_found_in_the_arrays(changes: dict[str, list], said: str) -> None:
    (fault,) = find_faults(batch_of(**changes), STARS)

    assert said in fault


@pytest.mark.parametrize(
    "ragged",
    [{"context_movie_id": [[7], [4, 5, 6]]}, {"context_movie_id": [None, [4, 5, 6]]}, {"context_length": None}],
)
def test_features_of_a_wrong_shape_are_left_for_the_schema_to_refuse(ragged: dict[str, list]) -> None:
    batch = batch_of(**ragged)

    assert without_padding(batch).to_pydict()["context_movie_id"] == batch.to_pydict()["context_movie_id"]
    assert list(find_faults(batch, STARS)) == []
