from __future__ import annotations

import pyarrow as pa

from components.statistics.value_counts import add_counts, as_statistics, count_values


def batch_of(ids: list, stars: list, genres: list) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.large_list(pa.int64())),
            pa.array(stars, pa.large_list(pa.float32())),
            pa.array(genres, pa.large_list(pa.large_binary())),
        ],
        names=["ids", "stars", "genres"],
    )


FIRST = batch_of([[7, 9], [7], None], [[4.5], [4.0, 4.5], [5.0]], [[b"War"], [], [b"Drama", b"War"]])
SECOND = batch_of([[1_234_567]], [None], [[b"\xff"]])


def told(*batches: pa.RecordBatch) -> dict[str, tuple]:
    """Return for each feature its type, the examples that have it, its values and how often each occurs."""
    (dataset,) = as_statistics(add_counts(map(count_values, batches))).datasets
    return {
        feature.path.step[0]: (
            feature.Type.Name(feature.type),
            feature.string_stats.common_stats.num_non_missing,
            feature.string_stats.common_stats.tot_num_values,
            [(bucket.label, bucket.sample_count) for bucket in feature.string_stats.rank_histogram.buckets],
        )
        for feature in dataset.features
    }


def test_each_value_is_counted_and_the_most_frequent_come_first() -> None:
    assert told(FIRST) == {
        "genres": ("STRING", 3, 3, [("War", 2), ("Drama", 1)]),
        "ids": ("INT", 2, 3, [("7", 2), ("9", 1)]),
        "stars": ("FLOAT", 3, 4, [("4.5", 2), ("4", 1), ("5", 1)]),
    }


def test_batches_are_added_up_and_ids_are_spelt_in_full() -> None:
    counted = told(FIRST, SECOND)

    assert counted["ids"] == ("INT", 3, 4, [("7", 2), ("1234567", 1), ("9", 1)])
    assert counted["stars"][1] == 3
    assert counted["genres"][3][-1] == ("\N{REPLACEMENT CHARACTER}", 1)


def test_adding_up_in_stages_changes_nothing() -> None:
    first, second = count_values(FIRST), count_values(SECOND)

    assert add_counts([add_counts([first, second]), add_counts([first])]) == add_counts([first, first, second])


def test_what_is_added_up_stays_as_it_was() -> None:
    first = count_values(FIRST)

    add_counts([first, first])

    assert first == count_values(FIRST)


def test_a_feature_that_no_example_has_is_told_as_missing() -> None:
    nothing = pa.RecordBatch.from_arrays([pa.array([None, None], pa.null())], names=["ids"])
    (dataset,) = as_statistics(count_values(nothing)).datasets

    assert dataset.num_examples == 2
    assert dataset.features[0].string_stats.common_stats.num_non_missing == 0


def test_no_examples_are_told_as_none() -> None:
    (dataset,) = as_statistics(add_counts([])).datasets

    assert dataset.num_examples == 0
    assert not dataset.features
