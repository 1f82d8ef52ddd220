from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from pydantic import ValidationError
from server_rules import check_documents

from components.batch_answers.settings import BatchAnswersSettings
from data.errors import InputError
from pipeline.kubeflow.backend_rules import read_documents
from pipeline.kubeflow_settings import ComponentSettings, KubeflowSettings
from pipeline.settings import Settings, load_settings, with_values

pytestmark = pytest.mark.slow

IMAGE = "registry.example/next-movie:1"
ROOT = Path(__file__).resolve().parent.parent.parent


def compile_pipeline(settings: Settings, **arguments: Any) -> str:
    # TFX takes its time to load, also where these tests are only collected.
    from pipeline.kubeflow.compiling import compile_pipeline

    return compile_pipeline(settings, **{"image": IMAGE, **arguments})


def with_kubeflow(**kubeflow: Any) -> Settings:
    settings = load_settings("sample")
    return settings.model_copy(update={"kubeflow": KubeflowSettings.model_validate(kubeflow)})


POD = {
    "cpu_request": 0.5,
    "memory_request_gb": 8,
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry"],
    "deadline_seconds": 7200,
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "value": "yes", "effect": "NoExecute", "seconds": 0},
    ],
    "secrets": [
        {"name": "store", "env": {"B": "b-key", "A": "a-key"}},
        {"name": "certificates", "mount_path": "/etc/certificates"},
    ],
    "labels": {"team": "search", "example.com/cost-centre": "17"},
    "annotations": {"sidecar.istio.io/inject": "false"},
}


@pytest.fixture(scope="module")
def plain() -> list[dict[str, Any]]:
    return read_documents(compile_pipeline(load_settings("sample")))


@pytest.fixture(scope="module")
def chosen() -> list[dict[str, Any]]:
    return read_documents(
        compile_pipeline(
            with_kubeflow(
                data_root="s3://archives/ml-1m.zip",
                own_credentials=True,
                beam_args=["--runner=DirectRunner", "--temp_location=s3://b/tmp"],
                volume={"claim": "models", "mount_path": "/models"},
                defaults={"cpu": 1, "memory_gb": 2, "retries": 1, "node_selector": {"pool": "cheap"}},
                components={
                    "Trainer": {
                        "image": "registry.example/with-gpu:1",
                        "cpu": 4,
                        "memory_gb": 16.5,
                        "accelerator": {"type": "nvidia.com/gpu", "count": 2},
                        "retries": 3,
                        "node_selector": {"pool": "gpu"},
                        **POD,
                    },
                    "StatisticsGen": {"caching": False, "retries": 0},
                },
            )
        )
    )


