"""What is said of a failed step: real exceptions, as they are and as Beam hands them on."""

from __future__ import annotations

import errno
import gzip
import importlib
import os
import pickle
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from data.beam_options import IN_PROCESS_ARGS
from data.errors import InputError
from pipeline.error_messages import describe_failure
from pipeline.local import StepFailedError

MISSING = "what an earlier step wrote is missing: run again with --no-cache, which makes it anew"
DAMAGED = "what an earlier step wrote is damaged: run again with --no-cache, which makes it anew"
FULL = "no space is left on the disk: free some and run again"


@dataclass(frozen=True)
class Folders:
    """A work directory, the run's artifacts in it, and a folder of the user's."""

    work_dir: Path
    artifacts: Path
    elsewhere: Path

    def describe(self, error: BaseException) -> str:
        return describe_failure(error, self.work_dir, self.artifacts).message


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    top = tmp_path_factory.mktemp("failures")
    work_dir = top / "someone's work"
    folders = Folders(work_dir, work_dir / "pipelines" / "p" / "artifacts", top / "my data")
    for folder in (folders.artifacts, folders.elsewhere):
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "cut")) as writer:
            for _ in range(100):
                writer.write(b"x" * 100)
        os.truncate(folder / "cut", 500)
        (folder / "cut.gz").write_bytes(gzip.compress(os.urandom(9_999))[:5_000])
    return folders


def import_missing_module(_: Path) -> None:
    importlib.import_module("not_there.at_all")


def open_missing(folder: Path) -> None:
    (folder / "gone").read_bytes()


def gfile_missing(folder: Path) -> None:
    tf.io.gfile.GFile(str(folder / "gone"), "rb").read()


def gfile_lists_missing(folder: Path) -> None:
    tf.io.gfile.listdir(str(folder / "gone"))


def records_missing(folder: Path) -> None:
    list(tf.data.TFRecordDataset(str(folder / "gone")))


def pattern_without_files(folder: Path) -> None:
    list(tf.data.Dataset.list_files(str(folder / "gone*")))


def model_missing(folder: Path) -> None:
    tf.saved_model.load(str(folder / "gone"))


def records_cut(folder: Path) -> None:
    list(tf.data.TFRecordDataset(str(folder / "cut")))


def records_cut_in_gzip(folder: Path) -> None:
    list(tf.data.TFRecordDataset(str(folder / "cut.gz"), compression_type="GZIP"))


def gzip_cut(folder: Path) -> None:
    with gzip.open(folder / "cut.gz") as file:
        file.read()


def no_gzip(folder: Path) -> None:
    with gzip.open(folder / "cut") as file:
        file.read()


def no_zlib(_: Path) -> None:
    zlib.decompress(b"xxxx")


def disk_full(_: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write("x" * 99_999)


def disk_full_in_tensorflow(_: Path) -> None:
    with tf.io.gfile.GFile("/dev/full", "w") as file:
        file.write("x" * 9_999_999)


def not_permitted(folder: Path) -> None:
    # Nothing is forbidden to root, which tests may be.
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder / "x"))


def not_permitted_in_tensorflow(folder: Path) -> None:
    raise tf.errors.PermissionDeniedError(None, None, f"{folder / 'x'}; {os.strerror(errno.EACCES)}")


def read_only(folder: Path) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder / "x"))


def not_in_checkpoint(folder: Path) -> None:
    path = tf.train.Checkpoint(weight=tf.Variable(1.0)).write(str(folder / "checkpoint"))
    tf.train.load_checkpoint(path).get_tensor("bias")


def told_without_an_import(_: Path) -> None:
    try:
        importlib.import_module("not_there")
    except ImportError:
        raise ValueError("7 rows of 8") from None


def told_after_an_import(_: Path) -> None:
    try:
        importlib.import_module("not_there")
    except ImportError:
        raise ValueError("7 rows of 8")  # noqa: B904


