"""A model is held against one of the same data alone, and served where the last one was."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from forked_runs import check_in_a_fork

from components.gate_settings import ModelGateSettings
from data.errors import InputError
from data.releases.sample import write_sample_release
from pipeline.local import run_locally
from pipeline.runs.history import read_history
from pipeline.runs.record import RunRecord, read_run_record
from serving.versions import published_versions

pytestmark = pytest.mark.slow


def configuration(sample_run, file: Path, **changes: dict) -> str:
    """Write the sample's configuration with changes to its groups of settings."""
    content = yaml.safe_load(yaml.safe_dump(sample_run.settings.model_dump(mode="json")))
    content = {name: content[name] for name in ("name", "data", "model", "training", "model_gate")}
    for group, values in changes.items():
        content[group] = {**content[group], **values}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(file)


def run(sample_run, config: str) -> tuple[RunRecord, str]:
    return sample_run.run_again(release=None, config=config)


def test_another_seed_of_the_data_is_compared_with_none_and_published_beside_the_first(sample_run, tmp_path):
    with sample_run.put_back():
        config = configuration(sample_run, tmp_path / "seed.yaml", data={"seed": 43}, training={"epochs": 6})
        record, output = run(sample_run, config)
        assert record.evaluation_result.blessed
        assert record.evaluation_result.evaluation.baseline is None
        assert "compared with none: other data (seed was 42 and is 43)" in output
        assert published_versions(Path(sample_run.paths.serving)) == [1, 2], output
        page = (Path(sample_run.paths.metadata).parent / "report.html").read_text()
        assert "compared with none: other data (seed was 42 and is 43)" in page
        assert len(read_history(record)) == 1, "the other data's are not this one's"


def test_a_worse_model_of_the_same_data_is_refused_with_the_interval(sample_run, tmp_path):
    with sample_run.put_back():
        # Above the floor, so that the comparison alone refuses it.
        config = configuration(
            sample_run, tmp_path / "worse.yaml", training={"epochs": 3}, model_gate={"min_recall_at_10_lift": 0}
        )
        record, output = run(sample_run, config)
        difference = record.evaluation_result.evaluation.difference
        assert not record.evaluation_result.blessed
        assert difference.high < -0.005
        assert f"(95 % interval {difference.low:+.4f} to {difference.high:+.4f})" in output
        assert f"on the same {difference.queries:,} queries" in output
        assert published_versions(Path(sample_run.paths.serving)) == [1]


def test_another_context_length_keeps_the_baseline_and_is_no_drift(sample_run, tmp_path):
    with sample_run.put_back():
        config = configuration(
            sample_run,
            tmp_path / "longer.yaml",
            data={"max_context_length": 14},
            training={"epochs": 1},
            model_gate={"min_recall_at_10_lift": 0},
        )
        record, _ = run(sample_run, config)
        before = sample_run.record.evaluation_result.evaluation.candidate["recall_at_10"]
        # The baseline reads the last ten of fourteen movies, as it always did, but leaves all of them out.
        assert record.evaluation_result.evaluation.baseline["recall_at_10"] == pytest.approx(before, abs=0.05)
        assert record.data_verdict["compared_with_previous"]


