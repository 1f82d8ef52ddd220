"""What earlier runs left is found by the identity of its data, in a real metadata store."""

from __future__ import annotations

import shutil
from pathlib import Path

import ml_metadata as mlmd
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import DataVerdict
from components.history.comparability import why_passed_over
from components.history.lineage import manifest_behind
from components.history.resolving import ComparableModel, PreviousStatistics
from data.examples.manifest import DataSizes, Manifest
from data.identity import DataIdentity
from data.options import GenerateOptions
from serving.export_record import FORMAT, RECORD_FILE, ExportRecord

pytestmark = pytest.mark.slow

standard = tfx.types.standard_artifacts
_Event = metadata_store_pb2.Event
_Execution = metadata_store_pb2.Execution


def manifest(source: str = "a", train_until: int | None = None, **options: object) -> Manifest:
    chosen = GenerateOptions.model_validate({"release": "sample", **options})
    return Manifest(
        release="sample",
        source_digest=source,
        options=chosen,
        split=chosen.split,
        train_until=train_until,
        counts=DataSizes(train=1, eval=1, ratings=1, users=1, movies=1),
        shards=(),
        catalogue_file="catalogue.jsonl",
        catalogue_sha256="",
        libraries={},
    )


class Runs:
    """A metadata store with what earlier runs made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)
        self.all: dict[str, list[types.Artifact]] = {}

    def examples(self, of: Manifest) -> types.Artifact:
        made = self._put(standard.Examples)
        of.save(Path(made.uri))
        return made

    def model(self, examples: types.Artifact, *, blessed: bool = True, record: ExportRecord | None = None) -> Path:
        """Add a model, with the record of its export, and its blessing; return the model's folder."""
        made = self._put(standard.Model)
        serving = Path(made.uri) / "Format-Serving"
        tf.train.Checkpoint(weight=tf.Variable([1.0, 2.0])).write(str(serving / "variables" / "variables"))
        (serving / "saved_model.pb").touch()
        if record is not None:
            (serving / RECORD_FILE).parent.mkdir(parents=True)
            (serving / RECORD_FILE).write_text(record.model_dump_json())
        self._execute("Trainer", {"examples": examples}, {"model": made})
        blessing = standard.ModelBlessing()
        blessing.set_int_custom_property("current_model_id", made.id)
        blessing.set_int_custom_property("blessed", int(blessed))
        self._put(blessing)
        return Path(made.uri)

    def statistics(
        self, examples: types.Artifact, state: int = _Execution.COMPLETE, gate: str = "components.data_gate.DataGate"
    ) -> types.Artifact:
        """Add statistics that a data gate judged; one that failed left no verdict."""
        made = self._put(standard.ExampleStatistics)
        (Path(made.uri) / "Split-train").mkdir()
        (Path(made.uri) / "Split-train" / "FeatureStats.pb").touch()
        self._execute(
            "components.statistics.statistics_gen.ShardStatisticsGen", {"examples": examples}, {"statistics": made}
        )
        passed = state in (_Execution.COMPLETE, _Execution.CACHED)
        verdict = {"verdict": self._put(DataVerdict)} if passed else {}
        self._execute(gate, {"statistics": made}, verdict, state)
        return made

    def report(self, **read: types.Artifact) -> None:
        self._execute("components.report.run_report.RunReporter", read, {})

    def baseline(self, examples: types.Artifact) -> tuple[list[str], list[str]]:
        """Resolve the model to compare with; return the folders of it and of what was passed over."""
        models = self.all.get("Model", [])
        found = ComparableModel().resolve_artifacts(
            self.store,
            {
                "examples": [examples],
                "model": list(models),
                "model_blessing": list(self.all.get("ModelBlessing", [])),
                "passed_over": list(models),
            },
        )
        return [model.uri for model in found["model"]], [model.uri for model in found["passed_over"]]

    def previous(self, examples: types.Artifact, current: types.Artifact) -> list[types.Artifact]:
        found = PreviousStatistics().resolve_artifacts(
            self.store,
            {"examples": [examples], "current": [current], "previous": list(self.all["ExampleStatistics"])},
        )
        return found["previous"]

    def _put(self, what: types.Artifact | type[types.Artifact]) -> types.Artifact:
        artifact = what if isinstance(what, types.Artifact) else what()
        known = self.all.setdefault(artifact.type_name, [])
        artifact.uri = str(self._folder / f"{artifact.type_name}-{len(known)}")
        Path(artifact.uri).mkdir()
        artifact.mlmd_artifact.type_id = self.store.put_artifact_type(artifact.artifact_type)
        (artifact.id,) = self.store.put_artifacts([artifact.mlmd_artifact])
        (stored,) = self.store.get_artifacts_by_id([artifact.id])
        (kind,) = self.store.get_artifact_types_by_id([stored.type_id])
        known.append(artifact_utils.deserialize_artifact(kind, stored))
        return known[-1]

    def _execute(
        self,
        type_name: str,
        inputs: dict[str, types.Artifact],
        outputs: dict[str, types.Artifact],
        state: int = _Execution.COMPLETE,
    ) -> None:
        type_id = self.store.put_execution_type(metadata_store_pb2.ExecutionType(name=type_name))
        pairs = []
        for kind, artifacts in ((_Event.INPUT, inputs), (_Event.OUTPUT, outputs)):
            for key, artifact in artifacts.items():
                event = _Event(type=kind)
                event.path.steps.add(key=key)
                event.path.steps.add(index=0)
                pairs.append((artifact.mlmd_artifact, event))
        self.store.put_execution(_Execution(type_id=type_id, last_known_state=state), pairs, [])


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def record_of(of: Manifest) -> ExportRecord:
    length = of.options.max_context_length
    return ExportRecord(format=FORMAT, max_context_length=length, data=DataIdentity.of(of))


