from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import inspect_data
from components.statistics.feature_statistics import read_split_statistics
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.generate import generate
from data.options import GenerateOptions

pytestmark = pytest.mark.slow


@pytest.fixture
def inspect(sample_run: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command on the sample's work directory; return exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = inspect_data.main([*arguments, "--work-dir", str(sample_run.work_dir)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_show_finds_the_latest_runs_statistics_through_ml_metadata(inspect: Any, sample_run: Any) -> None:
    code, out, _ = inspect("show", "--json")

    shown = json.loads(out)
    manifest = Manifest.load(sample_run.artifact("ExampleGen", "examples"))
    read = read_split_statistics(sample_run.artifact("StatisticsGen", "unpadded"), "train", manifest)
    assert code == 0
    assert shown["splits"]["train"] == read.model_dump()


def test_show_prints_tables_with_titles(inspect: Any, sample_run: Any) -> None:
    code, out, _ = inspect("show")

    assert code == 0
    assert "21,388" in out
    assert "padding in contexts" in out
    labels = json.loads(inspect("show", "--json")[1])["splits"]["train"]["features"]["label_movie_id"]["counts"]
    most = max(labels, key=labels.get)
    catalogue = (sample_run.artifact("ExampleGen", "examples") / "catalogue.jsonl").read_text()
    title = next(movie["title"] for movie in map(json.loads, catalogue.splitlines()) if movie["id"] == int(most))
    assert title in out


def test_compare_holds_eval_against_train_by_default(inspect: Any) -> None:
    code, out, _ = inspect("compare", "--json")

    compared = json.loads(out)
    assert code == 0
    assert compared["left"].endswith("train")
    assert compared["right"].endswith("eval")
    assert all({"linf", "linf_limit", "js", "js_limit", "movers"} <= row.keys() for row in compared["distances"])


def test_what_moved_stands_under_the_names_of_what_is_compared(inspect: Any, tmp_path: Path) -> None:
    _, out, _ = inspect("compare", "--html", str(tmp_path / "page.html"))

    movers = out.partition("What moved most\n")[2].splitlines()[0]
    assert movers.split() == ["feature", "value", "train", "eval"]
    assert '<th scope="col">train</th><th scope="col">eval</th><th scope="col">change</th>' in (
        tmp_path / "page.html"
    ).read_text(encoding="utf-8")


def test_validate_finds_nothing_wrong_with_a_run_that_passed(inspect: Any) -> None:
    code, out, _ = inspect("validate")

    assert code == 0
    assert "no anomalies" in out


def test_validate_infer_shows_what_is_curated(inspect: Any) -> None:
    code, out, _ = inspect("validate", "--infer", "--json")

    assert code == 0
    assert {"feature": "context_movie_rating", "what": "domain", "curated": "0 to 5", "inferred": "any"} in json.loads(
        out
    )["differences"]


def changed_shards(folder: Path, change: Callable[[Any], None]) -> Path:
    """Generate the sample's shards with their first eval example changed, and a manifest that is true to it."""
    generate(GenerateOptions(release="sample"), folder)
    manifest = Manifest.load(folder)
    shards = []
    for shard in manifest.shards:
        path = folder / shard.name
        if shard.split == "eval":
            records = list(tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator())
            example = tf.train.Example.FromString(records[0])
            change(example.features.feature)
            with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
                for record in [example.SerializeToString(), *records[1:]]:
                    writer.write(record)
        shards.append(shard.model_copy(update={"sha256": file_sha256(path), "bytes": path.stat().st_size}))
    manifest.model_copy(update={"shards": tuple(shards)}).save(folder)
    return folder


def test_validate_ends_with_1_on_an_anomaly_and_names_the_example(inspect: Any, tmp_path: Path) -> None:
    def write_a_genre_of_no_movie(feature: Any) -> None:
        feature["context_movie_genre"].bytes_list.value[0] = b"Polka"

    folder = changed_shards(tmp_path / "shards", write_a_genre_of_no_movie)

    code, out, _ = inspect("validate", str(folder))

    assert code == 1
    assert "eval, context_movie_genre" in out
    assert "Polka" in out
    assert "example 1:" in out


def test_stars_off_the_grid_are_refused_where_the_arrays_are(inspect: Any, tmp_path: Path) -> None:
    def give_four_and_a_quarter_stars(feature: Any) -> None:
        feature["context_movie_rating"].float_list.value[0] = 4.25

    folder = changed_shards(tmp_path / "shards", give_four_and_a_quarter_stars)

    code, _, err = inspect("show", str(folder))

    assert code == 2
    assert "4.25" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nowhere"], "neither latest, previous, a number nor a folder"),
        (["show", "99"], "there is no number 99"),
        (["show", "previous"], "no previous data"),
        (["show", "--pipeline", "other"], "no pipeline 'other'"),
        (["show", "--html", "/nowhere/page.html"], "can't be written"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(inspect: Any, arguments: list[str], said: str) -> None:
    code, _, err = inspect(*arguments)

    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_a_folder_without_a_manifest_is_refused(inspect: Any, tmp_path: Path) -> None:
    code, _, err = inspect("show", str(tmp_path))

    assert code == 2
    assert "manifest" in err


def test_before_any_run_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_data.main(["show", "--work-dir", str(tmp_path)]) == 2
    assert "local_runner.py" in capsys.readouterr().err