def task(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return documents[0]["root"]["dag"]["tasks"][name]


def container(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return documents[0]["deploymentSpec"]["executors"][f"{name}_executor"]["container"]


def on_kubernetes(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].get(f"{name}_executor", {})


def container_tasks(documents: list[dict[str, Any]]) -> list[str]:
    executors = documents[0]["deploymentSpec"]["executors"]
    return [name for name in documents[0]["root"]["dag"]["tasks"] if "container" in executors[f"{name}_executor"]]


def test_the_file_is_a_bare_spec_that_parses_strictly_and_keeps_the_backends_rules(plain):
    spec = json_format.ParseDict(plain[0], pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(plain[0]["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    json_format.ParseDict(plain[1], pipeline_spec_pb2.PlatformSpec())
    assert spec.schema_version == "2.1.0"
    assert spec.pipeline_info.name == "next-movie-default-sample-random"
    assert spec.default_pipeline_root == "minio://mlpipeline/v2/artifacts"
    check_documents(plain)


def test_every_node_of_the_pipeline_is_a_task(plain):
    from pipeline.kubeflow.backend import ClusterBackend
    from pipeline.pipeline import create_pipeline
    from pipeline.settings import RunPaths

    graph = create_pipeline(
        load_settings("sample"),
        RunPaths(data_root="", schema_file="", pipeline_root="", serving="/s"),
        ClusterBackend(data_root=None, data_digest=None, statistics="/s", former_serving="/f"),
    )
    assert {node.id for node in graph.components} == set(plain[0]["root"]["dag"]["tasks"])


def test_a_cluster_has_the_same_nodes_as_this_machine_but_for_data_and_memory(plain):
    from pipeline.pipeline import create_pipeline
    from pipeline.settings import RunPaths

    local = create_pipeline(load_settings("sample"), RunPaths("/d", "/d/schema.pbtxt", "/r", "/s"))
    local_ids, cluster_ids = {node.id for node in local.components}, set(plain[0]["root"]["dag"]["tasks"])
    assert local_ids - cluster_ids == {"SchemaImporter"}
    assert cluster_ids - local_ids == {"DataGenerator", "StatisticsKeeper", "RunPages"}


def test_equal_settings_give_equal_bytes():
    first, second = (compile_pipeline(load_settings("sample")) for _ in range(2))
    assert first == second


def test_nothing_of_this_machine_gets_into_the_file(plain):
    assert str(ROOT) not in str(plain)
    assert str(Path.home()) not in str(plain)


def test_every_task_runs_the_entrypoint_in_the_image(plain):
    for name in container_tasks(plain):
        assert container(plain, name)["image"] == IMAGE
        assert container(plain, name)["command"] == ["python", "-m", "pipeline.kubeflow.entrypoint"]
        assert "lifecycle" not in container(plain, name)


def test_every_task_is_told_which_outputs_its_component_defines(plain):
    told = {
        name: [argument for argument in container(plain, name)["args"] if argument.startswith("--output_names=")]
        for name in container_tasks(plain)
    }
    assert told["Pusher"] == ["--output_names=pushed_model"]
    assert told["Evaluator"] == ["--output_names=blessing,evaluation"]
    assert told["StatisticsKeeper"] == ["--output_names="]
    assert all(len(names) == 1 for names in told.values())


def test_tasks_that_see_more_than_their_inputs_are_not_cached(plain):
    uncached = {name for name in container_tasks(plain) if not task(plain, name)["cachingOptions"]["enableCache"]}
    assert uncached == {
        "PreviousStatistics",
        "StatisticsKeeper",
        "LatestBlessedModel",
        "Pusher",
    }


@pytest.mark.parametrize(
    ("release", "kubeflow", "cached"),
    [
        ("ml-1m", {}, True),
        ("ml-latest-small", {}, False),
        ("ml-1m", {"data_root": "minio://mlpipeline/ml-1m.zip"}, False),
        ("ml-latest-small", {"data_root": "minio://mlpipeline/small.zip", "data_digest": "0" * 64}, True),
    ],
)
def test_generation_is_cached_where_a_digest_fixes_its_source(release: str, kubeflow: dict[str, Any], cached: bool):
    settings = with_kubeflow(**kubeflow)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"release": release})})
    documents = read_documents(compile_pipeline(settings))
    assert task(documents, "DataGenerator")["cachingOptions"] == {"enableCache": cached}


def test_beam_arguments_are_joined_so_that_they_can_be_read_again():
    arguments = ["--temp_location=/tmp/a b", "--name=it's"]
    declared = read_documents(compile_pipeline(with_kubeflow(beam_args=arguments)))[0]["root"]["inputDefinitions"]
    assert shlex.split(declared["parameters"]["beam_args"]["defaultValue"]) == arguments


def test_the_volume_is_mounted_where_it_is_used_and_nowhere_else(plain):
    mounted = {name for name in container_tasks(plain) if "pvcMount" in on_kubernetes(plain, name)}
    assert mounted == {"PreviousStatistics", "StatisticsKeeper", "LatestBlessedModel", "Pusher"}
    assert on_kubernetes(plain, "Pusher")["pvcMount"] == [{"constant": "next-movie", "mountPath": "/mnt/next-movie"}]


def test_a_components_settings_are_all_in_the_file(chosen):
    trainer = container(chosen, "Trainer")
    assert trainer["image"] == "registry.example/with-gpu:1"
    assert trainer["resources"] == {
        "cpuLimit": 4,
        "cpuRequest": 0.5,
        "memoryLimit": 16.5,
        "memoryRequest": 8,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert task(chosen, "Trainer")["retryPolicy"]["maxRetryCount"] == 3
    assert on_kubernetes(chosen, "Trainer")["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert task(chosen, "Trainer")["cachingOptions"] == {"enableCache": True}
    assert task(chosen, "StatisticsGen")["cachingOptions"] == {"enableCache": False}


def test_a_components_pod_is_described_as_kubernetes_executor_config_has_it(chosen):
    pod = on_kubernetes(chosen, "Trainer")
    assert pod["imagePullPolicy"] == "Always"
    assert pod["imagePullSecret"] == [{"secretName": "registry"}]
    assert pod["activeDeadlineSeconds"] == "7200"
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": "0"},
    ]
    pairs = [{"secretKey": "a-key", "envVar": "A"}, {"secretKey": "b-key", "envVar": "B"}]
    assert pod["secretAsEnv"] == [{"secretName": "store", "keyToEnv": pairs}]
    assert pod["secretAsVolume"] == [{"secretName": "certificates", "mountPath": "/etc/certificates"}]
    assert pod["podMetadata"] == {"labels": POD["labels"], "annotations": POD["annotations"]}
    assert set(on_kubernetes(chosen, "Transform")) == {"nodeSelector"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cpu": 1, "cpu_request": 2}, "more cpu is requested than its limit allows"),
        ({"memory_gb": 1, "memory_request_gb": 2}, "more memory is requested than its limit allows"),
        ({"cpu": float("inf")}, "cpu"),
        ({"image_pull_policy": "Sometimes"}, "image_pull_policy"),
        ({"image_pull_secrets": ["No_Name"]}, "image_pull_secrets"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"tolerations": [{"value": "a"}]}, "without a key needs the operator Exists"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "Exists has no value"),
        ({"tolerations": [{"key": "a", "effect": "NoRun"}]}, "effect"),
        ({"secrets": [{"name": "a"}]}, "needs `env` or `mount_path`"),
        ({"secrets": [{"name": "a", "env": {"1A": "k"}}]}, "env"),
        ({"secrets": [{"name": "a", "mount_path": "relative"}]}, "mount_path"),
        ({"labels": {"a": "two words"}}, "labels"),
        ({"node_selector": {"-": "a"}}, "node_selector"),
    ],
)
def test_what_kubernetes_would_refuse_of_a_pod_is_refused_among_the_settings(settings, message):
    with pytest.raises(ValidationError, match=message):
        KubeflowSettings.model_validate({"components": {"Trainer": settings}})
    with pytest.raises(ValidationError, match=message):
        KubeflowSettings.model_validate({"defaults": settings})