def test_when_no_model_was_blessed_there_is_none_to_compare_with(runs):
    examples = runs.examples(manifest())
    runs.model(examples, blessed=False, record=record_of(manifest()))
    assert runs.baseline(examples) == ([], [])


def test_the_last_blessed_model_of_the_same_data_is_compared_with(runs):
    examples = runs.examples(manifest())
    runs.model(examples, record=record_of(manifest()))
    second = runs.model(examples, record=record_of(manifest()))
    runs.model(examples, blessed=False, record=record_of(manifest()))
    assert runs.baseline(examples) == ([str(second)], [])


def test_a_model_of_other_data_is_passed_over_and_the_reason_is_told(runs):
    earlier = manifest(seed=42)
    other = runs.model(runs.examples(earlier), record=record_of(earlier))
    examples = runs.examples(manifest(seed=43))
    assert runs.baseline(examples) == ([], [str(other)])
    assert why_passed_over(other, Path(examples.uri)) == "other data (seed was 42 and is 43)"


def test_ratings_that_were_added_are_said_to_be_other_data(runs):
    other = runs.model(runs.examples(manifest("a")), record=record_of(manifest("a")))
    examples = runs.examples(manifest("b"))
    assert runs.baseline(examples) == ([], [str(other)])
    assert why_passed_over(other, Path(examples.uri)) == "other data (the source's content changed)"


def test_ratings_that_were_added_behind_a_cut_by_time_keep_the_baseline(runs):
    earlier = manifest("a", train_until=100, split="temporal")
    kept = runs.model(runs.examples(earlier), record=record_of(earlier))
    assert runs.baseline(runs.examples(manifest("b", train_until=120, split="temporal"))) == ([str(kept)], [])


def test_coming_back_to_earlier_data_finds_its_own_baseline_again(runs):
    one, other = runs.examples(manifest(seed=42)), runs.examples(manifest(seed=43))
    first = runs.model(one, record=record_of(manifest(seed=42)))
    runs.model(other, record=record_of(manifest(seed=43)))
    assert runs.baseline(one) == ([str(first)], [])


@pytest.mark.parametrize("changed", [{"max_context_length": 20}, {"shards": 3}, {"max_context_movie_genre_length": 4}])
def test_another_form_of_the_same_examples_keeps_the_baseline(runs, changed):
    kept = runs.model(runs.examples(manifest()), record=record_of(manifest()))
    assert runs.baseline(runs.examples(manifest(**changed))) == ([str(kept)], [])


def test_a_model_of_an_earlier_version_is_known_by_its_lineage(runs):
    before = runs.model(runs.examples(manifest()))
    assert runs.baseline(runs.examples(manifest())) == ([str(before)], [])
    examples = runs.examples(manifest(seed=43))
    assert runs.baseline(examples) == ([], [str(before)])
    fitted_to = manifest_behind(runs.store, runs.all["Model"][0].id)
    assert why_passed_over(before, Path(examples.uri), fitted_to) == "other data (seed was 42 and is 43)"