def test_a_model_that_reads_histories_is_compared_with_one_that_reads_contexts_on_the_same_examples(
    sample_run, tmp_path
):
    of_histories = {"leave_out": "history", "timelines": True}
    with sample_run.put_back():
        config = configuration(
            sample_run,
            tmp_path / "contexts.yaml",
            data=of_histories,
            training={"epochs": 3},
            model_gate={"min_recall_at_10_lift": 0},
        )
        contexts, _ = run(sample_run, config)
        config = configuration(
            sample_run,
            tmp_path / "histories.yaml",
            data=of_histories,
            model={"reads": "history"},
            training={"form": "chunks", "chunk_length": 20, "epochs": 3},
            model_gate={"min_recall_at_10_lift": 0, "max_recall_at_10_drop": 1},
        )
        histories, output = run(sample_run, config)
        evaluation, earlier = (each.evaluation_result.evaluation for each in (histories, contexts))
        # The same model, asked about the same examples as when it was judged.
        for name in ("recall_at_10", "recall_at_10_popularity", "ndcg_at_10", "num_queries"):
            assert evaluation.baseline[name] == pytest.approx(earlier.candidate[name], abs=1e-3), name
        # All of a history is left out for both, so that popularity finds the same.
        assert evaluation.candidate["recall_at_10_popularity"] == pytest.approx(
            evaluation.baseline["recall_at_10_popularity"]
        )
        said = "this model reads whole histories and the last blessed one the last movies alone"
        assert said in output
        assert said in (Path(sample_run.paths.metadata).parent / "report.html").read_text()
        # Who asks the former with ten movies goes on to be answered by it.
        serving = Path(sample_run.paths.serving)
        assert published_versions(serving) == [1, 2]
        assert published_versions(serving.with_name(f"{serving.name}--history")) == [1]


class Growing:
    """A release that grows: the sample under a split by time, and ratings that are appended to it."""

    def __init__(self, sample_run, folder: Path) -> None:
        self.source, self.work_dir = folder / "release", folder / "runs"
        write_sample_release(self.source)
        self._config = configuration(
            sample_run,
            folder / "temporal.yaml",
            data={"split": "temporal"},
            training={"epochs": 1},
            model_gate={"min_recall_at_10_lift": 0},
        )

    def append(self, ratings: list[tuple[int, int, float, int]]) -> None:
        with (self.source / "ratings.csv").open("a") as file:
            file.writelines(f"{','.join(map(str, rating))}\n" for rating in ratings)

    @property
    def movies_and_last_time(self) -> tuple[list[int], int]:
        rows = [line.split(",") for line in (self.source / "ratings.csv").read_text().splitlines()[1:]]
        return sorted({int(row[1]) for row in rows}), max(int(row[3]) for row in rows)

    def run(self) -> RunRecord:
        with check_in_a_fork():
            run_locally(config=self._config, source=self.source, work_dir=self.work_dir)
        return self.record()

    def record(self) -> RunRecord:
        (metadata,) = (self.work_dir / "pipelines").glob("*/metadata.sqlite")
        return read_run_record(str(metadata), ModelGateSettings())


def test_under_a_split_by_time_data_that_grows_keeps_baseline_and_statistics_and_drift_stops_it(sample_run, tmp_path):
    growing = Growing(sample_run, tmp_path)
    assert growing.run().evaluation_result.evaluation.baseline is None
    movies, last = growing.movies_and_last_time
    growing.append(
        [
            (user, movies[(7 * user + place) % len(movies)], 4.0, last + user + place)
            for user in range(1, 9)
            for place in range(3)
        ]
    )
    grown = growing.run()
    assert grown.evaluation_result.evaluation.baseline is not None
    assert grown.data_verdict["compared_with_previous"]
    # A third of all ratings are of a few movies now.
    growing.append(
        [
            (10_000 + user, movies[place], 5.0, last + 100 + 20 * user + place)
            for user in range(900)
            for place in range(10)
        ]
    )
    with pytest.raises(InputError, match="the data is refused: drift in train"):
        growing.run()
    states = {step.name: step.state for step in growing.record().steps}
    assert states["DataGate"] == "failed"
    assert "Trainer" not in states
    assert published_versions(growing.work_dir / "serving" / "next-movie-default-sample") == [1, 2]


def test_ratings_that_are_appended_are_other_data_under_a_random_split(sample_run, tmp_path):
    source = tmp_path / "release"
    write_sample_release(source)
    with (source / "ratings.csv").open("a") as file:
        file.write("1,1,4.0,1700000000\n")
    with sample_run.put_back():
        config = configuration(sample_run, tmp_path / "grown.yaml", training={"epochs": 1})
        record, output = sample_run.run_again(release=None, config=config, source=source)
        assert record.evaluation_result.evaluation.baseline is None
        assert "compared with none: other data (the source's content changed)" in output
