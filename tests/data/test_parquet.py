"""Parquet files that would run a program: none is run, and each is refused in one line."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self._path), os.O_CREAT | os.O_WRONLY)


def write_hostile(path: Path, trace: Path) -> None:
    """Write ratings and histories whose first column's type is a program, as Arrow's own Python types are written."""
    name = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Program(trace)),
    }
    number, numbers = pa.int64(), pa.list_(pa.int64())
    schema = pa.schema(
        [
            pa.field("user", number, metadata=name),
            pa.field("item", number),
            pa.field("time", number),
            pa.field("history", numbers),
        ]
    )
    columns = [
        pa.array([1, 2], number),
        pa.array([1, 2], number),
        pa.array([1, 2], number),
        pa.array([[1], [2]], numbers),
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own: here Beam may have closed the hole already."""
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


def test_the_file_would_run_its_program_if_an_older_arrow_opened_it_elsewhere(tmp_path: Path) -> None:
    file, trace = tmp_path / "hostile.parquet", tmp_path / "trace"
    write_hostile(file, trace)
    run("-c", f"import pyarrow.parquet as pq; pq.ParquetFile({str(file)!r})")
    assert trace.exists() is (int(pa.__version__.partition(".")[0]) < 14)


def test_data_of_ones_own_run_nothing(tmp_path: Path) -> None:
    file, trace = tmp_path / "hostile.parquet", tmp_path / "trace"
    write_hostile(file, trace)
    done = run("-m", "data.generate", "--interactions", file, "--name", "shop", "--output", tmp_path / "out")
    assert not trace.exists()
    assert done.returncode == 2
    [line] = done.stderr.splitlines()[-1:]
    assert line.startswith(f"error: {file}")
    assert re.search(r"\[D\d\d\]$", line)


@pytest.mark.slow
def test_histories_run_nothing(tmp_path: Path) -> None:
    from synthetic_model import export_untrained_model

    file, trace = tmp_path / "hostile.parquet", tmp_path / "trace"
    write_hostile(file, trace)
    model = export_untrained_model(tmp_path / "1", 20)
    done = run("recommend.py", "--model", model, "--batch", file, "--output", tmp_path / "answers.jsonl")
    assert not trace.exists()
    # Where Arrow itself closes the hole, a column that isn't asked for is no reason to refuse the file.
    if done.returncode != 0:
        assert done.returncode == 2
        assert f"{file} can't be read as Parquet: ArrowInvalid: a column's type is a program" in done.stderr


def test_parquet_is_opened_in_one_place_and_no_other_form_that_runs_programs_is_read() -> None:
    rooms = ("data", "serving", "trainer_module", "components", "pipeline")
    paths = [*ROOT.glob("*.py"), *(path for room in rooms for path in (ROOT / room).rglob("*.py"))]
    unsafe = {"ParquetFile", "ParquetDataset", "read_table", "read_parquet", "read_feather", "open_file", "open_stream"}
    found = {
        f"{path.relative_to(ROOT)}: {called.attr}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(called := node.func, ast.Attribute) and called.attr in unsafe
    }
    assert found == {"data/parquet.py: ParquetFile"}
