"""What people do with a cluster day by day: versions, schedules, lists, a run without the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import kfp_server_api
import pytest
import yaml
from api_server import RUN_ID, ApiServer
from minimal_spec import minimal_documents

import kubeflow_runner
from data.errors import InputError
from pipeline.kubeflow.schedules import parse_cron, parse_every


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump_all(minimal_documents()), encoding="utf-8")
    return path


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def run(server: ApiServer, capsys: pytest.CaptureFixture):
    """Return a function that runs a command against the server, and returns its exit code and what it printed."""

    def run(command: str, *arguments: object) -> tuple[int, str]:
        code = kubeflow_runner.main([command, *map(str, arguments), "--host", server.url])
        captured = capsys.readouterr()
        return code, captured.out or captured.err

    return run


def test_the_first_upload_makes_a_pipeline_and_later_ones_make_versions_of_it(file: Path, server: ApiServer, run):
    assert run("upload", file) == (0, "pipeline stored-pipeline: version small-pipeline stored\n")
    code, second = run("upload", file)
    assert code == 0
    assert [stored["name"] for stored in server.uploads] == ["small-pipeline"]
    (version,) = server.versions
    assert second == f"pipeline stored-pipeline: version {version['display_name']} stored\n"
    assert run("upload", file) == (0, f"pipeline stored-pipeline: version {version['display_name']} is there already\n")
    file.write_text(file.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    run("upload", file)
    assert len({stored["display_name"] for stored in server.versions}) == 2


def test_a_version_and_a_pipeline_get_the_names_that_are_given(file: Path, server: ApiServer, run):
    run("upload", file, "--name", "daily")
    run("upload", file, "--name", "daily", "--version-name", "tuesday")
    assert [stored["name"] for stored in server.uploads] == ["daily"]
    assert [stored["display_name"] for stored in server.versions] == ["tuesday"]
    run("upload", file)
    assert [stored["name"] for stored in server.uploads] == ["daily", "small-pipeline"]


def test_a_schedule_sends_the_root_and_what_its_runs_choose(file: Path, server: ApiServer, run):
    code, printed = run("schedule", file, "--cron", "30 4 * * *", "--epochs", 3, "--run-name", "nightly")
    assert code == 0
    assert printed.startswith("schedule schedule-0 starts runs at 0 30 4 * * *: http://")
    (schedule,) = server.schedules.values()
    assert schedule["trigger"] == {"cron_schedule": {"cron": "0 30 4 * * *"}}
    assert schedule["runtime_config"] == {"pipeline_root": "minio://bucket/root", "parameters": {"epochs": 3}}
    assert (schedule["display_name"], schedule["mode"]) == ("nightly", "ENABLE")
    assert (schedule["max_concurrency"], schedule["no_catchup"]) == ("1", True)
    run("schedule", file, "--every", "6h", "--pipeline-root", "s3://other/root")
    assert server.schedules["schedule-1"]["trigger"] == {"periodic_schedule": {"interval_second": "21600"}}
    assert server.schedules["schedule-1"]["runtime_config"]["pipeline_root"] == "s3://other/root"


def test_schedules_are_listed_paused_resumed_and_deleted(file: Path, server: ApiServer, run):
    assert run("schedule", "--list") == (0, "no schedules\n")
    for every in ("30m", "2d", "1w"):
        run("schedule", file, "--every", every)
    assert run("schedule", "--pause", "schedule-1") == (0, "schedule schedule-1 paused\n")
    _, listed = run("schedule", "--list")
    assert [line.split() for line in listed.splitlines()] == [
        ["schedule", "state", "starts", "name"],
        ["schedule-0", "ENABLED", "every", "30m", "small"],
        ["schedule-1", "DISABLED", "every", "2d", "small"],
        ["schedule-2", "ENABLED", "every", "1w", "small"],
    ]
    run("schedule", "--resume", "schedule-1")
    assert server.schedules["schedule-1"]["status"] == "ENABLED"
    assert run("schedule", "--delete", "schedule-0")[0] == 0
    assert list(server.schedules) == ["schedule-1", "schedule-2"]
    code, message = run("schedule", "--delete", "schedule-0")
    assert code == 2
    assert "(404)" in message


def test_the_last_runs_are_listed(file: Path, server: ApiServer, run):
    assert run("runs") == (0, "no runs\n")
    run("submit", file, "--run-name", "one", "--experiment", "tries")
    code, listed = run("runs", "--experiment", "tries")
    assert code == 0
    header, line = listed.splitlines()
    assert header.split() == ["run", "state", "created", "finished", "name", "error"]
    assert line.split() == [RUN_ID, "RUNNING", "one"]
    code, message = run("runs", "--experiment", "others")
    assert (code, "has no experiment 'others'" in message) == (2, True)


def test_a_run_may_go_without_the_cache_and_with_an_account_of_its_own(file: Path, server: ApiServer, run):
    run("submit", file)
    run("submit", file, "--no-cache", "--service-account", "trainer")
    tasks = [body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"] for body in server.runs]
    written = minimal_documents()[0]["root"]["dag"]["tasks"]
    assert tasks[0] == written
    assert tasks[1] == {name: {**task, "cachingOptions": {"enableCache": False}} for name, task in written.items()}
    assert [body.get("service_account") for body in server.runs] == [None, "trainer"]


def test_a_run_may_name_its_span_and_the_runs_of_a_schedule_each_take_the_next(file: Path, server: ApiServer, run):
    assert run("submit", file, "--span", "4")[0] == 2
    documents = minimal_documents()
    documents[0]["root"]["inputDefinitions"]["parameters"]["span"] = {
        "parameterType": "NUMBER_INTEGER",
        "defaultValue": 0,
    }
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    assert run("submit", file, "--span", "4")[0] == 0
    assert server.runs[0]["runtime_config"]["parameters"] == {"span": 4}
    assert run("schedule", file, "--every", "1d")[0] == 0
    (schedule,) = server.schedules.values()
    assert not schedule["runtime_config"].get("parameters")


@pytest.mark.parametrize("text", ["", "5", "h", "0h", "1.5h", "1s", "-1h", "1 h", "1hh"])
def test_an_interval_that_is_none_is_refused(text: str):
    with pytest.raises(InputError, match="--every"):
        parse_every(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m", 60), ("90m", 5400), ("24h", 86_400), ("1d", 86_400), ("2w", 1_209_600)]
)
def test_an_interval_is_a_number_of_minutes_hours_days_or_weeks(text: str, seconds: int):
    assert parse_every(text) == seconds


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("0 4 * * *", "0 0 4 * * *"),
        ("15 0 4 * * 1-5", "15 0 4 * * 1-5"),
        ("*/10 * * * MON,FRI", "0 */10 * * * MON,FRI"),
        ("@daily", "@daily"),
    ],
)
def test_a_cron_expression_gets_the_seconds_that_the_backend_reads_first(text: str, sent: str):
    assert parse_cron(text) == sent


@pytest.mark.parametrize("text", ["", "daily", "* * * *", "* * * * * * *", "@fortnightly", "0 4 * * ;"])
def test_what_is_no_cron_expression_is_refused_before_anything_is_sent(text: str, file: Path, server: ApiServer, run):
    code, message = run("schedule", file, "--cron", text)
    assert (code, "is not a cron expression" in message) == (2, True)
    assert server.schedules == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["schedule", "--host=http://h"], "one of the arguments"),
        (["schedule", "--cron=* * * * *", "--every=1h", "--host=http://h"], "not allowed with"),
        (["schedule", "--every=1h", "--host=http://h"], "need the FILE"),
        (["schedule", "a.yaml", "--list", "--host=http://h"], "for --cron and --every alone"),
        (["schedule", "--list"], "--host is needed"),
        (["runs"], "--host is needed"),
        (["runs", "--host=http://h", "--number=0"], "from 1 to"),
        (["submit", "a.yaml", "--host=http://h", "--span=0"], "the first is 1"),
        (["schedule", "a.yaml", "--every=1d", "--host=http://h", "--span=2"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        kubeflow_runner.parse_arguments(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_schedules_dry_run_sends_nothing(file: Path, capsys: pytest.CaptureFixture):
    assert kubeflow_runner.main(["schedule", str(file), "--every", "1d", "--dry-run"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["when"] == "every 1d"
    assert printed["runtime_config"]["pipeline_root"] == "minio://bucket/root"


def test_replies_are_read_by_the_names_that_the_generated_client_has_for_their_fields():
    names = {
        kfp_server_api.V2beta1ListRunsResponse: ["runs"],
        kfp_server_api.V2beta1ListRecurringRunsResponse: ["recurringRuns", "next_page_token"],
        kfp_server_api.V2beta1ListPipelinesResponse: ["pipelines"],
        kfp_server_api.V2beta1ListPipelineVersionsResponse: ["pipeline_versions"],
        kfp_server_api.V2beta1ListExperimentsResponse: ["experiments"],
        kfp_server_api.V2beta1Experiment: ["experiment_id", "display_name"],
        kfp_server_api.V2beta1Pipeline: ["pipeline_id", "display_name"],
        kfp_server_api.V2beta1PipelineVersion: ["pipeline_version_id", "display_name"],
        kfp_server_api.V2beta1Run: ["run_id", "state", "display_name", "created_at", "finished_at", "error"],
        kfp_server_api.V2beta1RecurringRun: ["recurring_run_id", "display_name", "status", "trigger"],
        kfp_server_api.V2beta1Trigger: ["cron_schedule", "periodic_schedule"],
        kfp_server_api.V2beta1CronSchedule: ["cron"],
        kfp_server_api.V2beta1PeriodicSchedule: ["interval_second"],
        kfp_server_api.GooglerpcStatus: ["message"],
    }
    for reply, fields in names.items():
        assert set(fields) <= set(reply.attribute_map.values()), reply.__name__
