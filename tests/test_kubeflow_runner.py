from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import kubeflow_runner
from data.errors import InputError
from pipeline.kubeflow_settings import check_image
from pipeline.local import choose_settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "kubeflow"))

from api_server import RUN_ID, ApiServer  # noqa: E402
from minimal_spec import minimal_documents  # noqa: E402


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump_all(minimal_documents()))
    return path


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


def run(*arguments: object) -> int:
    return kubeflow_runner.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "compile"),
        (["compile", "--help"], 0, "--pipeline-root"),
        ([], 2, "COMMAND"),
        (["compile", "--help"], 0, "--release"),
        (["compile", "--config", "sample"], 2, "--image"),
        (["compile", "--image=i", "--output=a.yaml"], 2, "--config, --release or --name is needed"),
        (["compile", "--config=a", "--image=i", "--output=a.json"], 2, "is a .yaml file, not a.json"),
        (["compile", "--config=a", "--image=i", "--output=a.yaml", "--backend=vertex"], 2, "is a .json file"),
        (["compile", "--config=a", "--image=i", "--output=a.yaml", "--backend=argo"], 2, "argo"),
        (["compile", "--config=a", "--image=i", "--output=a.yaml", "--pipeline-root="], 2, "the URI is empty"),
        (["submit", "a.yaml"], 2, "--host is needed"),
        (["submit", "a.yaml", "--dry-run", "--data-root="], 2, "the URI is empty"),
        (["submit", "a.yaml", "--dry-run", "--pipeline-root= "], 2, "the URI is empty"),
        (["submit", "a.yaml", "--host=http://h", "--epochs=0"], 2, "at least one"),
        (["upload", "a.yaml"], 2, "--host is needed"),
    ],
)
def test_help_and_bad_arguments_answer_at_once(arguments: list[str], code: int, said: str):
    began = time.monotonic()
    finished = subprocess.run(
        [sys.executable, "kubeflow_runner.py", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    seconds = time.monotonic() - began
    assert finished.returncode == code
    assert said in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert seconds < 5  # TFX alone would take longer; a busy build server may take a second for Python.


def test_an_unknown_configuration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert run("compile", "--config", "ml-2m", "--image", "i", "--output", tmp_path / "a.yaml") == 2
    assert capsys.readouterr().err.startswith("error: there is no configuration 'ml-2m': take one of ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config=fast", "--release=ml-2m"], "there is no release 'ml-2m'; known are "),
        (["--config=fast", "--split=sideways"], "`data.split` is 'sideways'"),
        (["--release=ml-2m"], "there is no release 'ml-2m'; known are "),
    ],
)
def test_an_unknown_release_or_split_is_refused_in_the_words_of_a_local_run(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], said: str
):
    assert run("compile", *arguments, "--image=i", "--output", tmp_path / "a.yaml") == 2
    refused = capsys.readouterr().err
    assert refused.startswith("error: ")
    assert said in refused
    options = dict(argument.removeprefix("--").split("=") for argument in arguments)
    with pytest.raises(InputError) as locally:
        choose_settings(options.get("config"), options.get("release"), None, options.get("split"))
    assert refused == f"error: {locally.value} [{locally.value.code}]\n"


@pytest.mark.parametrize(
    "image",
    [
        "next-movie",
        "next-movie:1",
        "REGISTRY/next-movie:1",
        "localhost:5000/a/b__c/d-e.f:v1.0_rc-2",
        "ghcr.io/someone/next-movie@sha256:" + "0f" * 32,
        "[fd00::1]:5000/next-movie:1@sha256:" + "a" * 64,
        f"{'a' * 255}:{'t' * 128}",
    ],
)
def test_an_image_that_a_container_runtime_takes_is_taken(image: str):
    assert check_image(image) == image


@pytest.mark.parametrize(
    "image",
    [
        "", " ", "Next-Movie:1", "next movie:1", "next-movie:", "next-movie:1:2", "next-movie:tag with space", ":1",
        "/a", "a/", "a//b", "https://registry.example/a:1", "-a", "a-", "a@sha256:12", "a:" + "t" * 129, "a" * 256,
        "registry/Ä:1", "a:1\n",
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_one_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture, image: str
):
    output = tmp_path / "folder" / "a.yaml"
    assert run("compile", "--config=sample", f"--image={image}", "--output", output) == 2
    assert capsys.readouterr().err.startswith(f"error: {image!r} is not the name of an image: ")
    assert not output.parent.exists()


def test_an_image_in_a_configuration_is_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture):
    chosen = ["--config=sample", "--set", "kubeflow.defaults.image=No Image", "--image=i"]
    assert run("compile", *chosen, "--output", tmp_path / "a.yaml") == 2
    message = capsys.readouterr().err
    assert "kubeflow.defaults.image" in message
    assert "'No Image' is not the name of an image" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--config=fast", "--release=ml-100k", "--split=leave-one-out"], "next-movie-fast-ml-100k-leave-one-out"),
        (["--config=fast", "--split=leave_one_out"], "next-movie-fast-ml-1m-leave-one-out"),
        (["--config=fast"], "next-movie-fast-ml-1m-random"),
        (["--release=ml-100k"], "next-movie-default-ml-100k-random"),
    ],
)
def test_release_and_split_mean_what_they_mean_to_a_local_run(
    tmp_path: Path, capsys: pytest.CaptureFixture, arguments: list[str], name: str
):
    output = tmp_path / "a.yaml"
    assert run("compile", *arguments, "--image=i", "--output", output) == 0
    assert capsys.readouterr().out.startswith(f"{name} for kfp: ")
    spec, _ = yaml.safe_load_all(output.read_text())
    assert spec["pipelineInfo"]["name"] == name
    options = dict(argument.removeprefix("--").split("=") for argument in arguments)
    settings = choose_settings(options.get("config"), options.get("release"), None, options.get("split"))
    generator = spec["root"]["dag"]["tasks"]["DataGenerator"]["inputs"]["parameters"]["options"]
    assert generator["runtimeValue"]["constant"] == settings.data.options.model_dump_json()


