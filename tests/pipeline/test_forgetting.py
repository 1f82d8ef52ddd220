"""`history.py forget` takes a user out of spans, the copies that runs read, batch answers and request logs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from recorded_days import Artifact, Home

import history
from components.batch_answers.answers import ANSWERS_FILE, FORGOTTEN, USERS
from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import Manifest
from data.generate import generate
from data.options import GenerateOptions
from data.request_log.files import log_file_name
from data.request_log.records import ServedRequest, write_record
from data.spans.series import list_spans, read_events, span_folder
from data.spans.writing import write_spans
from pipeline.housekeeping import forgetting
from pipeline.housekeeping.run_graph import EXAMPLES_TYPE, RunGraph, read_run_graph
from pipeline.run_lock import only_run_in
from serving.export_record import RECORD_FILE, ExportRecord
from serving.publication import PUBLICATION_FILE
from serving.training_record import TrainingRecord
from serving.versions import GRAPH_FILE

USER, ANOTHER = 5, 10
"""Both have events in the spans 2 and 3 of the sample."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the spans of the sample, with last histories."""
    series = tmp_path_factory.mktemp("series")
    write_spans(GenerateOptions(release="sample"), series, by="year", last_histories=5)
    return series


class WorkDir:
    """A work directory whose first three spans were read by runs, the third refused; all users were answered."""

    def __init__(self, folder: Path, written: Path) -> None:
        self.folder = folder
        self.home = Home(folder)
        self.series = folder / "data" / "mine"
        shutil.copytree(written, self.series)
        self.examples = [
            self.home.add_span(span_folder(self.series, number), number, accepted=number != 3) for number in (1, 2, 3)
        ]
        self.answers = self.home.add_answers(range(1, 11))

    def publish(self, version: int, *spans: tuple[int, int]) -> None:
        folder = self.folder / "serving" / "mine" / str(version)
        for name, content in {
            GRAPH_FILE: "",
            PUBLICATION_FILE: json.dumps({"pipeline": "mine"}),
            RECORD_FILE: ExportRecord(
                training=TrainingRecord(model={}, start="cold", rows_new=1, span=3, spans=spans)
            ).model_dump_json(),
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)

    def forget(self, *more: object) -> int:
        return history.main(["forget", "--user", str(USER), "--work-dir", str(self.folder), *map(str, more)])

    def graph(self) -> RunGraph:
        return read_run_graph(self.home.metadata)

    def state(self) -> tuple[object, ...]:
        """Return what there is: live examples with span, revision and content, events, and who is answered."""
        graph = self.graph()
        live = [one for one in graph.of_kind(EXAMPLES_TYPE) if graph.artifacts[one].state == Artifact.LIVE]
        manifests = [Manifest.load(graph.folder(one)) for one in live]
        return (
            [(one.span.number, one.span.revision, one.digest) for one in manifests],
            [graph.is_whole(one) for one in live],
            [sorted(path.name for path in graph.folder(one).rglob("*")) for one in self.examples],
            [read_events(span_folder(self.series, span)).num_rows for span in list_spans(self.series)],
            pq.read_table(graph.folder(self.answers) / ANSWERS_FILE)["id"].to_pylist(),
            [graph.artifacts[self.answers].custom_properties[name].int_value for name in (USERS, FORGOTTEN)],
        )

    def events_of(self, user: int) -> int:
        tables = [read_events(span_folder(self.series, number)) for number in list_spans(self.series)]
        return sum(table.column("user_id").to_pylist().count(user) for table in tables)


@pytest.fixture
def runs(tmp_path: Path, written: Path) -> WorkDir:
    return WorkDir(tmp_path.resolve() / "runs", written)


def test_the_events_of_a_user_are_gone_from_all_spans_and_those_of_others_stay(runs, capsys):
    held, others = runs.events_of(USER), runs.events_of(ANOTHER)
    assert held > 0
    assert runs.forget() == 0
    assert f"{held} events of user {USER} taken out of spans 2, 3" in capsys.readouterr().out
    assert (runs.events_of(USER), runs.events_of(ANOTHER)) == (0, others)
    before = runs.state()
    assert runs.forget() == 0
    assert f"no span holds events of user {USER}" in capsys.readouterr().out
    assert runs.state() == before


def test_copies_that_runs_read_are_deleted_and_accepted_spans_read_again_in_the_same_run(runs, capsys):
    assert runs.forget() == 0
    said = capsys.readouterr().out
    assert "2 copies of spans that earlier runs read deleted; read again: spans 2" in said
    graph = runs.graph()
    for old in runs.examples[1:]:
        assert graph.artifacts[old].state == Artifact.DELETED
        assert [path.name for path in graph.folder(old).iterdir()] == ["manifest.json"]
    [again] = [one for one in graph.of_kind(EXAMPLES_TYPE) if one not in runs.examples]
    assert graph.inputs_of(again) == [runs.examples[1]]
    manifest = Manifest.load(graph.folder(again))
    assert manifest == Manifest.load(span_folder(runs.series, 2))
    assert (manifest.span.revision, graph.is_whole(again), again in graph.accepted_examples()) == (1, True, True)
    properties = graph.artifacts[again].custom_properties
    assert (properties["span"].int_value, properties["manifest_digest"].string_value) == (2, manifest.digest)
    assert graph.makers[again] in graph.runs[1].executions
    runs.home.collect(keep_runs=1)
    assert runs.graph().is_whole(again)


