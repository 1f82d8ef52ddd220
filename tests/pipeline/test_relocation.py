"""Paths that ML Metadata holds, after a work directory was moved or copied."""

from __future__ import annotations

import multiprocessing
import signal
import sqlite3
import time
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path, PurePosixPath

import ml_metadata as mlmd
import pytest
from google.protobuf import json_format
from hypothesis import assume, example, given
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2

from data.errors import InputError
from pipeline.metadata_store import open_store
from pipeline.relocation import Home, reroot

_FORK = multiprocessing.get_context("fork")
PIPELINE = "next-movie-default-sample-random"
TRICKY = f"/pipelines/{PIPELINE}/artifacts/Trainer/model/9"
"""A work directory's own path may look like an artifact's."""

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
folders = st.lists(names, max_size=5).map(lambda parts: "/" + "/".join(parts))
recorded = st.one_of(
    st.tuples(names, names, st.integers(1, 999)).map(
        lambda parts: f"pipelines/{PIPELINE}/artifacts/{parts[0]}/{parts[1]}/{parts[2]}"
    ),
    st.tuples(names, st.integers(1, 999)).map(lambda parts: f"serving/{parts[0]}/{parts[1]}"),
)


def below(folder: str, inner: str) -> str:
    return f"/{inner}" if folder == "/" else f"{folder}/{inner}"


@given(old=folders, new=folders, inner=recorded)
@example(old=TRICKY, new="/runs", inner=f"pipelines/{PIPELINE}/artifacts/Trainer/model/9")
@example(old="/runs", new=TRICKY, inner=f"pipelines/{PIPELINE}/artifacts/Trainer/model/9")
@example(old="/runs", new="/runs/old", inner=f"serving/{PIPELINE}/1")
@example(old="/runs/serving/old", new="/runs", inner=f"serving/{PIPELINE}/1")
@example(old="/", new="/runs", inner=f"serving/{PIPELINE}/1")
def test_what_lay_in_a_former_work_directory_lies_in_the_same_place_of_the_present_one(old, new, inner):
    home = Home(PurePosixPath(new), PIPELINE)
    uri = below(old, f"pipelines/{PIPELINE}/artifacts/Pusher/pushed_model/12")

    present = home.present_path(below(old, inner), beside=uri)

    assert present == below(new, inner)
    assert home.present_path(present, beside=home.present_path(uri)) == present


@given(old=folders, new=folders, elsewhere=st.one_of(folders, st.text()))
@example(old="/runs", new="/new", elsewhere="/runs")
@example(old="/runs", new="/new", elsewhere="/runs-of-another/serving/a/1")
@example(old="/runs", new="/new", elsewhere="/runs/notes/1")
@example(old="/runs", new="/new", elsewhere="runs/serving/a/1")
@example(old="/", new="/new", elsewhere="/home/user/model")
def test_what_lay_in_no_work_directory_stays_where_it_is(old, new, elsewhere):
    assume(not any(elsewhere.startswith(below(old, folder)) for folder in ("pipelines", "serving", "data")))
    uri = below(old, f"pipelines/{PIPELINE}/artifacts/Trainer/model/9")

    assert Home(PurePosixPath(new), PIPELINE).present_path(elsewhere, beside=uri) == elsewhere


@pytest.mark.parametrize(
    "uri",
    [
        "/runs/pipelines/another-pipeline/artifacts/Trainer/model/9",
        "/runs/pipelines/{name}/artifacts/Trainer/model",
        "/runs/pipelines/{name}/artifacts/Trainer/model/latest",
        "runs/pipelines/{name}/artifacts/Trainer/model/9",
        "gs://bucket/pipelines/{name}/artifacts/Trainer/model/9",
        "",
    ],
)
def test_only_a_uri_that_tfx_gave_in_this_pipeline_tells_of_a_work_directory(uri):
    assert Home(PurePosixPath("/new"), PIPELINE).former(uri.format(name=PIPELINE)) is None


def test_a_trailing_slash_makes_no_difference():
    home = Home(PurePosixPath("/new"), PIPELINE)

    assert home.present_path(f"/old{TRICKY}/") == f"/new{TRICKY}"


def test_a_home_is_told_by_its_metadata_file_whichever_way_that_is_reached(tmp_path, monkeypatch):
    metadata = metadata_of(tmp_path / "runs")
    metadata.parent.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")

    found = {
        Home.of(place) for place in (metadata, metadata_of(tmp_path / "link"), metadata.relative_to(tmp_path / "runs"))
    }

    assert found == {Home(PurePosixPath(tmp_path / "runs"), PIPELINE)}


def metadata_of(work_dir: Path) -> Path:
    return work_dir / "pipelines" / PIPELINE / "metadata.sqlite"


def write_metadata(file: Path, recorded_in: str, others: int = 0) -> None:
    """Write metadata as a run in the given work directory leaves them, with as many more models as asked for."""
    file.parent.mkdir(parents=True, exist_ok=True)
    store = open_store(str(file))
    artifacts = f"{recorded_in}/pipelines/{PIPELINE}/artifacts"
    live = metadata_store_pb2.Artifact.LIVE
    model = put(store, "Model", f"{artifacts}/Trainer/model/1", {}, name=f"a model in {recorded_in}", state=live)
    said = {"current_model": f"{artifacts}/Trainer/model/1", "current_model_id": model, "blessed": 1}
    put(store, "ModelBlessing", f"{artifacts}/Evaluator/blessing/2", said, state=live)
    said = {"pushed": 1, "pushed_destination": f"{recorded_in}/serving/{PIPELINE}/1", "pushed_version": "1"}
    put(store, "PushedModel", f"{artifacts}/Pusher/pushed_model/3", said, state=metadata_store_pb2.Artifact.PENDING)
    put(store, "Examples", "/data/elsewhere", {"note": f"from {recorded_in}/serving", "share": 0.25})
    for number in range(others):
        uri = f"{artifacts}/Trainer/model/{10 + number}"
        put(store, "Model", uri, {"beside": f"{recorded_in}/serving/{PIPELINE}/{number}"})