def test_defaults_hold_for_every_other_component(chosen):
    for name in set(container_tasks(chosen)) - {"Trainer", "StatisticsGen"}:
        assert container(chosen, name)["resources"] == {
            "cpuLimit": 1,
            "cpuRequest": 1,
            "memoryLimit": 2,
            "memoryRequest": 2,
        }
        assert task(chosen, name)["retryPolicy"]["maxRetryCount"] == 1
        assert on_kubernetes(chosen, name)["nodeSelector"] == {"labels": {"pool": "cheap"}}
    assert "retryPolicy" not in task(chosen, "StatisticsGen")


def test_what_the_backends_pages_show_has_the_types_that_they_know(plain):
    outputs = plain[0]["components"]["RunPages"]["outputDefinitions"]["artifacts"]
    assert {name: definition["artifactType"]["schemaTitle"] for name, definition in outputs.items()} == {
        "report_page": "system.HTML",
        "statistics_page": "system.HTML",
        "summary": "system.Markdown",
        "metrics": "system.Metrics",
    }


def test_another_volume_is_mounted_and_used(chosen):
    assert on_kubernetes(chosen, "Pusher")["pvcMount"] == [{"constant": "models", "mountPath": "/models"}]
    assert re.search(r"/models/serving/next-movie-default-sample\b(?!-)", str(task(chosen, "Pusher")))


def test_what_a_run_may_choose_is_declared_with_its_default(plain, chosen):
    assert plain[0]["root"]["inputDefinitions"]["parameters"] == {
        "epochs": {"parameterType": "NUMBER_INTEGER", "defaultValue": 12},
        "beam_args": {"parameterType": "STRING", "defaultValue": ""},
    }
    declared = chosen[0]["root"]["inputDefinitions"]["parameters"]
    assert declared["data_root"] == {"parameterType": "STRING", "defaultValue": "s3://archives/ml-1m.zip"}
    assert declared["beam_args"]["defaultValue"] == "--runner=DirectRunner --temp_location=s3://b/tmp"


def test_the_run_reaches_the_tasks_that_its_choices_concern(chosen):
    told = {"componentInputParameter": "epochs"}
    tasks = container_tasks(chosen)
    assert {"Trainer", "Pusher"} <= {
        n for n in tasks if task(chosen, n)["inputs"]["parameters"].get("run_epochs") == told
    }
    assert all("run_beam_args" in task(chosen, name)["inputs"]["parameters"] for name in tasks)
    assert task(chosen, "DataSource")["inputs"]["parameters"]["artifact_uri"] == {
        "componentInputParameter": "data_root"
    }


