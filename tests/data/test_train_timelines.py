"""The train timelines beside the windows: what they hold of a release, and what no split lets into them."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from data_helpers import read_csv_release, read_examples
from plain_reference import plain_examples

from data.examples.manifest import Manifest
from data.examples.shards import TIMELINES
from data.features import CONTEXT_LENGTH, CONTEXT_MOVIE_ID, LABEL_MOVIE_ID, TIMELINE_IS_LABEL, TIMELINE_MOVIE_ID
from data.generate import generate
from data.options import GenerateOptions

SPLITS = ("random", "leave_one_out", "temporal")


def options_of(split: str = "random", **changes: object) -> GenerateOptions:
    values = {"release": "ml-latest-small", "split": split, "train_fraction": 0.7, "timelines": True, **changes}
    return GenerateOptions.model_validate(values)


def windows_of(folder: Path, split: str) -> Counter:
    """Count the windows of a split: context and label."""
    return Counter(
        (example[CONTEXT_MOVIE_ID][: example[CONTEXT_LENGTH][0]], example[LABEL_MOVIE_ID][0])
        for example in read_examples(folder, split)
    )


def labels_with_contexts(folder: Path, length: int = 10) -> Counter:
    """Count the labels of the train timelines, each with the movies before it."""
    counted: Counter = Counter()
    for timeline in read_examples(folder, TIMELINES):
        movies, marks = timeline[TIMELINE_MOVIE_ID], timeline[TIMELINE_IS_LABEL]
        assert len(movies) == len(marks)
        counted.update(
            (movies[max(0, place - length) : place], movies[place]) for place, mark in enumerate(marks) if mark
        )
    return counted


@pytest.mark.parametrize("split", SPLITS)
def test_the_labels_of_timelines_are_those_of_the_train_windows(small_release: Path, tmp_path: Path, split: str):
    generate(options_of(split, shards=3), tmp_path / "out", source=small_release)
    assert labels_with_contexts(tmp_path / "out") == windows_of(tmp_path / "out", "train")


@pytest.mark.parametrize("split", ["leave_one_out", "temporal"])
def test_a_split_that_keeps_the_users_order_lets_no_held_out_movie_into_timelines(
    small_release: Path, tmp_path: Path, split: str
):
    generate(options_of(split), tmp_path / "out", source=small_release)
    examples = plain_examples(*read_csv_release(small_release))
    held_out = windows_of(tmp_path / "out", "eval")
    watched = defaultdict(list)
    for example in examples:
        watched[example.user].append(example)
    expected = []
    for timeline in watched.values():
        # Plain examples that the eval split holds; all before them train, or stand before what trains.
        train = [
            example
            for example in timeline
            if (example.context_movie_id[: example.context_length], example.label_movie_id) not in held_out
        ]
        if train:
            first = timeline[0].context_movie_id[0]
            expected.append((first, *(example.label_movie_id for example in train)))
    assert Counter(read[TIMELINE_MOVIE_ID] for read in read_examples(tmp_path / "out", TIMELINES)) == Counter(expected)
    for read in read_examples(tmp_path / "out", TIMELINES):
        assert read[TIMELINE_IS_LABEL] == (0, *[1] * (len(read[TIMELINE_MOVIE_ID]) - 1))


def test_under_the_random_split_a_held_out_movie_is_read_and_never_a_label(small_release: Path, tmp_path: Path):
    generate(options_of(), tmp_path / "out", source=small_release)
    read = read_examples(tmp_path / "out", TIMELINES)
    assert not any(label for label in (labels_with_contexts(tmp_path / "out") & windows_of(tmp_path / "out", "eval")))
    unmarked = [mark for timeline in read for mark in timeline[TIMELINE_IS_LABEL][1:]].count(0)
    assert unmarked > 0
    assert all(timeline[TIMELINE_IS_LABEL][-1] == 1 and timeline[TIMELINE_IS_LABEL][0] == 0 for timeline in read)


def test_timelines_change_no_byte_of_the_windows(small_release: Path, tmp_path: Path):
    generate(options_of(timelines=False), tmp_path / "without", source=small_release)
    generate(options_of(), tmp_path / "with", source=small_release)
    names = {path.name for path in (tmp_path / "without").iterdir()} - {"manifest.json"}
    assert {path.name for path in (tmp_path / "with").iterdir()} - names == {
        "manifest.json",
        "timelines-00000-of-00001.tfrecord.gz",
    }
    for name in names:
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_shards_of_timelines_of_any_number_give_the_same_sequence(small_release: Path, tmp_path: Path):
    sequences = []
    for shards in (1, 4, 300):
        manifest = generate(options_of(shards=shards), tmp_path / str(shards), source=small_release)
        assert len(manifest.shards_of(TIMELINES)) == shards
        sequences.append(read_examples(tmp_path / str(shards), TIMELINES))
        assert sum(shard.examples for shard in manifest.shards_of(TIMELINES)) == len(sequences[-1])
    assert sequences[0] == sequences[1] == sequences[2]


def test_a_damaged_shard_of_timelines_is_generated_anew(small_release: Path, tmp_path: Path):
    output = tmp_path / "out"
    manifest = generate(options_of(), output, source=small_release)
    (shard,) = manifest.shards_of(TIMELINES)
    (output / shard.name).write_bytes(b"")
    generate(options_of(), output, source=small_release)
    Manifest.load(output).verify(output)
