"""Which pipeline's statistics are looked at when none is named."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2

from data.errors import InputError
from pipeline.inspection.statistics_store import find_sources
from pipeline.metadata_store import open_store


def record_run(work_dir: Path, pipeline: str) -> Path:
    """Write the metadata of a run that got to no statistics."""
    file = work_dir / "pipelines" / pipeline / "metadata.sqlite"
    file.parent.mkdir(parents=True, exist_ok=True)
    store = open_store(str(file))
    kind = store.put_context_type(metadata_store_pb2.ContextType(name="pipeline_run"))
    store.put_contexts([metadata_store_pb2.Context(type_id=kind, name=f"run {time.time_ns()}")])
    # The next run has to begin in another millisecond.
    time.sleep(0.005)
    return file


def asked(work_dir: Path) -> str:
    """Return the pipeline that is looked at: its name stands in what is said of its run."""
    with pytest.raises(InputError, match="got as far as its statistics") as refused:
        find_sources(work_dir)
    return str(refused.value).split()[3]


def test_the_pipeline_that_ran_last_is_looked_at_whatever_the_times_of_its_files(tmp_path):
    first, second = (record_run(tmp_path, name) for name in ("first", "second"))
    os.utime(first, (time.time() + 60,) * 2)
    os.utime(second, (0, 0))
    assert asked(tmp_path) == "second"
    record_run(tmp_path, "first")
    assert asked(tmp_path) == "first"


def test_damaged_metadata_of_another_pipeline_are_no_hindrance(tmp_path):
    record_run(tmp_path, "sound")
    (tmp_path / "pipelines" / "broken").mkdir()
    (tmp_path / "pipelines" / "broken" / "metadata.sqlite").write_bytes(b"no database at all" * 99)
    assert asked(tmp_path) == "sound"


def test_metadata_that_are_no_database_are_said_to_be_unreadable(tmp_path):
    file = tmp_path / "pipelines" / "broken" / "metadata.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database at all" * 99)
    with pytest.raises(InputError, match=r"metadata\.sqlite can't be read"):
        find_sources(tmp_path)
