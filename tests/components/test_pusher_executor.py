"""The Pusher's executor."""

from __future__ import annotations

import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.utils import json_utils

from components.artifacts import AuditRecord
from components.audit.figures import PASSED
from components.publishing.pusher import Executor
from data.atomic_folder import exclusive
from data.errors import InputError
from data.version import COMMIT_VARIABLE, __version__
from pipeline.code_digest import code_digest
from serving.signing import verify_version
from serving.versions import published_versions, read_publication

sys.path.append(str(Path(__file__).resolve().parents[1] / "serving"))

from signed_versions import write_keys

pytestmark = pytest.mark.slow
artifacts = tfx.types.standard_artifacts


@pytest.fixture
def serving(tmp_path) -> Path:
    return tmp_path / "serving"


def make_model(folder: Path, content: str = "weights") -> artifacts.Model:
    (folder / "Format-Serving").mkdir(parents=True)
    (folder / "Format-Serving" / "saved_model.pb").write_text(content)
    model = artifacts.Model()
    model.uri = str(folder)
    return model


def push(
    model: artifacts.Model,
    serving: Path,
    folder: Path,
    *,
    blessed: bool = True,
    keep: int = 5,
    private_key: Path | None = None,
    **inputs: list,
):
    blessing, pushed = artifacts.ModelBlessing(), artifacts.PushedModel()
    blessing.uri, pushed.uri = str(folder / "blessing"), str(folder / "pushed")
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    (Path(blessing.uri) / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    blessing.set_int_custom_property("blessed", int(blessed))
    destination = tfx.proto.PushDestination(
        filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(serving))
    )
    Executor().Do(
        {"model": [model], "model_blessing": [blessing], **inputs},
        {"pushed_model": [pushed]},
        {
            "push_destination": json_format.MessageToJson(destination),
            "custom_config": json_utils.dumps(
                {
                    "keep_versions": keep,
                    "private_key": private_key and str(private_key),
                    "publication": {"pipeline": "next-movie"},
                }
            ),
        },
    )
    return pushed


def test_a_blessed_model_is_published_and_the_artifact_says_where(serving, tmp_path):
    pushed = push(make_model(tmp_path / "model"), serving, tmp_path)
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(serving / "1")
    assert pushed.get_string_custom_property("pushed_version") == "1"
    assert read_publication(serving / "1")["pipeline"] == "next-movie"


def test_a_model_that_is_not_blessed_is_not_published(serving, tmp_path):
    pushed = push(make_model(tmp_path / "model"), serving, tmp_path, blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not serving.exists()


@pytest.mark.parametrize(("passed", "versions"), [(1, [1]), (0, [])])
def test_a_blessed_model_that_the_audit_stops_is_not_published(serving, tmp_path, passed, versions):
    record = AuditRecord()
    record.set_int_custom_property(PASSED, passed)
    pushed = push(make_model(tmp_path / "model"), serving, tmp_path, audit=[record])
    assert pushed.get_int_custom_property("pushed") == passed
    assert published_versions(serving) == versions


def test_a_model_is_published_once_however_often_it_is_blessed(serving, tmp_path):
    model = make_model(tmp_path / "model")
    push(model, serving, tmp_path)
    again = push(model, serving, tmp_path)
    assert published_versions(serving) == [1]
    assert again.get_int_custom_property("pushed") == 1
    assert again.get_string_custom_property("pushed_destination") == str(serving / "1")


def test_two_pushers_at_once_publish_the_same_model_once(serving, tmp_path, caplog):
    models = [make_model(tmp_path / name / "model") for name in ("one", "other")]
    with ThreadPoolExecutor(2) as threads, caplog.at_level(logging.INFO, "next_movie.pusher"):
        # Both have come as far as they can before the other publishes.
        with exclusive(serving, print):
            pushes = [threads.submit(push, model, serving, Path(model.uri).parent) for model in models]
            deadline = time.monotonic() + 60
            while caplog.text.count("another run is writing") < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        pushed = [push.result() for push in pushes]
    assert caplog.text.count("another run is writing") == 2
    assert published_versions(serving) == [1]
    assert {each.get_string_custom_property("pushed_version") for each in pushed} == {"1"}


def test_only_so_many_versions_are_kept(serving, tmp_path):
    for number in range(4):
        push(make_model(tmp_path / f"model-{number}", f"weights {number}"), serving, tmp_path, keep=2)
    assert published_versions(serving) == [3, 4]


@pytest.mark.parametrize(("servable", "versions"), [(True, [1]), (False, [])])
def test_a_model_that_is_not_servable_is_not_published(serving, tmp_path, servable, versions):
    infra_blessing = artifacts.InfraBlessing()
    infra_blessing.uri = str(tmp_path / "infra")
    infra_blessing.set_int_custom_property("blessed", int(servable))
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / ("INFRA_BLESSED" if servable else "INFRA_NOT_BLESSED")).touch()
    pushed = push(make_model(tmp_path / "model"), serving, tmp_path, infra_blessing=[infra_blessing])
    assert pushed.get_int_custom_property("pushed") == int(servable)
    assert published_versions(serving) == versions


def test_a_published_model_says_which_code_published_it(serving, tmp_path, monkeypatch):
    monkeypatch.setenv(COMMIT_VARIABLE, "c0ffee123456")
    model = make_model(tmp_path / "model")
    push(model, serving, tmp_path)
    said = read_publication(serving / "1")
    assert (said["code_version"], said["commit"]) == (__version__, "c0ffee123456")
    monkeypatch.setenv(COMMIT_VARIABLE, "facade654321")
    push(model, serving, tmp_path)
    assert read_publication(serving / "1") == said


def test_with_a_private_key_the_model_is_signed_and_of_the_key_nothing_is_left_or_logged(serving, tmp_path, caplog):
    private, public = write_keys(tmp_path / "keys")
    with caplog.at_level(logging.DEBUG):
        pushed = push(make_model(tmp_path / "model"), serving, tmp_path, private_key=private)
    verify_version(serving / "1", public)
    secret = private.read_text().splitlines()[1]
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file != private]
    assert len(written) > 3
    assert not any(secret.encode() in content for content in written)
    assert secret not in caplog.text
    assert secret not in str(pushed)


def test_a_model_that_was_published_without_a_signature_is_published_again_with_one(serving, tmp_path):
    model = make_model(tmp_path / "model")
    push(model, serving, tmp_path)
    private, public = write_keys(tmp_path / "keys")
    for _ in range(2):
        pushed = push(model, serving, tmp_path, private_key=private)
        assert pushed.get_string_custom_property("pushed_version") == "2"
    verify_version(serving / "2", public)


def test_a_key_that_can_not_be_used_publishes_nothing(serving, tmp_path):
    with pytest.raises(InputError) as refused:
        push(make_model(tmp_path / "model"), serving, tmp_path, private_key=tmp_path / "missing.pem")
    assert refused.value.code == "M23"
    assert published_versions(serving) == []


def test_a_published_model_carries_its_lineage(sample_run):
    said = read_publication(sample_run.model)
    assert said["manifest_digest"] == sample_run.paths.manifest_digest
    assert said["source_digest"] == code_digest("trainer_module.preprocessing", "trainer_module.trainer")
    assert said["metrics"] == sample_run.record.evaluation_result.evaluation.candidate
    assert said["settings"] == sample_run.settings.model_dump(mode="json", exclude={"kubeflow"})