def test_vertex_gets_a_job_that_looks_for_the_baseline_in_the_serving_folder():
    job = json.loads(compile_pipeline(load_settings("sample"), backend="vertex", pipeline_root="gs://bucket/root"))
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/root"
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    assert not any("resolver" in executor for executor in executors.values()), "TFX's own strategies don't see the data"
    assert "PublishedModel" in str(executors["LatestBlessedModel_executor"])
    assert re.search(r"/gcs/bucket/root/lasting/serving/next-movie-default-sample\b(?!-)", str(job))


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({"components": {"Trainor": {"cpu": 1}}}, {}, "names Trainor, but the pipeline's components are DataGenerator"),
        (
            {"data_root": "minio://mlpipeline/ml-1m.zip", "components": {"DataGenerator": {"caching": True}}},
            {},
            "DataGenerator.caching can't be on: the backend's cache doesn't see its data: state kubeflow.data_digest",
        ),
        ({"components": {"Pusher": {"caching": True}}}, {}, "Pusher.caching can't be on"),
        ({}, {"pipeline_root": "/data/root"}, "the pipeline root '/data/root' is not a URI"),
        ({"data_root": "/data/ml-1m.zip"}, {}, "the data root '/data/ml-1m.zip' is not a URI"),
        ({"data_root": "minio://other/ml-1m.zip"}, {}, "is not in minio://mlpipeline, the bucket of the pipeline root"),
        ({"data_root": "s3://mlpipeline/ml-1m.zip"}, {}, "give the cluster credentials for their bucket"),
        ({"data_root": "~/ml-1m.zip"}, {}, "the data root '~/ml-1m.zip' is not a URI"),
        ({"pipeline_root": ""}, {}, "the pipeline root '' is not a URI"),
        ({}, {"backend": "vertex"}, "Vertex keeps artifacts under gs://"),
        (
            {"components": {"Trainer": {"node_selector": {"a": "b"}}}},
            {"backend": "vertex", "pipeline_root": "gs://b/r"},
            "Vertex has no pods: take node_selector from kubeflow's settings of Trainer",
        ),
    ],
)
def test_what_the_backend_can_not_do_is_an_error_at_compile_time(settings, arguments, message):
    with pytest.raises(InputError, match=message):
        compile_pipeline(with_kubeflow(**settings), **arguments)


def test_a_component_may_set_what_the_defaults_leave_open_and_the_other_way_round():
    settings = KubeflowSettings(
        defaults=ComponentSettings(cpu=1, retries=2), components={"Trainer": ComponentSettings(retries=0, memory_gb=4)}
    )
    trainer = settings.of("Trainer")
    assert (trainer.cpu, trainer.retries, trainer.memory_gb) == (1, 0, 4)
    assert settings.of("Pusher") == settings.defaults


def test_our_artifact_types_have_names_that_containers_find_the_class_of():
    from tfx import v1 as tfx

    from components import artifacts
    from components.naming import NAMESPACE

    ours = [
        value for value in vars(artifacts).values() if isinstance(value, type) and issubclass(value, tfx.dsl.Artifact)
    ]
    assert ours
    for artifact_class in ours:
        assert f"{NAMESPACE}.{artifact_class.__name__}" == artifact_class.TYPE_NAME


@pytest.fixture(scope="module")
def rolling() -> list[dict[str, Any]]:
    settings = load_settings("rolling").model_copy(update={"batch_answers": BatchAnswersSettings(enabled=True)})
    return read_documents(compile_pipeline(settings))


def test_a_pipeline_that_learns_from_spans_has_the_tasks_of_a_local_run_and_those_that_stand_in_for_lineage(rolling):
    check_documents(rolling)
    assert set(container_tasks(rolling)) == {
        *("NextSpan", "ExampleGen", "SpanGate", "StatisticsGen", "ExampleValidator", "PreviousStatistics", "DataGate"),
        *("LatestBlessedModel", "AcceptedSpans", "PrequentialEvaluation", "SpanRange", "RangeStatistics", "Transform"),
        *("Trainer", "Audit", "Evaluator", "ServableCheck", "Pusher", "BatchRecommender", "RunReport", "SpanKeeper"),
        "RunPages",
    }
    assert {"SpanGate", "DataGate"} <= set(task(rolling, "AcceptedSpans")["dependentTasks"])
    assert "AcceptedSpans" in task(rolling, "PrequentialEvaluation")["dependentTasks"]
    assert "PrequentialEvaluation" in task(rolling, "SpanRange")["dependentTasks"]