def test_a_model_of_an_earlier_version_ranks_contexts_of_its_own_length_only(runs):
    before = runs.model(runs.examples(manifest()))
    examples = runs.examples(manifest(max_context_length=20))
    assert runs.baseline(examples) == ([], [str(before)])
    fitted_to = manifest_behind(runs.store, runs.all["Model"][0].id)
    assert why_passed_over(before, Path(examples.uri), fitted_to).endswith("ranks contexts of its own length only")


def test_a_damaged_manifest_of_an_earlier_run_is_none_and_stops_no_run(runs):
    damaged = runs.examples(manifest())
    runs.model(damaged)
    runs.statistics(damaged)
    (Path(damaged.uri) / "manifest.json").write_text("{")
    examples = runs.examples(manifest())
    assert runs.baseline(examples)[0] == []
    assert runs.previous(examples, runs.statistics(examples)) == []


def test_a_step_that_reads_a_verdict_and_other_statistics_is_no_gate(runs):
    examples = runs.examples(manifest())
    refused = runs.statistics(examples, state=_Execution.FAILED)
    passed = runs.statistics(examples)
    runs.report(verdict=runs.all[DataVerdict.TYPE_NAME][-1], statistics=refused)
    current = runs.statistics(runs.examples(manifest(shards=2)))
    assert [found.id for found in runs.previous(examples, current)] == [passed.id]


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(shutil.rmtree, id="folder gone"),
        pytest.param(lambda folder: (folder / "saved_model.pb").unlink(), id="graph gone"),
        pytest.param(lambda folder: (folder / "saved_model.pb").write_bytes(b"\xff"), id="graph damaged"),
        pytest.param(lambda folder: shutil.rmtree(folder / "variables"), id="weights gone"),
        pytest.param(
            lambda folder: flip_a_bit(folder / "variables" / "variables.data-00000-of-00001"), id="weights damaged"
        ),
    ],
)
def test_a_model_that_is_gone_or_damaged_is_none(runs, harm):
    examples = runs.examples(manifest())
    first = runs.model(examples, record=record_of(manifest()))
    harmed = runs.model(examples, record=record_of(manifest()))
    harm(harmed / "Format-Serving")
    assert runs.baseline(examples) == ([str(first)], [])


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["gone", "damaged"])
def test_statistics_that_are_gone_or_damaged_are_none(runs, content):
    first = runs.statistics(runs.examples(manifest()))
    harmed = Path(runs.statistics(runs.examples(manifest())).uri) / "Split-train" / "FeatureStats.pb"
    if content is None:
        harmed.unlink()
    else:
        harmed.write_bytes(content)
    examples = runs.examples(manifest())
    assert [found.id for found in runs.previous(examples, runs.statistics(examples))] == [first.id]


def test_previous_statistics_are_the_newest_others_of_the_same_data_that_the_gate_let_pass(runs):
    first = runs.statistics(runs.examples(manifest()))
    runs.statistics(runs.examples(manifest(seed=43)))
    runs.statistics(runs.examples(manifest()), state=_Execution.FAILED)
    examples = runs.examples(manifest(max_context_length=20))
    current = runs.statistics(examples)
    assert [found.id for found in runs.previous(examples, current)] == [first.id]


def test_when_all_earlier_statistics_are_of_other_data_there_is_nothing_to_compare_with(runs):
    runs.statistics(runs.examples(manifest("a")))
    examples = runs.examples(manifest("b"))
    assert runs.previous(examples, runs.statistics(examples)) == []


def test_the_gate_is_known_by_its_verdict_wherever_its_module_lies(runs):
    earlier = runs.statistics(runs.examples(manifest()), gate="components.elsewhere.DataGate")
    examples = runs.examples(manifest())
    assert [found.id for found in runs.previous(examples, runs.statistics(examples))] == [earlier.id]


def test_the_manifest_behind_an_artifact_is_that_of_the_examples_that_its_step_read(runs):
    statistics = runs.statistics(runs.examples(manifest(seed=5)))
    assert manifest_behind(runs.store, statistics.id).options.seed == 5


def test_names_that_metadata_of_earlier_runs_holds_stay():
    # Renaming one would make what earlier runs left invisible.
    assert DataVerdict.TYPE_NAME == "next_movie.DataVerdict"
