"""What TensorBoard itself reads out of a run's logs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.projector import ProjectorConfig

from data.releases.catalogue import Catalogue, Movie
from serving.recommender import Recommender
from trainer_module.settings import ModelSettings, TrainingSettings
from trainer_module.tensorboard_logs import METADATA_COLUMNS, metadata_lines, write_hyperparameters, write_projector

if TYPE_CHECKING:
    from shared_run import SampleRun


def read(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def curve(folder: Path, tag: str) -> list[float]:
    return [float(tf.make_ndarray(event.tensor_proto)) for event in read(folder).Tensors(tag)]


def hyperparameters(folder: Path) -> dict[str, Any]:
    summary = read(folder).SummaryMetadata(hparams_metadata.SESSION_START_INFO_TAG)
    info = hparams_metadata.parse_session_start_info_plugin_data(summary.plugin_data.content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}


def test_settings_are_hyper_parameters_under_the_names_of_a_configuration(tmp_path: Path) -> None:
    model, training = ModelSettings(dropout=0.3, gru_units=None), TrainingSettings(epochs=3)
    write_hyperparameters(str(tmp_path), {"model": model, "training": training})
    found = hyperparameters(tmp_path)
    assert found["model.dropout"] == 0.3
    assert found["model.gru_units"] == "null"
    assert found["model.tied_tables"] is True
    assert found["training.optimizer"] == "adamw"
    assert len(found) == len(ModelSettings.model_fields) + len(TrainingSettings.model_fields)


def test_a_cell_of_the_metadata_holds_no_tab_and_no_line_end() -> None:
    movies = [Movie("a\tb", "One\tof\r\nthese\u2028", 1999, ("X\nY", "Z")), Movie("c", "", 0, ())]
    lines = metadata_lines(["c", "a\tb", "none"], Catalogue.of(movies))
    assert lines == [
        "\t".join(METADATA_COLUMNS),
        "\t\t\tc\t1",
        "One of these\t1999\tX Y|Z\ta b\t2",
        "movie none\t\t\tnone\t3",
    ]


def test_of_a_large_catalogue_the_most_frequent_movies_are_drawn(tmp_path: Path) -> None:
    count = 10_500
    write_projector(str(tmp_path), np.zeros((count, 1), np.float32), np.arange(count), Catalogue.of([]))
    for name, lines in (("candidates.tsv", 10_000), ("candidates-metadata.tsv", 10_001)):
        assert len((tmp_path / name).read_text().splitlines()) == lines


@pytest.fixture(scope="module")
def logs(sample_run: SampleRun) -> Path:
    return sample_run.artifact("Trainer", "model_run")


@pytest.fixture(scope="module")
def config(logs: Path) -> ProjectorConfig:
    return text_format.Parse((logs / "projector_config.pbtxt").read_text(), ProjectorConfig())


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["recall_at_10", "recall_at_100", "ndcg_at_10"])
def test_a_run_has_its_validation_metrics_by_epoch(sample_run: SampleRun, logs: Path, metric: str) -> None:
    values = curve(logs / "validation", f"epoch_{metric}")
    assert values == pytest.approx(json.loads((logs / "history.json").read_text())[f"val_{metric}"], abs=1e-6)
    assert len(values) == sample_run.settings.training.epochs
    assert values[-1] > values[0]


@pytest.mark.slow
def test_a_run_has_its_settings_as_hyper_parameters(sample_run: SampleRun, logs: Path) -> None:
    found = hyperparameters(logs)
    assert found["model.dropout"] == pytest.approx(sample_run.settings.model.dropout)
    assert found["training.epochs"] == sample_run.settings.training.epochs


@pytest.mark.slow
def test_neighbours_in_the_projector_are_the_similar_movies(
    sample_run: SampleRun, logs: Path, config: ProjectorConfig
) -> None:
    (embedding,) = config.embeddings
    vectors = np.loadtxt(logs / embedding.tensor_path, delimiter="\t")
    header, *rows = [line.split("\t") for line in (logs / embedding.metadata_path).read_text().splitlines()]
    recommender = Recommender.load(sample_run.model)
    assert tuple(header) == METADATA_COLUMNS
    assert len(rows) == len(vectors) > 100
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for place in (0, 50):
        cosines = units @ units[place]
        cosines[place] = -2
        order = np.argsort(-cosines)[:5]
        similar = recommender.similar(int(rows[place][3]), k=5)
        assert [rows[other][0] for other in order] == [movie.title for movie in similar]
        assert [rows[other][2] for other in order] == ["|".join(movie.genres) for movie in similar]
        assert cosines[order] == pytest.approx([movie.score for movie in similar], abs=1e-4)


@pytest.fixture(scope="module")
def ask(logs: Path) -> Iterator[Callable[[str], bytes]]:
    """Start TensorBoard on the folder of all runs' logs; answer a path."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs.parent), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--load_fast", "false"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        addresses = (re.search(r"at (http://\S+?)/? ", line) for line in process.stderr)
        address = next(found[1] for found in addresses if found)

        def answer(path: str) -> bytes:
            with urllib.request.urlopen(f"{address}{path}", timeout=60) as reply:  # noqa: S310, it is http
                return reply.read()

        yield answer
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stderr.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_real_tensorboard_shows_projector_curves_and_hyper_parameters(
    logs: Path, config: ProjectorConfig, ask: Callable[[str], bytes]
) -> None:
    run = logs.name
    assert json.loads(ask("/data/plugin/projector/runs")) == [run]
    (shown,) = json.loads(ask(f"/data/plugin/projector/info?run={run}"))["embeddings"]
    assert shown["tensorName"] == "candidates"
    metadata = ask(f"/data/plugin/projector/metadata?run={run}&name=candidates")
    assert metadata == (logs / config.embeddings[0].metadata_path).read_bytes()
    tensor = np.frombuffer(ask(f"/data/plugin/projector/tensor?run={run}&name=candidates"), np.float32)
    assert tensor.reshape(shown["tensorShape"]) == pytest.approx(
        np.loadtxt(logs / config.embeddings[0].tensor_path, delimiter="\t"), abs=1e-5
    )
    assert "epoch_recall_at_100" in json.loads(ask("/data/plugin/scalars/tags"))[f"{run}/validation"]
    experiment = json.loads(ask("/data/plugin/hparams/experiment?request=%7B%7D"))
    assert "model.dropout" in {shown["name"] for shown in experiment["hparamInfos"]}
    assert {"group": "validation", "tag": "epoch_recall_at_10"} in [of["name"] for of in experiment["metricInfos"]]
