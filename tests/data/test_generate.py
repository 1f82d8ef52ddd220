"""The whole command: the same bytes every time, nothing lost, and a clear answer to every fault."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tensorflow as tf
from data_helpers import CSV_MOVIES, CSV_RATINGS, read_examples

from data import beam_generation, beam_options, local_generation
from data.errors import InputError
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.shards import shard_pattern
from data.generate import generate, run
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.timelines import user_blocks as blocks

ROOT = Path(__file__).parents[2]
OPTIONS = GenerateOptions(release="ml-latest-small")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _only(folder: Path, name: str) -> None:
    """Assert that nothing but the output and its lock is left beside it."""
    assert {path.name for path in folder.iterdir()} <= {name, f".{name}.lock", "small-release"}


# Determinism


def test_two_runs_give_the_same_bytes_in_every_file(small_release: Path, tmp_path: Path):
    for name in ("first", "second"):
        generate(OPTIONS, tmp_path / name, source=small_release)
    assert _bytes(tmp_path / "first") == _bytes(tmp_path / "second")


def test_neither_blocks_nor_row_order_of_users_change_a_byte(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    generate(OPTIONS, tmp_path / "first", source=small_release)
    expected = {name: content for name, content in _bytes(tmp_path / "first").items() if name != MANIFEST_FILE}

    header, *lines = (small_release / "ratings.csv").read_text().splitlines()
    rows_of: dict[str, list[str]] = {}
    for line in lines:
        rows_of.setdefault(line.split(",")[0], []).append(line)
    # Interleave the users at random; each one's rows stay in order, which decides ties.
    turns = [user for user, rows in rows_of.items() for _ in rows]
    random.Random(3).shuffle(turns)  # noqa: S311
    shuffled = [rows_of[user].pop(0) for user in turns]
    (small_release / "ratings.csv").write_text("\n".join([header, *shuffled, ""]))
    monkeypatch.setattr(blocks, "BYTES_PER_BLOCK", 500)
    generate(OPTIONS, tmp_path / "second", source=small_release)

    found = {name: content for name, content in _bytes(tmp_path / "second").items() if name != MANIFEST_FILE}
    assert found == expected


def test_the_number_of_shards_changes_neither_split_nor_order(small_release: Path, tmp_path: Path):
    sequences = []
    # 300 and the 30 of eval are more than a byte can number.
    for shards in (1, 2, 300):
        output = tmp_path / str(shards)
        manifest = generate(OPTIONS.model_copy(update={"shards": shards}), output, source=small_release)
        assert len(manifest.shards_of("train")) == shards == len(list(output.glob(shard_pattern("train"))))
        sequences.append([read_examples(output, split) for split in ("train", "eval")])
    assert all(sequence == sequences[0] for sequence in sequences)


def test_shards_are_evenly_filled(tmp_path: Path):
    manifest = generate(GenerateOptions(release="sample", shards=4), tmp_path / "out")
    sizes = [shard.examples for shard in manifest.shards_of("train")]
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("split", ["random", "temporal", "leave_one_out"])
def test_the_number_of_workers_changes_no_byte(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, split: str
):
    options = OPTIONS.model_copy(update={"split": split, "shards": 7})
    generate(options, tmp_path / "first", source=small_release)
    monkeypatch.setattr(blocks, "BYTES_PER_BLOCK", 1000)
    monkeypatch.setattr(local_generation, "available_workers", lambda: workers)
    real, calls, meeting = local_generation.count_split, itertools.count(), threading.Barrier(workers)

    def count_at_once(*args: object, **kwargs: object) -> object:
        if next(calls) < workers:
            meeting.wait(timeout=60)  # raises an error unless as many are at work as there are workers
        return real(*args, **kwargs)

    monkeypatch.setattr(local_generation, "count_split", count_at_once)
    generate(options, tmp_path / "second", source=small_release)
    assert _bytes(tmp_path / "first") == _bytes(tmp_path / "second")


@pytest.mark.parametrize("split", ["random", "temporal", "leave_one_out"])
@pytest.mark.parametrize(
    "beam_args", [["--runner=DirectRunner"], ["--direct_num_workers=3", "--direct_running_mode=multi_threading"]]
)
def test_beam_gives_the_same_bytes(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, beam_args: list[str]
):
    options = OPTIONS.model_copy(update={"split": split})
    monkeypatch.setattr(blocks, "BYTES_PER_BLOCK", 1000)
    generate(options, tmp_path / "here", source=small_release)
    real, runs = beam_generation.generate_in_beam, []

    def run_and_record(*args: object) -> local_generation.GenerationResult:
        runs.append(real(*args))
        return runs[-1]

    monkeypatch.setattr(beam_generation, "generate_in_beam", run_and_record)
    generate(options, tmp_path / "beam", source=small_release, beam_args=beam_args)
    assert len(runs) == 1, "Beam ran the steps"
    assert _bytes(tmp_path / "here") == _bytes(tmp_path / "beam")


@pytest.mark.parametrize("beam_args", [(), beam_options.IN_PROCESS_ARGS], ids=["threads", "Beam"])
@pytest.mark.parametrize("name", ["g[1]", "g*?"])
def test_names_that_would_be_patterns_are_names(small_release: Path, tmp_path: Path, name: str, beam_args: list[str]):
    source = small_release.rename(small_release.with_name(f"of {name}"))
    generate(OPTIONS, tmp_path / name, source=source, beam_args=beam_args)
    generate(OPTIONS, tmp_path / "plain", source=source)
    assert _bytes(tmp_path / name) == _bytes(tmp_path / "plain")


def test_beam_tensorflow_and_pandas_are_imported_only_when_asked_for(small_release: Path, tmp_path: Path):
    script = (
        "import sys\n"
        "from data.generate import run\n"
        "code = run(sys.argv[1:])\n"
        "print([name for name in ('pandas', 'apache_beam', 'tensorflow') if name in sys.modules])\n"
        "sys.exit(code)\n"
    )
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# The manifest and the catalogue


def test_the_manifest_describes_what_is_there(small_release: Path, tmp_path: Path):
    manifest = generate(OPTIONS, tmp_path / "out", source=small_release)
    assert Manifest.load(tmp_path / "out") == manifest
    manifest.verify(tmp_path / "out")
    for split in ("train", "eval"):
        assert len(read_examples(tmp_path / "out", split)) == getattr(manifest.counts, split)
    assert manifest.counts.users == 40
    catalogue = Catalogue.load(tmp_path / "out" / CATALOGUE_FILE)
    assert len(catalogue) == manifest.counts.movies == 60
    assert catalogue.title(1) == "Movie 1 (1951)"
    assert catalogue.title(60) == "movie 60", "rated, but not listed"


def test_the_digest_follows_the_content_and_not_the_libraries(small_release: Path, tmp_path: Path):
    manifest = generate(OPTIONS, tmp_path / "out", source=small_release)
    assert manifest.model_copy(update={"libraries": {}}).digest == manifest.digest
    shard, *others = manifest.shards
    for change in (
        {"format_version": manifest.format_version + 1},
        {"source_digest": "0" * 64},
        {"options": OPTIONS.model_copy(update={"seed": 1})},
        {"shards": (shard.model_copy(update={"sha256": "0" * 64}), *others)},
        {"catalogue_sha256": "0" * 64},
    ):
        assert manifest.model_copy(update=change).digest != manifest.digest, change


@pytest.mark.parametrize("fault", ["missing", "truncated", "flipped", "extra", "catalogue"])
def test_verification_names_the_file_at_fault_and_a_rerun_repairs_it(small_release: Path, tmp_path: Path, fault: str):
    output = tmp_path / "out"
    manifest = generate(OPTIONS, output, source=small_release)
    expected = _bytes(output)
    victim = output / manifest.shards[0].name
    content = victim.read_bytes()
    if fault == "missing":
        victim.unlink()
    elif fault == "truncated":
        victim.write_bytes(content[:-1])
    elif fault == "flipped":
        victim.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif fault == "extra":
        victim = output / "train-00001-of-00002.tfrecord.gz"
        victim.write_bytes(content)
    else:
        victim = output / CATALOGUE_FILE
        victim.write_bytes(victim.read_bytes() + b"\n")

    with pytest.raises(InputError, match=victim.name):
        manifest.verify(output)
    lines: list[str] = []
    generate(OPTIONS, output, source=small_release, progress=lines.append)
    assert any("generating again" in line and victim.name in line for line in lines)
    assert _bytes(output) == expected


def test_a_missing_or_damaged_manifest_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"run `python -m data\.generate"):
        Manifest.load(tmp_path)
    (tmp_path / MANIFEST_FILE).write_text("{")
    with pytest.raises(InputError, match="not a readable manifest"):
        Manifest.load(tmp_path)


# Reruns and replacement


def test_a_rerun_of_the_same_does_nothing(small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    output = tmp_path / "out"
    first = generate(OPTIONS, output, source=small_release)
    times = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    monkeypatch.setattr(local_generation, "generate_in_threads", None)
    lines: list[str] = []
    assert generate(OPTIONS, output, source=small_release, progress=lines.append) == first
    assert lines == [f"{output} is up to date"]
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == times


def test_other_options_or_other_data_replace_the_output(small_release: Path, tmp_path: Path):
    output = tmp_path / "out"
    first = generate(OPTIONS, output, source=small_release)
    second = generate(OPTIONS.model_copy(update={"shards": 2}), output, source=small_release)
    assert len(list(output.glob("train-*"))) == 2
    with (small_release / "ratings.csv").open("a") as file:
        file.write("999,1,5.0,1000000000\n")
    third = generate(OPTIONS.model_copy(update={"shards": 2}), output, source=small_release)
    assert len({first.digest, second.digest, third.digest}) == 3
    _only(tmp_path, "out")


def test_a_folder_with_other_files_is_not_touched(small_release: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.txt, which is not generated data"):
        generate(OPTIONS, tmp_path / "out", source=small_release)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_place_of_the_output_or_its_parent_is_refused(small_release: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        generate(OPTIONS, tmp_path / "file", source=small_release)
    with pytest.raises(InputError, match="can't be written"):
        generate(OPTIONS, tmp_path / "file" / "out", source=small_release)


def test_a_second_run_waits_for_the_first(small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    everything: list[str] = []
    real, one_waits = blocks.spill_ratings, threading.Event()

    def report(line: str) -> None:
        everything.append(line)
        if "waiting for it" in line:
            one_waits.set()

    def spill_when_the_other_waits(*args: object, **kwargs: object) -> object:
        assert one_waits.wait(timeout=60)
        return real(*args, **kwargs)

    monkeypatch.setattr(blocks, "spill_ratings", spill_when_the_other_waits)
    runs = [
        threading.Thread(
            target=generate, args=(OPTIONS, tmp_path / "out"), kwargs={"source": small_release, "progress": report}
        )
        for _ in range(2)
    ]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert sum("waiting for it" in line for line in everything) == 1
    assert sum("is up to date" in line for line in everything) == 1


# Faults


def _source(folder: Path, ratings: str, movies: str = "1,A (1990),Drama\n") -> Path:
    folder.mkdir()
    (folder / "ratings.csv").write_text(CSV_RATINGS + ratings)
    (folder / "movies.csv").write_text(CSV_MOVIES + movies)
    return folder


def test_a_repeated_rating_is_refused_with_both_lines(tmp_path: Path):
    rows = "1,1,3.0,978300760\n1,2,3.0,978300761\n1,1,3.0,978300760\n"
    with pytest.raises(InputError, match=r"ratings\.csv line 4: is the same rating as line 2"):
        generate(OPTIONS, tmp_path / "out", source=_source(tmp_path / "source", rows))


def test_a_movie_rated_anew_at_another_time_is_kept(tmp_path: Path):
    rows = "".join(f"{user},{movie},3.0,{978300760 + movie}\n" for user in range(1, 9) for movie in (1, 2, 3))
    rows += "1,1,3.0,978300999\n"
    manifest = generate(OPTIONS, tmp_path / "out", source=_source(tmp_path / "source", rows))
    assert manifest.counts.train + manifest.counts.eval == 8 * 2 + 1


@pytest.mark.parametrize(
    ("rows", "changes", "reason"),
    [
        ("1,1,3.0,978300760\n", {}, "no example is left"),
        ("1,1,1.0,978300760\n1,2,1.0,978300761\n1,3,1.5,978300762\n", {}, "no example is left"),
        ("1,1,3.0,978300760\n1,2,3.0,978300761\n1,3,3.0,978300762\n", {}, "the eval split is empty"),
        (
            "1,1,3.0,978300760\n1,2,3.0,978300761\n1,3,3.0,978300762\n",
            {"train_fraction": 0.1},
            "the train split is empty",
        ),
        (
            "1,1,3.0,978300760\n1,2,3.0,978300761\n",
            {"split": "leave_one_out", "min_timeline_length": 2},
            "the train split is empty",
        ),
    ],
)
def test_an_empty_split_is_refused(tmp_path: Path, rows: str, changes: dict, reason: str):
    options = OPTIONS.model_copy(update=changes)
    with pytest.raises(InputError, match=reason):
        generate(options, tmp_path / "out", source=_source(tmp_path / "source", rows))
    assert not (tmp_path / "out").exists()


def test_rated_movies_that_are_not_listed_are_counted_and_kept(tmp_path: Path):
    rows = "".join(f"{user},{movie},3.0,{978300760 + movie}\n" for user in range(1, 9) for movie in (1, 5, 9))
    lines: list[str] = []
    source = _source(tmp_path / "source", rows)
    generate(OPTIONS, tmp_path / "out", source=source, progress=lines.append)
    assert any("2 rated movies are not listed" in line for line in lines)
    assert Catalogue.load(tmp_path / "out" / CATALOGUE_FILE).ids.tolist() == [1, 5, 9]


def _full_disk_of_python(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _full_disk_of_tensorflow(*_: object, **__: object) -> None:
    raise tf.errors.ResourceExhaustedError(None, None, "train-00000: No space left on device")


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [
        (blocks, "spill_ratings", _full_disk_of_python),
        (local_generation, "build_windows", _full_disk_of_python),
        (local_generation, "write_shard", _full_disk_of_tensorflow),
        (local_generation, "write_shard", _full_disk_of_python),
        (Manifest, "save", _full_disk_of_python),
    ],
)
def test_a_full_disk_is_one_clear_line_and_the_former_output_stays(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, fault: object
):
    output = tmp_path / "out"
    generate(OPTIONS, output, source=small_release)
    expected = _bytes(output)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, fault)
        with pytest.raises(InputError, match="no space left on the disk of") as caught:
            generate(OPTIONS.model_copy(update={"seed": 1}), output, source=small_release)
    assert len(str(caught.value).splitlines()) == 1
    assert _bytes(output) == expected
    _only(tmp_path, "out")

    generate(OPTIONS.model_copy(update={"seed": 1}), output, source=small_release)
    assert _bytes(output) != expected


@pytest.mark.parametrize("step", ["histogram", "count_split", "build_windows", "write_shard"])
def test_a_fault_in_one_worker_ends_the_run_and_the_former_output_stays(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    output = tmp_path / "out"
    generate(OPTIONS, output, source=small_release)
    expected = _bytes(output)
    threads = threading.active_count()
    monkeypatch.setattr(blocks, "BYTES_PER_BLOCK", 1000)
    monkeypatch.setattr(local_generation, "available_workers", lambda: 2)
    real, calls = getattr(local_generation, step), []

    def fail_at_the_second(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise ZeroDivisionError("a fault of the step")
        return real(*args, **kwargs)

    monkeypatch.setattr(local_generation, step, fail_at_the_second)
    with pytest.raises(ZeroDivisionError, match="a fault of the step"):
        generate(OPTIONS.model_copy(update={"seed": 1, "shards": 40}), output, source=small_release)
    assert threading.active_count() == threads
    assert _bytes(output) == expected
    _only(tmp_path, "out")


@pytest.mark.parametrize("pattern", ["work/*.rows", "*.tfrecord.gz"])
def test_a_killed_run_leaves_the_former_output_and_the_next_run_succeeds(
    small_release: Path, tmp_path: Path, pattern: str
):
    output = tmp_path / "out"
    generate(OPTIONS, output, source=small_release)
    expected = _bytes(output)
    arguments = ["--release", "ml-latest-small", "--source", str(small_release), "--output", str(output)]
    command = [sys.executable, "-m", "data.generate", *arguments, "--seed", "5", "--shards", "40"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob(f".out.partial-*/{pattern}")):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert _bytes(output) == expected

    manifest = generate(OPTIONS.model_copy(update={"seed": 5}), output, source=small_release)
    manifest.verify(output)
    _only(tmp_path, "out")


def test_a_run_killed_between_its_two_renames_is_put_right(small_release: Path, tmp_path: Path):
    output = tmp_path / "out"
    first = generate(OPTIONS, output, source=small_release)
    output.rename(tmp_path / ".out.former")
    lines: list[str] = []
    assert generate(OPTIONS, output, source=small_release, progress=lines.append) == first
    assert lines == [f"{output} is up to date"]
    _only(tmp_path, "out")


def test_of_what_lost_runs_left_only_this_outputs_is_removed(small_release: Path, tmp_path: Path):
    lost = [tmp_path / ".out.partial", tmp_path / ".out.partial-0123456789ab"]
    others = [tmp_path / ".out.partial-mine", tmp_path / ".out.partial-x.partial-0123456789ab", tmp_path / ".a.partial"]
    for folder in [*lost, *others]:
        folder.mkdir()
    generate(OPTIONS, tmp_path / "out", source=small_release)
    assert not any(folder.exists() for folder in lost)
    assert all(folder.exists() for folder in others)


# The command line


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "data.generate", *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--release", "ml-2m", "--output", "x"], 2),
        (["--release", "sample", "--output", "x", "--train-fraction", "1.5"], 2),
        (["--release", "sample", "--output", "x", "--bogus"], 2),
    ],
)
def test_help_and_bad_arguments_answer_without_importing_anything_slow(arguments: list[str], code: int):
    # 0.2 s here; what was imported says the same on a busy machine.
    script = (
        "import sys\n"
        "from data.generate import run\n"
        "try:\n    code = run(sys.argv[1:])\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        "print([name for name in ('numpy', 'pyarrow', 'apache_beam', 'tensorflow') if name in sys.modules])\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Traceback" not in done.stderr


def test_the_command_line_generates_with_every_option(small_release: Path, tmp_path: Path):
    done = _run(
        *("--release", "ml-latest-small", "--source", str(small_release), "--output", str(tmp_path / "out")),
        *("--min-timeline-length", "4", "--max-context-length", "5", "--max-context-movie-genre-length", "6"),
        *("--min-rating", "3", "--train-fraction", "0.8", "--split", "leave-one-out", "--seed", "9"),
        *("--shards", "2", "--beam-arg=--direct_num_workers=1", "--cache-dir", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "split leave_one_out" in done.stdout
    assert Manifest.load(tmp_path / "out").options == GenerateOptions(
        release="ml-latest-small",
        min_timeline_length=4,
        max_context_length=5,
        max_context_movie_genre_length=6,
        min_rating=3.0,
        train_fraction=0.8,
        split="leave_one_out",
        seed=9,
        shards=2,
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--release", "ml-1m", "--source", "/nonexistent"], "/nonexistent does not exist"),
        (["--release", "sample", "--train-fraction", "2"], "train_fraction = 2.0: Input should be less than 1"),
        (["--release", "sample", "--min-timeline-length", "1"], "min_timeline_length = 1"),
        (["--release", "sample", "--shards", "0"], "shards = 0"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
):
    assert run([*arguments, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert reason in error
    assert error.count("\n") == 1


def test_memory_for_a_block_does_not_grow_with_the_release():
    # A block's windows: 95 bytes a rating at the default length, 280,000 ratings in 4 MiB of the densest text.
    densest = len("1,1,5,631152000\n")
    ratings_in_block = blocks.BYTES_PER_BLOCK / densest
    assert ratings_in_block * local_generation.window_dtype(10).itemsize < 100 << 20


def test_no_work_files_are_left(small_release: Path, tmp_path: Path):
    generate(OPTIONS, tmp_path / "out", source=small_release)
    assert all(path.is_file() for path in (tmp_path / "out").iterdir())
    shutil.rmtree(tmp_path / "out")
    _only(tmp_path, "out")


def test_a_folder_in_which_nothing_can_be_made_is_no_folder_that_another_run_writes(small_release: Path):
    with pytest.raises(InputError, match=r"/proc can't be written: ") as error:
        generate(OPTIONS, Path("/proc/made"), source=small_release)
    assert error.value.code == "F02"