def test_submit_sends_the_spec_and_what_the_run_chose(file: Path, server: ApiServer, capsys: pytest.CaptureFixture):
    assert run("submit", file, "--host", server.url, "--experiment", "tries", "--run-name", "one", "--epochs", 2) == 0
    (body,) = server.runs
    assert body["display_name"] == "one"
    assert body["experiment_id"] == "an-experiment"
    assert server.experiments == ["tries"]
    assert body["runtime_config"] == {"pipeline_root": "minio://bucket/root", "parameters": {"epochs": 2}}
    assert set(body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]) == {"Given", "Make", "Use"}
    assert body["pipeline_spec"]["platform_spec"] == minimal_documents()[1]
    assert f"run {RUN_ID} started" in capsys.readouterr().out


def test_the_commands_root_stands_above_the_compiled_one(file: Path, server: ApiServer):
    assert run("submit", file, "--host", server.url, "--pipeline-root", "gs://other/root") == 0
    assert server.runs[0]["runtime_config"]["pipeline_root"] == "gs://other/root"


def test_wait_tells_that_the_run_succeeded(file: Path, server: ApiServer, capsys: pytest.CaptureFixture):
    assert run("submit", file, "--host", server.url, "--wait") == 0
    assert f"run {RUN_ID} succeeded" in capsys.readouterr().out


def test_wait_fails_with_the_run_and_names_the_reason(file: Path, capsys: pytest.CaptureFixture):
    with ApiServer(lambda _: ("FAILED", "task Use failed")) as server:
        assert run("submit", file, "--host", server.url, "--wait") == 2
    assert capsys.readouterr().err == f"error: the run {RUN_ID} ended as FAILED: task Use failed [K02]\n"


def test_upload_stores_the_file_under_the_pipelines_name(file: Path, server: ApiServer, capsys: pytest.CaptureFixture):
    assert run("upload", file, "--host", server.url) == 0
    assert server.uploads == [{"name": "small-pipeline", "documents": minimal_documents()}]
    assert capsys.readouterr().out == "pipeline stored-pipeline: version small-pipeline stored\n"


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(file: Path, capsys: pytest.CaptureFixture):
    assert run("submit", file, "--dry-run", "--run-name", "one", "--epochs", 5) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["display_name"] == "one"
    assert printed["runtime_config"] == {"pipeline_root": "minio://bucket/root", "parameters": {"epochs": 5}}
    assert printed["pipeline_spec"] == minimal_documents()
    assert run("upload", file, "--dry-run", "--name", "stored") == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "stored"


def refused(file: Path, capsys: pytest.CaptureFixture, *arguments: object) -> str:
    assert run("submit", file, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_host_that_does_not_listen_is_one_line_at_once(file: Path, capsys: pytest.CaptureFixture):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        began = time.monotonic()
        said = refused(file, capsys, "--host", url)
    assert f"{url} can't be reached: " in said
    assert time.monotonic() - began < 10


def test_a_host_without_scheme_is_one_line(file: Path, capsys: pytest.CaptureFixture):
    assert "starts with http:// or https://" in refused(file, capsys, "--host", "localhost:8080")


def test_a_host_that_is_something_else_is_one_line(file: Path, capsys: pytest.CaptureFixture):
    with ApiServer() as server:
        assert "is no API server of Kubeflow Pipelines" in refused(file, capsys, "--host", f"{server.url}/elsewhere")


def test_a_broken_file_is_not_sent(tmp_path: Path, server: ApiServer, capsys: pytest.CaptureFixture):
    documents: list[dict[str, Any]] = minimal_documents()
    documents[0]["schemaVersion"] = "2.0.0"
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump_all(documents))
    assert "schema version is '2.0.0'" in refused(broken, capsys, "--host", server.url)
    assert server.runs == []


def test_what_the_pipeline_can_not_choose_is_refused(file: Path, capsys: pytest.CaptureFixture):
    assert "no parameter 'data_root'" in refused(file, capsys, "--dry-run", "--data-root", "gs://b/data")
    assert "not a URI under gs://" in refused(file, capsys, "--dry-run", "--pipeline-root", "/data")


@pytest.mark.parametrize("name", ["job.json", "missing.yaml"])
def test_a_file_that_can_not_be_read_is_one_line(tmp_path: Path, name: str, capsys: pytest.CaptureFixture):
    assert name in refused(tmp_path / name, capsys, "--dry-run")
