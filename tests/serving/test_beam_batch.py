"""Batch answers on Beam: the same bytes, from workers that see neither the model nor the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from beam_servers import engine, worker_environment
from forks import run_python_to_its_end
from synthetic_model import export_untrained_model

import recommend
from serving.batch_inference import recommend_file
from serving.batch_job import BatchJob
from serving.recommender import Recommender

pytestmark = pytest.mark.slow

HISTORIES = 4_500
"""More than a part holds."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("model") / "1", num_movies=400)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("requests") / "in.jsonl"
    histories = [[1 + (17 * user + step * step) % 400 for step in range(user % 20)] for user in range(HISTORIES)]
    source.write_text("".join(json.dumps({"history": each, "id": f"u{n}"}) + "\n" for n, each in enumerate(histories)))
    return source


@pytest.fixture(scope="module")
def expected(model: Path, requests: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("expected") / "out.jsonl"
    assert recommend_file(Recommender.load(model), BatchJob(requests, target, 5)) == HISTORIES
    return target.read_bytes()


def asked(model: Path, requests: Path, target: Path, *options: str) -> list[str]:
    return ["--model", str(model), "--batch", str(requests), "--output", str(target), "-k", "5", *options]


def test_beam_gives_the_same_answers_in_order_and_leaves_nothing_else(
    model: Path, requests: Path, expected: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.jsonl"
    assert recommend.main(asked(model, requests, target, "--beam-arg=--direct_running_mode=multi_threading")) == 0
    assert f"{HISTORIES:,} histories answered" in capsys.readouterr().out
    assert target.read_bytes() == expected
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_beam_gives_the_same_bytes_in_other_formats_with_titles(
    model: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / f"in.{suffix}"
    histories = [[1 + (17 * user + step * step) % 400 for step in range(user % 20)] for user in range(HISTORIES)]
    if suffix == "csv":
        source.write_text(
            "history,id\n" + "".join(f"{' '.join(map(str, each))},0{n}\n" for n, each in enumerate(histories))
        )
    else:
        pq.write_table(pa.table({"history": histories, "id": list(range(HISTORIES))}), source)
    here, there = tmp_path / f"here.{suffix}", tmp_path / f"there.{suffix}"

    assert recommend.main(asked(model, source, here, "--titles")) == 0
    on_beam = asked(model, source, there, "--titles", "--beam-arg=--direct_running_mode=multi_threading")
    assert recommend.main(on_beam) == 0

    assert capsys.readouterr().out.count(f"{HISTORIES:,} histories answered") == 2
    assert there.read_bytes() == here.read_bytes()
    assert b"Movie number 1 (1999)" in here.read_bytes()


def test_workers_on_an_engine_need_neither_the_model_nor_the_file(
    model: Path, requests: Path, expected: bytes, tmp_path: Path
) -> None:
    hidden, seen = tmp_path / "hidden", tmp_path / "seen"
    hidden.mkdir()
    seen.mkdir()
    here = shutil.copytree(model, hidden / "model" / "1")
    with engine(hidden=hidden) as beam_args:
        arguments = asked(here, requests, hidden / "out.jsonl", *beam_args, f"--beam-arg=--temp_location={seen}")
        done = run_python_to_its_end(["recommend.py", *arguments], environment=worker_environment())
    assert done.returncode == 0, done.stderr
    assert (hidden / "out.jsonl").read_bytes() == expected
    assert list(seen.iterdir()) == []


def test_a_bad_line_is_named_and_nothing_is_left(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('[1, 2]\n["a"]\n')
    assert recommend.main(asked(model, source, target, "--beam-arg=--runner=DirectRunner")) == 2
    assert f"error: {source}, line 2 is no history" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_a_job_that_fails_is_one_line_and_the_former_answers_stay(
    model: Path, requests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("former\n")
    assert recommend.main(asked(model, requests, target, "--beam-arg=--runner=NoSuchRunner")) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: the job that answers failed on Beam: ")
    assert line.endswith("(--verbose shows all of it) [G14]")
    assert target.read_text() == "former\n"
    assert list(tmp_path.iterdir()) == [target]


def test_beams_options_are_for_a_batch(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        recommend.main(["--model", str(model), "--history", "1", "--beam-arg=--runner=DirectRunner"])
    assert ended.value.code == 2
    assert "--beam-arg is for --batch" in capsys.readouterr().err