def test_what_killed_runs_left_of_spans_and_their_copies_goes_too(runs):
    left = [runs.series / name for name in (".work", ".span-2.former", ".span-7.partial-0123456789ab")]
    for folder in left:
        shutil.copytree(span_folder(runs.series, 2), folder)
    (span_folder(runs.series, 3)).rename(runs.series / ".span-3.former")
    [half] = [runs.graph().folder(one) for one in runs.examples[2:]]
    (half / "manifest.json").unlink()
    assert runs.forget() == 0
    assert sorted(path.name for path in runs.series.iterdir()) == [f"span-{number}" for number in range(1, 7)]
    assert runs.events_of(USER) == 0
    assert list(half.iterdir()) == []


def test_a_user_is_taken_out_of_batch_answers_and_the_artifact_says_so(runs, capsys):
    assert runs.forget() == 0
    assert "1 file of batch answers written without user 5" in capsys.readouterr().out
    *_, users, counts = runs.state()
    assert (users, counts) == ([1, 2, 3, 4, 6, 7, 8, 9, 10], [9, 1])


def test_published_versions_that_learned_from_the_user_are_named_and_those_from_others(runs, capsys):
    runs.publish(1, (1, 0), (2, 0))
    runs.publish(2, (1, 0), (4, 0))
    runs.publish(3, (2, 1))
    assert runs.forget() == 0
    assert "published versions that learned from user 5: 1\n" in capsys.readouterr().out
    assert runs.forget() == 0
    assert "published versions that learned from users who were forgotten before: 1\n" in capsys.readouterr().out
    shutil.rmtree(runs.folder / "serving" / "mine" / "2")
    shutil.rmtree(runs.folder / "serving" / "mine" / "3")
    assert runs.forget() == 0
    assert "1 (1 is served: the next training is cold)" in capsys.readouterr().out


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(runs, tmp_path, capsys):
    log = request_log(tmp_path / "log")
    before, metadata = runs.state(), runs.home.metadata.read_bytes()
    content = [path.read_bytes() for path in log.iterdir()]
    assert runs.forget("--dry-run", "--requests", log) == 0
    said = capsys.readouterr().out
    for line in (
        "would be taken out of spans 2, 3",
        "would be deleted; read again: spans 2",
        "1 file of batch answers would be written without user 5",
        "1 request of user 5, with 0 records of feedback, would be taken out",
    ):
        assert line in said
    assert (runs.state(), runs.home.metadata.read_bytes()) == (before, metadata)
    assert [path.read_bytes() for path in log.iterdir()] == content


def killed(name: str, *, after: bool) -> Callable[..., object]:
    whole = getattr(forgetting, name)

    def stop(*arguments: object, **named: object) -> None:
        if after:
            whole(*arguments, **named)
        raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "name", ["forget_user", "_register", "_read_again", "mark_artifacts", "remove_all_but", "take_user_out"]
)
def test_after_a_kill_anywhere_a_second_call_has_the_rest(runs, written, tmp_path, monkeypatch, name, after):
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, name, killed(name, after=after))
        assert runs.forget() == 130
    assert runs.forget() == 0
    other = WorkDir(tmp_path.resolve() / "other", written)
    assert other.forget() == 0
    assert runs.state() == other.state()


def request_log(folder: Path) -> Path:
    folder.mkdir()
    records = [
        ServedRequest(request_id=f"{user:032x}", time=1.0, version=1, user=user, history=(), answer=())
        for user in (USER, ANOTHER)
    ]
    (folder / log_file_name(1e9)).write_bytes(b"".join(map(write_record, records)))
    return folder


def test_request_logs_are_looked_into_where_they_are_named(runs, tmp_path, capsys):
    assert runs.forget() == 0
    assert "no request log is named by --requests" in capsys.readouterr().out
    log = request_log(tmp_path / "log")
    assert runs.forget("--requests", log) == 0
    assert "1 request of user 5, with 0 records of feedback, taken out" in capsys.readouterr().out
    [content] = [path.read_text() for path in log.iterdir()]
    assert f'"user":{ANOTHER},' in content
    assert f'"user":{USER},' not in content


def test_nothing_is_forgotten_while_a_run_is_at_work(runs, capsys):
    before = runs.state()
    with only_run_in(runs.folder):
        assert runs.forget() == 2
    assert capsys.readouterr().err.endswith("[F12]\n")
    assert runs.state() == before


def test_of_data_that_are_no_spans_last_histories_lose_the_user_and_the_rest_is_said(tmp_path, capsys):
    home = Home(tmp_path.resolve() / "runs")
    made = tmp_path.resolve() / "runs" / "data" / "mine"
    generate(GenerateOptions(release="sample"), made, last_histories=5)
    assert history.main(["forget", "--user", str(USER), "--work-dir", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert "1 file of last histories written without user 5" in said
    assert "its examples hold no user ids: take user 5 out of your own files too" in said
    assert USER not in pq.read_table(made / LAST_HISTORIES_FILE)["id"].to_pylist()
    assert home.days == 0


def test_where_nothing_can_be_told_to_be_a_user_s_it_is_said(tmp_path, capsys):
    Home(tmp_path / "runs")
    assert history.main(["forget", "--user", str(USER), "--work-dir", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.endswith("[R09]\n")