def mentions_a_file(_: Path) -> None:
    raise ValueError("the title is 'No such file or directory'")


def missing_in_other_words(_: Path) -> None:
    raise FileNotFoundError("no model here; train one")


def raised(fail: Callable[[Path], None], folder: Path) -> BaseException:
    with pytest.raises(Exception) as caught:
        fail(folder)
    return caught.value


def raised_in_beam(fail: Callable[[Path], None], folder: Path, *options: str) -> BaseException:
    with (
        pytest.raises(Exception) as caught,
        beam.Pipeline(options=PipelineOptions([*IN_PROCESS_ARGS, *options])) as pipeline,
    ):
        _ = pipeline | beam.Create([folder]) | "Do it" >> beam.Map(fail)
    return caught.value


def raised_in_threads(fail: Callable[[Path], None], folder: Path) -> BaseException:
    """All that is left is a traceback's text, as from Beam's other runners."""
    return raised_in_beam(fail, folder, "--direct_running_mode=multi_threading")


WAYS = {"as it is": raised, "from Beam": raised_in_beam, "from Beam's threads": raised_in_threads}

any_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@any_way
@pytest.mark.parametrize(
    "fail", [open_missing, gfile_missing, gfile_lists_missing, records_missing, pattern_without_files, model_missing]
)
def test_only_a_file_below_the_artifacts_is_an_earlier_steps(folders: Folders, fail: Callable, way: Callable) -> None:
    assert folders.describe(way(fail, folders.artifacts)) == MISSING

    of_the_user = folders.describe(way(fail, folders.elsewhere))
    of_the_work_dir = folders.describe(way(fail, folders.work_dir))

    assert of_the_user.startswith(f"{folders.elsewhere / 'gone'}")
    assert of_the_work_dir.startswith(f"{folders.work_dir / 'gone'}")
    for said in (of_the_user, of_the_work_dir):
        assert said.endswith(" is missing: put it back and run again")
        assert "while running" not in said


@any_way
def test_of_two_paths_the_missing_one_is_named(folders: Folders, way: Callable) -> None:
    def brings_in(folder: Path) -> None:
        os.rename(folder / "gone", folders.artifacts / "new")  # noqa: PTH104

    said = folders.describe(way(brings_in, folders.elsewhere))

    assert said == f"{folders.elsewhere / 'gone'} is missing: put it back and run again"


@any_way
def test_a_missing_module_is_named(folders: Folders, way: Callable) -> None:
    said = folders.describe(way(import_missing_module, folders.artifacts))

    assert said == "the Python module not_there is missing: install the pinned requirements (requirements.txt)"


@any_way
@pytest.mark.parametrize("fail", [records_cut, records_cut_in_gzip, gzip_cut, no_gzip, no_zlib])
def test_what_is_damaged_is_said_to_be(folders: Folders, fail: Callable, way: Callable) -> None:
    assert folders.describe(way(fail, folders.artifacts)) == DAMAGED


def test_a_damaged_file_that_is_named_and_no_artifact_is_not_an_earlier_steps(folders: Folders) -> None:
    table = folders.elsewhere / "weights"
    table.write_bytes(b"x" * 100)
    error = raised(lambda folder: tf.train.load_checkpoint(str(folder / "weights")), folders.elsewhere)

    assert folders.describe(error) == f"{table} is damaged: put a whole one there and run again"


@any_way
@pytest.mark.parametrize("fail", [disk_full, disk_full_in_tensorflow])
def test_a_full_disk_is_said_to_be_full(folders: Folders, fail: Callable, way: Callable) -> None:
    assert folders.describe(way(fail, folders.artifacts)) == FULL


def test_a_full_disk_is_what_counts_however_the_cleaning_up_fails(folders: Folders) -> None:
    def cleans_up_badly(folder: Path) -> None:
        try:
            disk_full(folder)
        finally:
            open_missing(folder)

    assert folders.describe(raised(cleans_up_badly, folders.artifacts)) == FULL


