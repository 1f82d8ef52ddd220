"""A pipeline's folder with a real store of ML Metadata, in which days pass cheaply."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ml_metadata.proto import metadata_store_pb2

from components.batch_answers.answers import ANSWERS_FILE, USERS
from components.ingestion.layout import places_of_files
from data.examples.manifest import Manifest
from pipeline.housekeeping.deletion import delete, plan_deletion
from pipeline.housekeeping.run_graph import ANSWERS_TYPE, STATISTICS_TYPE, VERDICT_TYPE
from pipeline.metadata_store import open_store

Artifact = metadata_store_pb2.Artifact
Event = metadata_store_pb2.Event
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)

RANGE = 3
"""Accepted spans that a model learns from."""

_MODEL_FILES = ("Format-Serving/saved_model.pb", "Format-Serving/variables/variables.index")


class Home:
    """A pipeline's folder with its metadata; a day is a run that makes a model from examples."""

    def __init__(self, work_dir: Path) -> None:
        self.folder = work_dir / "pipelines" / "mine"
        self.folder.mkdir(parents=True)
        self.metadata = self.folder / "metadata.sqlite"
        store = self.store = open_store(str(self.metadata))
        self.types = {
            kind: store.put_artifact_type(metadata_store_pb2.ArtifactType(name=kind))
            for kind in ("Examples", "Model", "ModelBlessing", STATISTICS_TYPE, VERDICT_TYPE, ANSWERS_TYPE)
        }
        self.contexts = {
            kind: store.put_context_type(metadata_store_pb2.ContextType(name=kind)) for kind in ("pipeline_run", "node")
        }
        self.step = store.put_execution_type(metadata_store_pb2.ExecutionType(name="step"))
        self.days = 0
        self.accepted: dict[int, int] = {}

    def add_day(self, *, blessed: bool = True) -> int:
        """Record a run with its files; return the model's id."""
        run = self._begin()
        examples = self._make(run, "ExampleGen", "Examples", [], ["Split-train/data", "Split-eval/data"])
        model = self._make(run, "Trainer", "Model", [examples], _MODEL_FILES)
        self._make(run, "Evaluator", "ModelBlessing", [examples, model], ["BLESSED"], int(blessed), model)
        return model

    def add_span(self, source: Path, number: int, *, accepted: bool = True) -> int:
        """Record the run of a span with its files; return the id of its examples.

        Parameters
        ----------
        source
            A span's folder. Its examples are recorded as those of the span of the number.
        """
        run = self._begin()
        manifest = Manifest.load(source)
        examples = self._make(run, "ExampleGen", "Examples", [], [])
        [artifact] = self.store.get_artifacts_by_id([examples])
        artifact.custom_properties["span"].int_value = number
        self.store.put_artifacts([artifact])
        for name, place in places_of_files(manifest):
            (Path(artifact.uri) / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, Path(artifact.uri) / place)
        numbered = manifest.model_copy(update={"span": manifest.span.model_copy(update={"number": number})})
        numbered.save(Path(artifact.uri))
        statistics = self._make(run, "StatisticsGen", STATISTICS_TYPE, [examples], ["Split-train/FeatureStats.pb"])
        if accepted:
            self._make(run, "DataGate", VERDICT_TYPE, [statistics], ["verdict.json"], name="statistics")
            self.accepted[number] = examples
            in_range = [self.accepted[span] for span in sorted(self.accepted)[-RANGE:]]
            self._make(run, "RangeStatistics", STATISTICS_TYPE, in_range, ["Split-train/FeatureStats.pb"])
            self._make(run, "Trainer", "Model", in_range, _MODEL_FILES)
        return examples

    def add_answers(self, users: Sequence[int]) -> int:
        """Record a run that answers some users; return the id of the answers."""
        answers = self._make(self._begin(), "BatchRecommender", ANSWERS_TYPE, [], [])
        [artifact] = self.store.get_artifacts_by_id([answers])
        artifact.custom_properties[USERS].int_value = len(users)
        self.store.put_artifacts([artifact])
        Path(artifact.uri).mkdir(parents=True)
        table = pa.table({"id": list(users), "movie_id": [[1]] * len(users)})
        pq.write_table(table, Path(artifact.uri) / ANSWERS_FILE)
        return answers

    def _begin(self) -> int:
        """Record a run with its page, and return the id of its context."""
        self.days += 1
        run = metadata_store_pb2.Context(type_id=self.contexts["pipeline_run"], name=f"day:{self.days}")
        (run.id,) = self.store.put_contexts([run])
        reports = self.folder / "reports"
        reports.mkdir(exist_ok=True)
        (reports / f"day-{self.days}.html").write_text("a page")
        return run.id

    def _make(
        self,
        run: int,
        node: str,
        kind: str,
        read: Sequence[int],
        files: Sequence[str],
        blessed: int = 0,
        model: int = 0,
        name: str = "examples",
    ) -> int:
        execution = metadata_store_pb2.Execution(
            type_id=self.step, last_known_state=metadata_store_pb2.Execution.COMPLETE
        )
        (number,) = self.store.put_executions([execution])
        folder = self.folder / "artifacts" / node / kind.lower() / str(number)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(b"x" * 1000)
        artifact = Artifact(uri=str(folder), type_id=self.types[kind], state=Artifact.LIVE)
        artifact.custom_properties["blessed"].int_value = blessed
        artifact.custom_properties["current_model_id"].int_value = model
        (made,) = self.store.put_artifacts([artifact])
        events = [(one, Event.INPUT) for one in read] + [(made, Event.OUTPUT)]
        self.store.put_events(
            [
                Event(
                    execution_id=number,
                    artifact_id=one,
                    type=kind_of_event,
                    path=Event.Path(steps=[Event.Path.Step(key=name)]),
                )
                for one, kind_of_event in events
            ]
        )
        known = self.store.get_context_by_type_and_name("node", f"mine.{node}")
        if known is None:
            context = metadata_store_pb2.Context(type_id=self.contexts["node"], name=f"mine.{node}")
            (context_id,) = self.store.put_contexts([context])
        else:
            context_id = known.id
        associations = [
            metadata_store_pb2.Association(context_id=one, execution_id=number) for one in (run, context_id)
        ]
        self.store.put_attributions_and_associations([], associations)
        return made

    def collect(self, keep_runs: int = 3, older_than: timedelta | None = None) -> None:
        delete(plan_deletion(self.metadata, keep_runs=keep_runs, older_than=older_than, now=NOW))

    def files(self) -> set[str]:
        artifacts = self.folder / "artifacts"
        return {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*") if path.is_file()}
