"""The quick way through the data gives what stock components give: only the time differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from beam_results import SPLITS, statistics, vocabulary
from tfx import v1 as tfx
from tfx.orchestration.pipeline import RunOptions

from benchmarks.speed.stock_tfx import textbook_pipeline
from serving.artifact_files import example_files
from trainer_module.dataset import read_windows
from trainer_module.preprocessing import CONTEXT_MOVIE_INDEX, LABEL_MOVIE_INDEX

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Textbook:
    """What the textbook's components made of the same shards."""

    root: Path

    def artifact(self, node: str, output: str) -> Path:
        """Return the folder of the only output that there is."""
        (folder,) = self.root.glob(f"{node}/{output}/*")
        return folder


@pytest.fixture(scope="module")
def textbook(sample_run, tmp_path_factory) -> Textbook:
    """Run the textbook's wiring on the sample's shards, up to Transform."""
    home = tmp_path_factory.mktemp("textbook")
    paths = replace(
        sample_run.paths,
        pipeline_root=str(home / "artifacts"),
        serving=str(home / "serving"),
        metadata=str(home / "metadata.sqlite"),
    )
    pipeline = textbook_pipeline(paths, curated_schema=True)
    tfx.orchestration.LocalDagRunner().run(pipeline, run_options=RunOptions(to_nodes=["StatisticsGen", "Transform"]))
    return Textbook(home / "artifacts")


def records(folder: Path, split: str) -> list[bytes]:
    files = [str(file) for file in sorted((folder / f"Split-{split}").iterdir())]
    return list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())


def examples(folder: Path, split: str) -> Counter[bytes]:
    """Count serialised examples. The order of the features in one means nothing: it is made the same."""
    return Counter(
        tf.train.Example.FromString(record).SerializeToString(deterministic=True) for record in records(folder, split)
    )


@pytest.mark.parametrize("split", SPLITS)
def test_both_ways_give_the_same_examples(sample_run, textbook, split):
    ours = examples(sample_run.artifact("ExampleGen", "examples"), split)
    assert ours.total() > 1000
    assert ours == examples(textbook.artifact("ImportExampleGen", "examples"), split)


def test_both_ways_give_the_same_vocabulary(sample_run, textbook):
    ours, theirs = (vocabulary(run.artifact("Transform", "transform_graph")) for run in (sample_run, textbook))
    assert ours == theirs


def test_both_ways_leave_the_same_files_and_metadata_of_the_transform(sample_run, textbook):
    ours, theirs = (run.artifact("Transform", "transform_graph") for run in (sample_run, textbook))
    files, expected = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} for folder in (ours, theirs)
    )
    assert files == expected
    for kind in ("metadata", "transformed_metadata"):
        assert (ours / kind / "schema.pbtxt").read_text() == (theirs / kind / "schema.pbtxt").read_text()


def test_applying_the_transform_graph_while_reading_gives_the_materialised_windows(sample_run, textbook):
    transform_output = tft.TFTransformOutput(str(sample_run.artifact("Transform", "transform_graph")))
    files = example_files(str(sample_run.artifact("ExampleGen", "examples")), "train")
    windows = read_windows(files, transform_output)
    materialised = [
        tf.train.Example.FromString(record).features.feature
        for record in records(textbook.artifact("Transform", "transformed_examples"), "train")
    ]
    rows = np.column_stack([windows.context, windows.label])
    assert Counter(map(tuple, rows.tolist())) == Counter(
        (*feature[CONTEXT_MOVIE_INDEX].int64_list.value, *feature[LABEL_MOVIE_INDEX].int64_list.value)
        for feature in materialised
    )


@pytest.mark.parametrize("split", SPLITS)
def test_both_ways_give_the_same_statistics(sample_run, textbook, split):
    ours, theirs = (statistics(run.artifact("StatisticsGen", "statistics"), split) for run in (sample_run, textbook))
    assert len(ours["features"]) == 7
    assert ours == theirs