def test_the_first_task_is_told_the_runs_span_and_all_others_wait_for_one_that_goes_by_what_it_found(rolling):
    declared = rolling[0]["root"]["inputDefinitions"]["parameters"]
    assert declared["span"] == {"parameterType": "NUMBER_INTEGER", "defaultValue": 0}
    assert task(rolling, "NextSpan")["inputs"]["parameters"]["span"] == {"componentInputParameter": "span"}
    tasks = rolling[0]["root"]["dag"]["tasks"]
    conditional = {name for name, content in tasks.items() if content.get("triggerPolicy", {}).get("condition")}
    assert conditional == {"ExampleGen"}

    def comes_before(name: str) -> set[str]:
        direct = tasks[name].get("dependentTasks", [])
        return {*direct, *(earlier for other in direct for earlier in comes_before(other))}

    assert [name for name in tasks if "ExampleGen" not in comes_before(name)] == ["ExampleGen", "NextSpan"]


def test_what_keeps_or_reads_a_spans_record_sees_the_volume_and_is_never_cached(rolling):
    mounted = {name for name in container_tasks(rolling) if "pvcMount" in on_kubernetes(rolling, name)}
    assert mounted == {
        *("NextSpan", "SpanGate", "StatisticsGen", "PreviousStatistics", "DataGate", "LatestBlessedModel"),
        *("AcceptedSpans", "SpanRange", "Pusher", "BatchRecommender", "SpanKeeper"),
    }
    assert not any(task(rolling, name)["cachingOptions"]["enableCache"] for name in mounted)


def test_a_file_that_is_the_same_for_every_span_has_no_cold_training_for_some_of_them():
    with pytest.raises(InputError, match=r"rolling\.cold_every is for runs on one machine") as refusal:
        compile_pipeline(with_values(load_settings("rolling"), {"rolling.cold_every": 3}))
    assert refusal.value.code == "K43"


@pytest.mark.parametrize(
    ("kubeflow", "arguments", "message"),
    [
        ({}, {"backend": "vertex", "pipeline_root": "gs://b/r"}, "Vertex takes no pipeline that learns from spans"),
        (
            {"data_root": "minio://mlpipeline/spans", "data_digest": "0" * 64},
            {},
            "kubeflow.data_digest is for data that stay the same",
        ),
    ],
)
def test_what_spans_can_not_have_on_a_cluster_is_refused(kubeflow, arguments, message):
    settings = load_settings("rolling").model_copy(update={"kubeflow": KubeflowSettings.model_validate(kubeflow)})
    with pytest.raises(InputError, match=message) as refusal:
        compile_pipeline(settings, **arguments)
    assert refusal.value.code == "K43"


def test_spans_in_a_bucket_are_given_to_the_tasks_that_read_them():
    settings = load_settings("rolling").model_copy(
        update={"kubeflow": KubeflowSettings(data_root="minio://mlpipeline/spans")}
    )
    documents = read_documents(compile_pipeline(settings))
    check_documents(documents)
    given = {
        name for name in container_tasks(documents) if "source" in task(documents, name)["inputs"].get("artifacts", {})
    }
    assert given == {"NextSpan", "SpanRange"}


def test_answers_for_every_user_are_a_task_behind_the_pusher_that_is_never_cached():
    settings = load_settings("sample").model_copy(
        update={"batch_answers": BatchAnswersSettings(enabled=True, history_length=30)}
    )
    documents = read_documents(compile_pipeline(settings))
    check_documents(documents)
    answering = task(documents, "BatchRecommender")

    assert {"ExampleGen", "Pusher"} <= set(answering["dependentTasks"])
    assert answering["cachingOptions"] == {"enableCache": False}
    assert "pvcMount" in on_kubernetes(documents, "BatchRecommender")
    generating = task(documents, "DataGenerator")["inputs"]["parameters"]
    assert generating["last_histories"]["runtimeValue"]["constant"] == 30


def test_without_the_setting_neither_the_task_nor_its_histories_are_in_the_file(plain):
    assert "BatchRecommender" not in plain[0]["root"]["dag"]["tasks"]
    assert "last_histories" not in task(plain, "DataGenerator")["inputs"]["parameters"]
