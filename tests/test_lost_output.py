"""Every command whose standard output has no reader any more, or no space."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from forked_commands import NO_READER, ROOT, Commands, Ended, commands

from serving.versions import published_versions

sys.path.insert(0, str(ROOT / "tests" / "kubeflow"))

from minimal_spec import minimal_documents

if TYPE_CHECKING:
    from shared_run import SampleRun

FULL = "/dev/full"

HELP = [
    ("local_runner",),
    ("data.generate",),
    ("recommend",),
    ("inspect_data",),
    *(("inspect_data", command) for command in ("show", "compare", "validate")),
    ("models",),
    *(("models", command) for command in ("list", "show", "rollback")),
    ("history",),
    *(("history", command) for command in ("list", "gc", "forget")),
    ("kubeflow_runner",),
    *(("kubeflow_runner", command) for command in ("compile", "submit", "upload", "schedule", "runs")),
    *(
        (f"benchmarks.{name}",)
        for name in (
            "gate",
            "generate_speed",
            "load",
            "peers.choose",
            "pipeline_speed",
            "quality.comparison",
            "scale",
            "search",
            "serve_speed",
            "train_speed",
        )
    ),
]

QUESTIONS: dict[str, Callable[[SampleRun, Path], list[object]]] = {
    "data.generate": lambda run, folder: ["--release", "sample", "--output", folder / "generated"],
    "recommend history": lambda run, folder: ["--model", run.model, "--history", "2", "--json"],
    "recommend similar": lambda run, folder: ["--model", run.model, "--similar-to", "2"],
    "recommend batch": lambda run, folder: ["--model", run.model, "--batch", batch(folder), "--output", folder / "out"],
    "inspect_data show": lambda run, folder: ["show", "--work-dir", run.work_dir],
    "inspect_data show json": lambda run, folder: ["show", "--work-dir", run.work_dir, "--json"],
    "inspect_data compare": lambda run, folder: ["compare", "--work-dir", run.work_dir],
    "inspect_data validate": lambda run, folder: ["validate", "--work-dir", run.work_dir],
    "models list": lambda run, folder: ["list", "--serving", run.model.parent],
    "models list json": lambda run, folder: ["list", "--serving", run.model.parent, "--json"],
    "models show": lambda run, folder: ["show", "--serving", run.model.parent],
    "models rollback": lambda run, folder: ["rollback", "1", "--serving", twice(run.model.parent, folder)],
    "history list": lambda run, folder: ["list", "--work-dir", run.work_dir],
    "history gc": lambda run, folder: ["gc", "--dry-run", "--work-dir", run.work_dir],
    "kubeflow_runner compile": lambda run, folder: [
        *("compile", "--config", "sample", "--image", "r/n:1", "--output", folder / "compiled.yaml")
    ],
    "kubeflow_runner submit": lambda run, folder: ["submit", minimal(folder), "--dry-run"],
    "kubeflow_runner schedule": lambda run, folder: ["schedule", minimal(folder), "--every", "1d", "--dry-run"],
    "kubeflow_runner upload": lambda run, folder: ["upload", minimal(folder), "--dry-run"],
}

HEAVY = (
    "local_runner",
    "pipeline.pipeline",
    "pipeline.kubeflow.compiling",
    "pipeline.inspection.statistics_store",
    "data.local_generation",
    "serving.batch_inference",
)


def batch(folder: Path) -> Path:
    file = folder / "in.jsonl"
    file.write_text("[1, 2]\n" * 3, encoding="utf-8")
    return file


def twice(serving: Path, folder: Path) -> Path:
    """Copy a folder of versions, with version 1 published a second time."""
    copy = Path(shutil.copytree(serving, folder / serving.name))
    shutil.copytree(copy / "1", copy / "2")
    return copy


def minimal(folder: Path) -> Path:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump_all(minimal_documents()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def light(tmp_path_factory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("light"), []) as started:
        yield started


@pytest.fixture(scope="module")
def heavy(tmp_path_factory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("heavy"), HEAVY) as started:
        yield started


def assert_no_space_was_said(ended: Ended, *, progress: bool = False) -> None:
    lines = ended.errors.splitlines()
    assert (ended.code, lines[-1:]) == (2, ["error: standard output can't be written: No space left on device [F10]"])
    assert progress or len(lines) == 1, ended.errors
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_that_nobody_reads_is_no_fault(light, command):
    name, *subcommand = command
    assert light.run(name, [*subcommand, "--help"], NO_READER) == Ended(0, "")


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_help_that_finds_no_space_is_one_line(light, command):
    name, *subcommand = command
    assert_no_space_was_said(light.run(name, [*subcommand, "--help"], FULL))


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_command_that_nobody_reads_ends_quietly(sample_run, heavy, tmp_path, question):
    ended = heavy.run(question.split()[0], QUESTIONS[question](sample_run, tmp_path), NO_READER)

    assert ended.code == 0
    if question == "data.generate":
        assert "Traceback" not in ended.errors
        assert (tmp_path / "generated" / "manifest.json").is_file()
    else:
        assert ended.errors == ""


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_command_whose_output_finds_no_space_says_so_in_one_line(sample_run, heavy, tmp_path, question):
    ended = heavy.run(question.split()[0], QUESTIONS[question](sample_run, tmp_path), FULL)

    assert_no_space_was_said(ended, progress=question == "data.generate")


@pytest.mark.slow
def test_answers_to_a_batch_that_go_to_standard_output_end_with_its_reader(sample_run, heavy, tmp_path):
    asked = ["--model", sample_run.model, "--batch", batch(tmp_path), "--output", "/dev/stdout"]

    assert heavy.run("recommend", asked, NO_READER) == Ended(0, "")


@pytest.mark.slow
def test_a_run_goes_on_without_a_reader_and_ends_at_once_without_space(sample_run, heavy):
    asked = ["--config", "sample", "--work-dir", sample_run.work_dir]
    with sample_run.put_back():
        assert_no_space_was_said(heavy.run("local_runner", asked, FULL))
        page = sample_run.work_dir / "pipelines" / sample_run.settings.pipeline_name / "report.html"
        page.unlink()

        ended = heavy.run("local_runner", asked, NO_READER)

        assert ended == Ended(0, "")
        assert page.is_file()
        assert published_versions(sample_run.model.parent) == [1]
