"""A span a run on a cluster: cold, warm, refused, good again, and nothing new, as a schedule would start them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from executor import RunResult
from test_compiled_pipeline_runs import Cluster

import kubeflow_runner
from components.spans.ledger import SpanRecord, keep_record, read_ledger
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from pipeline.settings import load_settings
from serving.export_record import read_record
from serving.versions import published_versions

pytestmark = pytest.mark.slow

SETTINGS = load_settings("rolling")


def lose_half_of_the_catalogue(span: Path) -> None:
    """Write a span's catalogue, and the manifest that tells its digest, without every other movie."""
    manifest = Manifest.load(span)
    file = span / manifest.catalogue_file
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[::2]), encoding="utf-8")
    manifest.model_copy(update={"catalogue_sha256": file_sha256(file)}).save(span)


def spans_behind(cluster: Cluster, result: RunResult) -> list[int]:
    """Return the spans that a run's model learned from, the newest first."""
    return json.loads(result.outputs["SpanRange"]["examples"].metadata["spans"])


def test_runs_of_a_schedule_learn_from_span_after_span_and_end_well_without_a_new_one(tmp_path: Path):
    cluster = Cluster.make(tmp_path, "2.17.0")
    compiled = tmp_path / "rolling.yaml"
    image = "--image=registry.example/next-movie:1"
    assert kubeflow_runner.main(["compile", "--config=rolling", image, f"--output={compiled}"]) == 0
    serving = cluster.volume / "serving" / SETTINGS.serving_name
    series = cluster.volume / "spans" / SETTINGS.pipeline_name
    ledger = cluster.volume / "ledger" / SETTINGS.pipeline_name

    def run(*arguments: str) -> tuple[int, RunResult]:
        return cluster.run(compiled, *arguments)

    def records() -> dict[int, SpanRecord]:
        return read_ledger(ledger)

    code, first = run()
    assert code == 0, {name: first.logs[name] for name in first.failed}
    assert (records()[1].outcome, records()[1].figures) == ("published", {})
    assert read_record(serving / "1").training.start == "cold"
    assert first.left_out == []

    code, second = run()
    assert code == 0, {name: second.logs[name] for name in second.failed}
    assert records()[2].outcome in ("published", "judged")
    assert 0 < records()[2].figures["recall_at_10"] < 1
    assert spans_behind(cluster, second) == [2, 1]
    assert "comparing with the published version 1" in second.logs["LatestBlessedModel"]
    model = cluster.output(second, "Trainer", "model") / "Format-Serving"
    assert (read_record(model).training.start, read_record(model).training.span) == ("warm", 2)
    served = published_versions(serving)

    lose_half_of_the_catalogue(series / "span-3")
    code, third = run()
    assert (code, third.failed) == (2, ["SpanGate"])
    assert records()[3].outcome == "refused"
    assert "its catalogue lacks movies" in records()[3].reason
    assert published_versions(serving) == served

    for newer in (4, 5):
        # As if they had been learned from too: what counts here is that nothing is left.
        digest = Manifest.load(series / f"span-{newer}").digest
        keep_record(ledger, newer, SpanRecord(outcome="published", manifest_digest=digest))
    for arguments, said in (((), "span 5 is the newest"), (("--span=1",), "span 1 was learned from")):
        code, idle = run(*arguments)
        assert (code, idle.state, idle.succeeded) == (0, "SUCCEEDED", ["NextSpan"])
        assert f"nothing to do: {said}" in idle.logs["NextSpan"]
        assert {"ExampleGen", "Trainer", "Pusher", "SpanKeeper"} <= set(idle.left_out)