def put(store: mlmd.MetadataStore, kind: str, uri: str, said: dict[str, str | int | float], **fields: object) -> int:
    declared = metadata_store_pb2.ArtifactType(name=kind, properties={"place": metadata_store_pb2.STRING})
    artifact = metadata_store_pb2.Artifact(type_id=store.put_artifact_type(declared), uri=uri, **fields)
    artifact.properties["place"].string_value = uri
    for name, value in said.items():
        kind_of_value = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(artifact.custom_properties[name], kind_of_value, value)
    return store.put_artifacts([artifact])[0]


def read_metadata(file: Path) -> list[str]:
    """Return every artifact in full, but for the time of its last change."""
    artifacts = open_store(str(file), read_only=True).get_artifacts()
    for artifact in artifacts:
        artifact.ClearField("last_update_time_since_epoch")
    return [
        json_format.MessageToJson(artifact, ensure_ascii=False, sort_keys=True)
        for artifact in sorted(artifacts, key=lambda artifact: artifact.id)
    ]


def moved_from(file: Path, work_dir: Path) -> list[str]:
    """Return what the metadata are to say once they followed: the same, with one folder for the other."""
    return [text.replace('"/old/', f'"{work_dir}/') for text in read_metadata(file)]


def state_of(file: Path) -> tuple[bytes, int, list[str]]:
    return file.read_bytes(), file.stat().st_mtime_ns, sorted(entry.name for entry in file.parent.iterdir())


def test_every_artifact_follows_with_its_properties_and_is_the_same_otherwise(tmp_path):
    file = metadata_of(tmp_path)
    write_metadata(file, recorded_in="/old")
    expected = moved_from(file, tmp_path)
    assert sum(text.count(f'"{tmp_path}/') for text in expected) == 3 * 2 + 2

    assert reroot(file)

    assert read_metadata(file) == expected


@pytest.mark.parametrize("name", ["with space", "100%41", "a#b?c&d", "a'b", "[a]*", "runs;x", "été 映画"])
def test_folders_may_have_any_name(tmp_path, name):
    file = metadata_of(tmp_path / name)
    write_metadata(file, recorded_in="/old")
    expected = moved_from(file, tmp_path / name)

    assert reroot(file)

    assert read_metadata(file) == expected
    assert not reroot(file)


@pytest.mark.parametrize("reached_by", ["runs", "link"])
def test_metadata_of_a_directory_that_was_not_moved_are_not_written(tmp_path, reached_by):
    file = metadata_of(tmp_path / "runs")
    write_metadata(file, recorded_in=str(tmp_path / "runs"))
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    before = state_of(file)

    assert not reroot(metadata_of(tmp_path / reached_by))

    assert state_of(file) == before


def test_nothing_is_made_where_no_metadata_are(tmp_path):
    assert not reroot(metadata_of(tmp_path))
    assert not any(tmp_path.iterdir())


def test_artifacts_of_several_former_places_follow_together(tmp_path):
    file = metadata_of(tmp_path)
    write_metadata(file, recorded_in="/first")
    write_metadata(file, recorded_in=str(tmp_path))
    write_metadata(file, recorded_in="/second")

    assert reroot(file)

    said = "".join(read_metadata(file))
    assert '"/first/' not in said
    assert '"/second/' not in said
    assert said.count(f'"{tmp_path}/') == 3 * (3 * 2 + 2)


def test_killed_at_any_moment_it_is_done_wholly_or_not_at_all_and_done_by_the_next_run(tmp_path):
    file = metadata_of(tmp_path)
    write_metadata(file, recorded_in="/old", others=300)
    former, expected = read_metadata(file), moved_from(file, tmp_path)
    kept = file.read_bytes()
    started = time.monotonic()
    reroot(file)
    whole = time.monotonic() - started
    endings = []

    for share in (0.05, 0.3, 0.5, 0.7, 0.85, 1.0):
        file.write_bytes(kept)
        process = _FORK.Process(target=reroot, args=(file,))
        process.start()
        process.join(whole * share)
        process.kill()
        process.join()
        endings.append(process.exitcode)
        # What a run does first, `check_metadata`: it undoes what a killed transaction left.
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        assert read_metadata(file) in (former, expected)
        reroot(file)
        assert read_metadata(file) == expected
    assert -signal.SIGKILL in endings


def test_metadata_that_can_not_be_written_are_named_in_one_line(tmp_path):
    file = metadata_of(tmp_path)
    write_metadata(file, recorded_in="/old")
    locked, over = _FORK.Event(), _FORK.Event()
    other = _FORK.Process(target=keep_from_writing, args=(file, locked, over))
    other.start()
    assert locked.wait(30)

    with pytest.raises(InputError, match=r"metadata\.sqlite can't be updated with its new place") as refused:
        reroot(file)

    over.set()
    other.join()
    assert "\n" not in str(refused.value)


def keep_from_writing(file: Path, locked: Event, over: Event) -> None:
    with closing(sqlite3.connect(file)) as database:
        # From here on SQLite lets other processes read, but not write.
        database.execute("BEGIN IMMEDIATE")
        locked.set()
        over.wait(60)