@any_way
@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (not_permitted, "Permission denied"),
        (not_permitted_in_tensorflow, "Permission denied"),
        (read_only, "Read-only file system"),
    ],
)
def test_what_is_not_permitted_is_the_work_directorys_only_below_it(
    folders: Folders, fail: Callable, reason: str, way: Callable
) -> None:
    of_the_run, of_the_user = (folders.describe(way(fail, folder)) for folder in (folders.artifacts, folders.elsewhere))

    assert of_the_run == f"the work directory can't be written ({folders.artifacts / 'x'}: {reason})"
    assert of_the_user == f"{folders.elsewhere / 'x'} can't be used: {reason}"


@any_way
@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (not_in_checkpoint, "NotFoundError: Key bias not found in checkpoint"),
        (told_without_an_import, "ValueError: 7 rows of 8"),
        (told_after_an_import, "ValueError: 7 rows of 8"),
        (mentions_a_file, "ValueError: the title is 'No such file or directory'"),
        (missing_in_other_words, "FileNotFoundError: no model here; train one"),
    ],
)
def test_anything_else_is_said_in_the_errors_own_words(
    folders: Folders, fail: Callable, said: str, way: Callable
) -> None:
    assert said in folders.describe(way(fail, folders.artifacts))


def test_an_error_that_was_raised_from_another_means_what_that_one_does(folders: Folders) -> None:
    def wraps(folder: Path) -> None:
        try:
            open_missing(folder)
        except OSError as error:
            raise RuntimeError("the step failed") from error

    assert folders.describe(raised(wraps, folders.artifacts)) == MISSING
    assert folders.describe(raised(wraps, folders.elsewhere)).startswith(f"{folders.elsewhere / 'gone'} is missing")


def test_before_there_are_artifacts_nothing_is_an_earlier_steps(folders: Folders) -> None:
    said = describe_failure(raised(open_missing, folders.artifacts), folders.work_dir).message

    assert said == f"{folders.artifacts / 'gone'} is missing: put it back and run again"


def test_a_folder_whose_name_begins_like_the_artifacts_is_not_theirs(folders: Folders) -> None:
    beside = folders.artifacts.with_name("artifacts-of-old")

    assert folders.describe(raised(open_missing, beside)) == f"{beside / 'gone'} is missing: put it back and run again"


def test_a_database_that_can_not_be_written_is_the_work_directorys(folders: Folders) -> None:
    error = RuntimeError("Error when executing query: attempt to write a readonly database")

    assert folders.describe(error) == "the work directory can't be written (readonly database)"


def test_a_relative_path_is_named_as_it_was_given(folders: Folders) -> None:
    for fail in (open_missing, gfile_missing):
        assert folders.describe(raised(fail, Path("mine"))) == "mine/gone is missing: put it back and run again"


def test_what_beam_raises_again_with_its_step_keeps_its_code():
    def refuse(_: int) -> None:
        raise InputError("the examples are damaged", code="G08")

    in_process = beam.Pipeline(options=PipelineOptions(list(IN_PROCESS_ARGS)))
    with pytest.raises(InputError, match="the examples are damaged") as refused, in_process as pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(refuse)

    assert refused.value.code == "G08"


def test_a_failed_step_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(StepFailedError("step Trainer failed", code="R01")))  # noqa: S301

    assert (str(error), error.code) == ("step Trainer failed", "R01")


def test_each_kind_of_failure_has_its_code(folders: Folders):
    def code(fail: Callable[[Path], None], folder: Path) -> str:
        return describe_failure(raised(fail, folder), folders.work_dir, folders.artifacts).code

    assert code(open_missing, folders.artifacts) == "R05"
    assert code(open_missing, folders.elsewhere) == "F14"
    assert code(import_missing_module, folders.artifacts) == "R06"
