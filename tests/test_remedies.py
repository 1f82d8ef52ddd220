"""A remedy that a message names has to help: each is followed, and then the same command ends well.

A scenario yields a command that ends with the code of its message, does what message and page say, and yields the
command to run then.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import re
import shutil
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import inspect_data
import kubeflow_runner
import models
import recommend
from data import generate
from data.errors import InputError
from data.releases import release as releases
from data.releases.download import RemoteArchive
from data.releases.release import find_release
from pipeline.local import NO_OWN_DATA, OwnData, choose_settings
from pipeline.settings import parse_values
from serving.labels import promote
from serving.signing import load_private_key
from serving.versions import publish, publish_once

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "data"))
sys.path.append(str(ROOT / "tests" / "kubeflow"))
sys.path.append(str(ROOT / "tests" / "serving"))

from api_server import ApiServer  # noqa: E402
from data_helpers import write_csv_release  # noqa: E402
from front_server import api_answer, front, login_answer, own_authority  # noqa: E402
from minimal_spec import minimal_documents  # noqa: E402
from plain_reference import PlainMovie, PlainRating  # noqa: E402
from signed_versions import publish_signed, write_keys  # noqa: E402

FOLLOWED_ELSEWHERE = {
    "A04": "reliability/test_deleted_files.py::"
    "test_without_the_artifacts_that_a_later_step_reads_the_run_has_to_begin_earlier_and_then_has_no_baseline",
    "B08": "benchmarks/test_search.py::test_a_second_search_waits_for_the_first_to_end",
    "F01": "reliability/test_error_messages.py::test_what_went_wrong_before_is_forgotten_once_nothing_does",
    "F12": "reliability/test_error_messages.py::test_what_went_wrong_before_is_forgotten_once_nothing_does",
    "G12": "components/test_data_generator.py::test_data_of_another_source_than_stated_are_refused",
    "G13": "components/test_data_gate.py::test_how_many_unseen_labels_are_too_many_is_a_setting",
    "G14": "data/test_distributed.py::test_a_killed_worker_ends_the_job_in_one_line_and_the_next_run_succeeds",
    "G17": "reliability/test_killed_days.py::"
    "test_a_refused_span_is_learned_from_once_its_limits_are_set_and_begins_with_the_stable_version",
    "H01": "serving/test_serve_command.py::test_a_port_that_is_taken_is_refused_in_one_line_and_another_one_served",
    "M29": "serving/test_signing.py::test_files_that_change_while_they_are_copied_are_not_signed",
    "M32": "trainer_module/test_filtered_answers.py::test_a_model_of_an_earlier_version_says_that_it_takes_no_filters",
    "R02": "reliability/test_deleted_files.py::"
    "test_metadata_that_are_gone_are_begun_anew_once_the_folder_is_moved_away_and_nothing_ran_to_begin_at",
    "R03": "pipeline/test_locked_metadata.py::"
    "test_a_run_says_to_close_what_holds_its_metadata_and_begins_once_that_is_done",
    "R05": "reliability/test_deleted_files.py::"
    "test_shards_damaged_behind_a_steps_back_are_made_anew_as_the_message_says",
}
"""Codes whose remedy takes a run of the pipeline, and the test that follows it."""

NOT_FOLLOWED = {
    "rights are to be given, and to root, as whom tests may run, nothing is refused": (
        "D02 F03 F13 G05 H02 M09 M10 M13 M15 R04 S04"
    ),
    "another machine, program, disk or memory is to be taken": "F04 F10 F11 F16 R06 R08 B01 B05",
    "something is to be looked at, and no command ends well after it alone": (
        "M33 M34 M35 R01 R09 K01 K02 K20 S03 S05 S06 B07"
    ),
    "what is to be put back or made anew is a user's own, in the midst of a run": "F14 F15 G06 G07 G08 G10 G11 G15 G16",
    "another value of the same kind is to be given": (
        "A05 A11 A12 A13 C08 D13 F06 F07 R07 R10 S07 S09 S10 K28 B02 B03 B04 B06 B09"
    ),
    "the project has an address of every release, so that it can't come up": "D10",
    "the place is given in the run on a cluster": "G09",
}
"""Why a remedy is not followed by a test, and the codes."""

Command = tuple[Any, ...]
Scenario = Callable[[Path], Iterator[Command]]

SCENARIOS: dict[str, tuple[str, Scenario]] = {}


def remedy(code: str) -> Callable[[Scenario], Scenario]:
    def add(scenario: Scenario) -> Scenario:
        name = f"{code} {scenario.__name__.replace('_', ' ')}"
        assert name not in SCENARIOS
        SCENARIOS[name] = (code, scenario)
        return scenario

    return add


def settings(config: str, *values: str) -> int:
    """Choose settings as the runners do, which go on to load TFX."""
    return chosen(config, None, None, *values)


def chosen(
    config: str | None, release: str | None, source: Path | None, *values: str, own: OwnData = NO_OWN_DATA
) -> int:
    """Choose settings by configuration, release and source, or for own data."""
    try:
        parse_values(values)
        choose_settings(config, release, source, None, values, own)
    except InputError as error:
        print(f"error: {error.line}", file=sys.stderr)
        return 2
    return 0


RUN: dict[str, Callable[[list[str]], int]] = {
    "generate": generate.run,
    "recommend": recommend.main,
    "models": models.main,
    "kubeflow": kubeflow_runner.main,
    "settings": lambda arguments: settings(*arguments),
    "source": lambda arguments: chosen(None, arguments[0] or None, Path(arguments[1])),
    "own-settings": lambda arguments: chosen(
        None, arguments[2] or None, None, own=OwnData(arguments[0], None, arguments[1] or None)
    ),
    "inspect": inspect_data.main,
}


MOVIES = {number: PlainMovie(f"Movie {number} (1990)", ("Drama",)) for number in range(1, 21)}
RATINGS = [
    PlainRating(user, 1 + (user + place) % 20, 4.0, 10**9 + 60 * place + user)
    for user in (1, 2, 3)
    for place in range(16)
]
RATINGS_HEADER = "userId,movieId,rating,timestamp\n"
MOVIES_HEADER = "movieId,title,genres\n"


def release(folder: Path) -> Path:
    """Write a release that examples can be made from."""
    return write_csv_release(folder / "release", RATINGS, MOVIES)


def from_source(source: Path, *options: str, name: str = "ml-latest-small") -> Command:
    return ("generate", "--release", name, "--source", source, "--output", source.parent / "made", *options)


def packed(folder: Path, source: Path) -> bytes:
    """Return a release as the zip archive that GroupLens makes of it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, f"ml-latest-small/{file.name}")
    return content.getvalue()


@remedy("D01")
def put_the_source_where_it_was_named(folder):
    yield from_source(folder / "release")
    release(folder)
    yield from_source(folder / "release")


@remedy("D03")
def give_the_folder_in_place_of_a_file_in_it(folder):
    source = release(folder)
    yield from_source(source / "ratings.csv")
    yield from_source(source)


@remedy("D04")
def put_a_whole_archive_in_the_place_of_a_damaged_one(folder):
    content = packed(folder, release(folder))
    archive = folder / "ml-latest-small.zip"
    archive.write_bytes(content[:-100])
    yield from_source(archive)
    archive.write_bytes(content)
    yield from_source(archive)


@remedy("D05")
def put_the_file_that_is_missing(folder):
    source = release(folder)
    (source / "movies.csv").rename(folder / "kept")
    yield from_source(source)
    (folder / "kept").rename(source / "movies.csv")
    yield from_source(source)


@remedy("D06")
def give_one_of_the_folders(folder):
    both = folder / "both"
    for name in ("one", "other"):
        shutil.copytree(release(folder), both / name)
    yield from_source(both)
    yield from_source(both / "one")


@remedy("D07")
def take_the_archive_as_grouplens_packs_it(folder):
    source = release(folder)
    archive = folder / "ml-latest-small.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("../ratings.csv", "")
    yield from_source(archive)
    archive.write_bytes(packed(folder, source))
    yield from_source(archive)


def corrected(code: str, file: str, content: bytes, what: str) -> None:
    """Add a scenario of a file that is wrong, and is corrected."""

    def scenario(folder: Path) -> Iterator[Command]:
        source = release(folder)
        right = (source / file).read_bytes()
        (source / file).write_bytes(content)
        yield from_source(source)
        (source / file).write_bytes(right)
        yield from_source(source)

    scenario.__name__ = f"correct_{what}"
    remedy(code)(scenario)


corrected("D11", "movies.csv", f"{MOVIES_HEADER}1,Am\u00e9lie,Drama\n".encode("latin-1"), "the encoding of movies")
corrected("D11", "ratings.csv", RATINGS_HEADER.encode("utf-16"), "the encoding of ratings")
corrected("D12", "movies.csv", f"{MOVIES_HEADER}1,A\0B,Drama\n".encode(), "a NUL byte")
corrected("D14", "ratings.csv", b"user;movie;stars;time\n1;2;3;4\n", "the header of ratings")
corrected("D14", "movies.csv", b"id,name\n1,A\n", "the header of movies")
corrected("D15", "ratings.csv", RATINGS_HEADER.encode(), "ratings that list nothing")
corrected("D15", "movies.csv", MOVIES_HEADER.encode(), "movies that list nothing")
corrected("D16", "movies.csv", f"{MOVIES_HEADER}1,A\n".encode(), "a movie without genres")
corrected("D16", "ratings.csv", f"{RATINGS_HEADER}1,2,3.0\n".encode(), "a rating without a time")
corrected("D17", "ratings.csv", f"{RATINGS_HEADER}0x10,2,3.0,4\n".encode(), "a user id")
corrected("D17", "movies.csv", f"{MOVIES_HEADER}one,A,Drama\n".encode(), "a movie id")
corrected("D18", "ratings.csv", f"{RATINGS_HEADER}1,2,7.5,4\n".encode(), "stars")
corrected("D19", "ratings.csv", f"{RATINGS_HEADER}1,2,3.0,-4\n".encode(), "a time")
corrected("D20", "movies.csv", f'{MOVIES_HEADER}1,"A,Drama\n'.encode(), "a quotation mark")
corrected("D21", "movies.csv", f"{MOVIES_HEADER}1,,Drama\n".encode(), "an empty title")
corrected("D22", "movies.csv", f"{MOVIES_HEADER}1,A,Drama\n1,B,Drama\n".encode(), "a movie that is listed twice")


def own(folder: Path, events: Path | str, *options: object) -> Command:
    """Generate examples of own data."""
    return ("generate", "--interactions", events, "--name", "shop", "--output", folder / "made", *options)


def events(folder: Path, name: str = "events.csv", *, header: str = "user,item,time", extra: str = "") -> Path:
    """Write events that examples can be made from, and perhaps one more."""
    rows = [f"{user},{item},{10**9 + 60 * item + user}" for user in (1, 2, 3) for item in range(16)]
    return written(folder / name, "\n".join([header, *rows, extra]))


@remedy("A10")
def give_own_data_files_and_a_name(folder):
    yield ("own-settings", "events.csv", "", "")
    yield ("own-settings", "events.csv", "shop", "")


@remedy("A10")
def leave_out_the_release_of_own_data(folder):
    yield ("own-settings", "events.csv", "shop", "sample")
    yield ("own-settings", "events.csv", "shop", "")


@remedy("C12")
def say_where_own_data_lie(folder):
    file = events(folder)
    yield ("generate", "--name", "shop", "--output", folder / "made")
    yield own(folder, file)


@remedy("D23")
def correct_the_name_of_own_files(folder):
    events(folder)
    yield own(folder, folder / "event-*.csv")
    yield own(folder, folder / "event*.csv")


@remedy("D24")
def name_an_own_file_after_its_format(folder):
    yield own(folder, events(folder, "events.txt"))
    yield own(folder, events(folder))


@remedy("D25")
def correct_an_own_row_of_other_columns(folder):
    yield own(folder, events(folder, extra="1,2"))
    yield own(folder, events(folder))


@remedy("D26")
def say_what_an_own_file_calls_a_column(folder):
    file = events(folder, header="user,good,time")
    yield own(folder, file)
    yield own(folder, file, "--column", "item=good")


@remedy("D26")
def name_a_column_that_an_own_file_has(folder):
    file = events(folder, header="user,good,time")
    yield own(folder, file, "--column", "item=thing")
    yield own(folder, file, "--column", "item=good")


@remedy("D27")
def set_own_ids_to_text_where_the_first_look_like_integers(folder):
    file = events(folder, extra="1,x,1000000000")
    yield own(folder, file, "--item-ids", "integer")
    yield own(folder, file, "--item-ids", "text")


@remedy("D27")
def correct_an_own_time(folder):
    yield own(folder, events(folder, extra="1,2,soon"))
    yield own(folder, events(folder))


def request_log(folder: Path, *lines: str) -> Path:
    """Write a request log."""
    (folder / "log").mkdir(exist_ok=True)
    written(folder / "log" / "requests-20260101T000000.000000Z-00000001.jsonl", "".join(f"{line}\n" for line in lines))
    return folder / "log"


SERVED = f'{{"kind":"request","request_id":"{"0" * 32}","time":1,"version":1,"history":[2],"answer":[3]}}'
FEEDBACK = f'{{"kind":"feedback","request_id":"{"0" * 32}","time":2,"taken":[3]}}'


@remedy("D28")
def take_the_line_out_of_the_request_log(folder):
    asked = from_source(release(folder), "--requests", request_log(folder, SERVED, "GET /"))
    yield asked
    request_log(folder, SERVED)
    yield asked


@remedy("D29")
def name_the_folder_of_the_request_log(folder):
    source = release(folder)
    log = request_log(folder, SERVED)
    yield from_source(source, "--requests", log.parent)
    yield from_source(source, "--requests", log)


@remedy("D30")
def leave_the_request_log_out_until_it_holds_a_request(folder):
    source = release(folder)
    yield from_source(source, "--requests", request_log(folder, FEEDBACK))
    yield from_source(source)


@remedy("K42")
def set_a_data_root_for_own_data(folder):
    config = written(
        folder / "own.yaml", "name: x\ndata: {name: shop}\nkubeflow: {pipeline_root: 'gs://bucket/root'}\n"
    )
    compiling = ("kubeflow", "compile", "--config", config, "--image", "registry.example/image:1")
    output = ("--output", folder / "pipeline.yaml")
    yield (*compiling, *output)
    yield (*compiling, *output, "--set", "kubeflow.data_root=gs://bucket/shop")


@remedy("A01")
def name_a_release_that_there_is(folder):
    source = release(folder)
    yield from_source(source, name="ml-2m")
    yield from_source(source)


@remedy("A09")
def write_the_address_of_a_job_server_that_listens(folder):
    source = release(folder)
    yield from_source(source, "--beam-arg=--job_endpoint=localhost:9")
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Beam is asked to run the steps in this process, whatever listens there.
        yield from_source(source, f"--beam-arg=--job_endpoint=127.0.0.1:{server.getsockname()[1]}")


@remedy("C09")
def lower_the_filters(folder):
    source = release(folder)
    yield from_source(source, "--min-rating", "5")
    yield from_source(source, "--min-rating", "3")


@remedy("C10")
def choose_another_split_where_all_have_one_time(folder):
    ratings = [rating._replace(time=10**9) for rating in RATINGS]
    source = write_csv_release(folder / "release", ratings, MOVIES)
    yield from_source(source, "--split", "temporal")
    yield from_source(source, "--split", "random")


@remedy("C11")
def move_the_train_fraction_towards_the_middle(folder):
    source = release(folder)
    yield from_source(source, "--train-fraction", "0.999")
    yield from_source(source, "--train-fraction", "0.5")


@remedy("F02")
def name_a_place_for_the_output_that_can_be_written(folder):
    source = release(folder)
    (folder / "a-file").touch()
    yield ("generate", "--release", "ml-latest-small", "--source", source, "--output", folder / "a-file" / "made")
    yield from_source(source)


@remedy("F05")
def name_another_folder_than_one_with_something_else(folder):
    source = release(folder)
    (folder / "mine").mkdir()
    (folder / "mine" / "letter.txt").touch()
    yield ("generate", "--release", "ml-latest-small", "--source", source, "--output", folder / "mine")
    assert (folder / "mine" / "letter.txt").exists()
    yield from_source(source)


@remedy("C01")
def take_a_configuration_that_there_is(folder):
    yield ("settings", "fasst")
    yield ("settings", "fast")


@remedy("C03")
def write_the_configuration_as_yaml(folder):
    file = folder / "mine.yaml"
    file.write_text("name: [", encoding="utf-8")
    yield ("settings", file)
    file.write_text("name: mine\ndata: {release: sample}\n", encoding="utf-8")
    yield ("settings", file)


@remedy("C04")
def write_name_and_data_into_the_configuration(folder):
    file = folder / "mine.yaml"
    file.write_text("- name\n", encoding="utf-8")
    yield ("settings", file)
    file.write_text("name: mine\ndata: {release: sample}\n", encoding="utf-8")
    yield ("settings", file)


@remedy("C05")
def set_a_value_that_the_message_allows(folder):
    yield ("settings", "fast", "model.dropout=2")
    yield ("settings", "fast", "model.dropout=0.2")


@remedy("C06")
def set_a_name_in_a_group_that_there_is(folder):
    yield ("settings", "fast", "modell.dropout=0.2")
    yield ("settings", "fast", "model.dropout=0.2")


@remedy("A02")
def write_a_setting_as_name_and_value(folder):
    yield ("settings", "fast", "model.dropout")
    yield ("settings", "fast", "model.dropout=0.2")


def versions(folder: Path) -> Path:
    """Publish two versions of a pipeline, and return the serving folder."""
    serving = folder / "serving"
    for number in (1, 2):
        model = folder / f"model-{number}"
        model.mkdir()
        (model / "saved_model.pb").write_text(f"graph {number}", encoding="utf-8")
        publish(model, serving / "pipeline", {"pipeline": "pipeline"}, keep=5)
    return serving


@remedy("M03")
def name_a_version_that_is_listed(folder):
    serving = versions(folder)
    yield ("models", "show", "7", "--serving", serving)
    yield ("models", "show", "1", "--serving", serving)


@remedy("M07")
def roll_back_to_an_older_version(folder):
    serving = versions(folder)
    yield ("models", "rollback", "2", "--serving", serving)
    yield ("models", "rollback", "1", "--serving", serving)


@remedy("M08")
def roll_back_to_a_version_that_nobody_changed(folder):
    serving = versions(folder)
    model = folder / "model-3"
    model.mkdir()
    (model / "saved_model.pb").write_text("graph 3", encoding="utf-8")
    publish(model, serving / "pipeline", {"pipeline": "pipeline"}, keep=5)
    (serving / "pipeline" / "1" / "saved_model.pb").write_text("another", encoding="utf-8")
    yield ("models", "rollback", "1", "--serving", serving)
    yield ("models", "rollback", "2", "--serving", serving)


def signed(folder: Path) -> tuple[Path, Path, Path]:
    """Publish two signed versions, and return the serving folder, the private and the public key."""
    private, public = write_keys(folder / "keys")
    for number in (1, 2):
        publish_signed(folder / f"signed-{number}", folder / "signed" / "pipeline", private, f"weights {number}")
    return folder / "signed", private, public


@remedy("M20")
def publish_the_model_once_more_signed(folder):
    serving, private, public = versions(folder), *write_keys(folder / "keys")
    yield ("models", "verify", "--serving", serving, "--public-key", public)
    model = folder / "model-2"
    publish_once(model, serving / "pipeline", {"pipeline": "pipeline"}, keep=5, key=load_private_key(private))
    yield ("models", "verify", "--serving", serving, "--public-key", public)


@remedy("M21")
def give_the_public_key_of_who_published(folder):
    serving, _, public = signed(folder)
    yield ("models", "verify", "--serving", serving, "--public-key", write_keys(folder / "other")[1])
    yield ("models", "verify", "--serving", serving, "--public-key", public)


@remedy("M22")
def take_a_version_that_can_be_verified(folder):
    serving, private, public = signed(folder)
    (serving / "pipeline" / "2" / "added").touch()
    yield ("models", "verify", "--serving", serving, "--public-key", public)
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", private)


@remedy("M23")
def correct_the_path_of_a_key(folder):
    serving, private, _ = signed(folder)
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", folder / "missing")
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", private)


@remedy("M24")
def give_the_private_half_to_who_signs(folder):
    serving, private, public = signed(folder)
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", public)
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", private)


@remedy("M25")
def remove_a_version_that_was_copied_under_another_number(folder):
    serving, _, public = signed(folder)
    shutil.copytree(serving / "pipeline" / "1", serving / "pipeline" / "3")
    yield ("models", "verify", "--serving", serving, "--public-key", public)
    shutil.rmtree(serving / "pipeline" / "3")
    yield ("models", "verify", "--serving", serving, "--public-key", public)


@remedy("M26")
def give_the_private_key_to_a_rollback(folder):
    serving, private, _ = signed(folder)
    yield ("models", "rollback", "1", "--serving", serving)
    yield ("models", "rollback", "1", "--serving", serving, "--private-key", private)


@remedy("M27")
def set_a_label_before_it_is_asked_by(folder):
    serving = folder / "serving"
    shutil.copytree(model(), serving / "1")
    yield ("recommend", "--model", serving, "--history", "7", "--label", "stable")
    promote(serving, 1, "stable")
    yield ("recommend", "--model", serving, "--history", "7", "--label", "stable")


@remedy("M28")
def remove_labels_that_are_no_configuration(folder):
    serving = versions(folder)
    written(serving / "pipeline" / "models.config", "stable: 1")
    yield ("models", "promote", "1", "--serving", serving)
    (serving / "pipeline" / "models.config").unlink()
    yield ("models", "promote", "1", "--serving", serving)


@remedy("A08")
def choose_among_several_pipelines(folder):
    serving = versions(folder)
    shutil.copytree(serving / "pipeline", serving / "other")
    yield ("models", "show", "--serving", serving)
    yield ("models", "show", "--serving", serving / "other")


def compiled(folder: Path, change: Callable[[list[dict[str, Any]]], object] = lambda documents: None) -> Path:
    documents = minimal_documents()
    change(documents)
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return file


def dry(file: Path, *options: str) -> Command:
    return ("kubeflow", "submit", file, "--dry-run", *options)


@remedy("K03")
def give_the_yaml_file_that_was_compiled(folder):
    yield dry(folder / "small.json")
    yield dry(compiled(folder))


@remedy("K04")
def correct_the_path_of_the_compiled_file(folder):
    yield dry(folder / "missing.yaml")
    yield dry(compiled(folder))


@remedy("K31")
def compile_again_what_is_no_pipeline(folder):
    file = folder / "small.yaml"
    file.write_text("a: 1\n", encoding="utf-8")
    yield dry(file)
    yield dry(compiled(folder))


@remedy("K32")
def give_the_pipeline_a_name_in_lower_case(folder):
    yield dry(compiled(folder, lambda documents: documents[0]["pipelineInfo"].update(name="Mine")))
    yield dry(compiled(folder))


@remedy("K37")
def leave_out_a_parameter_that_the_pipeline_has_not(folder):
    file = compiled(folder)
    yield dry(file, "--data-root", "minio://bucket/data")
    yield dry(file)


@remedy("K24")
def write_the_root_as_a_uri(folder):
    file = compiled(folder)
    yield dry(file, "--pipeline-root", "/data/root")
    yield dry(file, "--pipeline-root", "minio://bucket/root")


@remedy("K06")
def write_the_interval_with_its_unit(folder):
    file = compiled(folder)
    yield ("kubeflow", "schedule", file, "--dry-run", "--every", "90")
    yield ("kubeflow", "schedule", file, "--dry-run", "--every", "90m")


@remedy("K07")
def write_five_fields_of_cron(folder):
    file = compiled(folder)
    yield ("kubeflow", "schedule", file, "--dry-run", "--cron", "30 4")
    yield ("kubeflow", "schedule", file, "--dry-run", "--cron", "30 4 * * *")


@remedy("K40")
def copy_the_data_into_the_bucket_of_the_root(folder):
    data_root = {"parameterType": "STRING", "defaultValue": "minio://bucket/data"}
    file = compiled(folder, lambda d: d[0]["root"]["inputDefinitions"]["parameters"].update(data_root=data_root))
    yield dry(file, "--data-root", "s3://other/data")
    yield dry(file, "--data-root", "minio://bucket/copied")


def on_a_cluster(code: str, what: str, wrong: Callable[[Path], list[str]], right: Callable[[Path], list[str]]) -> None:
    """Add a scenario of options that are wrong for a server that works."""

    def scenario(folder: Path) -> Iterator[Command]:
        file = compiled(folder)
        with ApiServer() as server:
            for options in (wrong, right):
                yield ("kubeflow", "submit", file, "--host", server.url, *options(folder))

    scenario.__name__ = what
    remedy(code)(scenario)


def written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


on_a_cluster("K10", "write the host in full", lambda _: ["--host", "localhost:8888"], lambda _: [])
on_a_cluster("K19", "give the port that listens", lambda _: ["--host", "http://127.0.0.1:9"], lambda _: [])
on_a_cluster("K11", "leave out the path behind the host", lambda _: ["--host", "HOST/elsewhere"], lambda _: [])
on_a_cluster("K17", "write http in place of https", lambda _: ["--host", "HTTPS"], lambda _: [])
on_a_cluster("K21", "write the proxy as a URL", lambda _: ["--proxy", "socks5://127.0.0.1:9"], lambda _: [])
on_a_cluster(
    "K22",
    "name a file of certificates",
    lambda folder: ["--ca-cert", str(written(folder / "empty.pem", ""))],
    lambda _: [],
)
on_a_cluster(
    "K23",
    "write the token on one line",
    lambda folder: ["--token-file", str(written(folder / "token", "two\nlines"))],
    lambda folder: ["--token-file", str(written(folder / "token", "one"))],
)


@functools.cache
def home_of_models() -> tempfile.TemporaryDirectory:
    """Return a folder that is removed when the tests are over."""
    return tempfile.TemporaryDirectory(prefix="next-movie-remedies-")


@functools.cache
def model() -> Path:
    """Export a model over forty movies, called `Movie number 1 (1999)` and so on."""
    # TensorFlow takes its time to load.
    from synthetic_model import export_untrained_model

    return export_untrained_model(Path(home_of_models().name) / "1", 40)


def asked(*options: object) -> Command:
    return ("recommend", "--model", model(), *options)


@remedy("A07")
def give_titles_as_titles(folder):
    yield asked("--history", "Movie number 7 (1999)")
    yield asked("--history-titles", "Movie number 7 (1999)")


@remedy("M11")
def give_the_id_of_a_movie_that_no_title_is_like(folder):
    yield asked("--history-titles", "Solaris")
    yield asked("--history", "7")


@remedy("M16")
def ask_by_a_movie_that_train_shows(folder):
    yield asked("--similar-to", "999999")
    yield asked("--similar-to", "7")


@remedy("M30")
def write_the_genre_as_the_message_lists_it(folder):
    yield asked("--history", "7", "--genre", "drama")
    yield asked("--history", "7", "--genre", "Drama")


@remedy("M31")
def leave_out_a_list_that_is_empty(folder):
    yield asked("--history", "7", "--allow", "")
    yield asked("--history", "7")


@remedy("M12")
def write_the_title_in_full_with_its_year(folder):
    yield asked("--history-titles", "Movie number")
    yield asked("--history-titles", "Movie number 7 (1999)")


@remedy("M04")
def name_the_folder_of_a_version(folder):
    yield ("recommend", "--model", folder, "--history", "7")
    yield asked("--history", "7")


@remedy("M01")
def name_the_model_where_none_is_published(folder):
    (folder / "serving").mkdir()
    yield ("models", "show", "--serving", folder / "serving")
    yield ("models", "show", "--serving", versions(folder))


@remedy("A06")
def correct_the_path_of_the_batch(folder):
    yield asked("--batch", folder / "missing", "--output", folder / "out")
    yield asked("--batch", written(folder / "in.jsonl", "[7]\n"), "--output", folder / "out")


@remedy("M14")
def correct_the_line_of_a_batch(folder):
    batch = written(folder / "in.jsonl", '{"history": "seven"}\n')
    yield asked("--batch", batch, "--output", folder / "out")
    written(batch, '{"history": [1270, 1197]}\n')
    yield asked("--batch", batch, "--output", folder / "out")


@remedy("F08")
def name_a_file_in_that_folder(folder):
    batch = written(folder / "in.jsonl", "[7]\n")
    yield asked("--batch", batch, "--output", folder)
    yield asked("--batch", batch, "--output", folder / "out")


@remedy("F09")
def remove_links_in_a_circle(folder):
    batch = written(folder / "in.jsonl", "[7]\n")
    (folder / "out").symlink_to(folder / "out")
    yield asked("--batch", batch, "--output", folder / "out")
    (folder / "out").unlink()
    yield asked("--batch", batch, "--output", folder / "out")


@remedy("K05")
def leave_out_an_experiment_that_the_cluster_has_not(folder):
    with ApiServer() as server:
        yield ("kubeflow", "runs", "--host", server.url, "--experiment", "mine")
        yield ("kubeflow", "runs", "--host", server.url)


def behind(code: str, what: str, wall: Callable[[Any], Any], *options: str) -> None:
    """Add a scenario of an API behind a wall that lets those through who give options."""

    def scenario(folder: Path) -> Iterator[Command]:
        file = compiled(folder)
        with front(lambda request: wall(request) or api_answer(request)) as server:
            yield ("kubeflow", "submit", file, "--host", server.url)
            filled = [option.replace("FILE", str(written(folder / "given", "a=b"))) for option in options]
            yield ("kubeflow", "submit", file, "--host", server.url, *filled)

    scenario.__name__ = what
    remedy(code)(scenario)


behind(
    "K12",
    "give the session of a login",
    lambda request: None if request.headers["Cookie"] else login_answer(request),
    "--cookies-file=FILE",
)
behind(
    "K13",
    "give a token",
    lambda request: None if request.headers["Authorization"] else (401, {}, b"Unauthorized"),
    "--token-file=FILE",
)


@remedy("K14")
def give_the_address_that_the_host_moved_to(folder):
    file = compiled(folder)
    with front(api_answer) as real, front(lambda request: (301, {"Location": real.url + request.path}, b"")) as old:
        yield ("kubeflow", "submit", file, "--host", old.url)
        yield ("kubeflow", "submit", file, "--host", real.url)


@remedy("K38")
def give_a_value_of_the_declared_type(folder):
    flag = {"parameterType": "BOOLEAN", "defaultValue": True}
    wrong = compiled(folder, lambda d: d[0]["root"]["inputDefinitions"]["parameters"].update(epochs=flag))
    yield dry(wrong, "--epochs", "3")
    yield dry(compiled(folder), "--epochs", "3")


@remedy("K33")
def shorten_what_makes_the_file_too_large(folder):
    long = {"parameterType": "STRING", "defaultValue": "x" * 1_600_000}
    yield dry(compiled(folder, lambda d: d[0]["root"]["inputDefinitions"]["parameters"].update(long=long)))
    yield dry(compiled(folder))


@remedy("K36")
def shorten_a_parameter(folder):
    text = {"parameterType": "STRING", "defaultValue": ""}
    file = compiled(folder, lambda d: d[0]["root"]["inputDefinitions"]["parameters"].update(beam_args=text))
    yield dry(file, f"--beam-arg={'x' * 140_000}")
    yield dry(file, "--beam-arg=x")


@remedy("A03")
def name_the_release_of_a_source(folder):
    yield ("source", "", release(folder))
    yield ("source", "ml-latest-small", folder / "release")


@remedy("C02")
def write_the_path_in_full(folder):
    written(folder / "mine.yaml", "name: mine\ndata: {release: sample}\n")
    yield ("settings", "~nobody-of-this-name/mine.yaml")
    yield ("settings", folder / "mine.yaml")


@remedy("C07")
def choose_an_option_in_its_range(folder):
    source = release(folder)
    yield from_source(source, "--min-rating", "7")
    yield from_source(source, "--min-rating", "3")


def inspected(what: str, *arguments: object) -> Command:
    return ("inspect", what, *arguments)


def generated(folder: Path) -> Path:
    """Generate examples."""
    assert generate.run([str(word) for word in from_source(release(folder))[1:]]) == 0
    return folder / "made"


@remedy("G01")
def generate_into_a_folder_that_is_to_be_inspected(folder):
    (folder / "made").mkdir()
    yield inspected("show", folder / "made")
    generated(folder)
    yield inspected("show", folder / "made")


def broken(code: str, what: str, fault: Callable[[Path], object], mend: Callable[[Path], object] | None = None) -> None:
    """Add a scenario of generated data with a fault, which is mended or generated again."""

    def scenario(folder: Path) -> Iterator[Command]:
        made = generated(folder)
        fault(made)
        yield inspected("show", made)
        if mend is None:
            shutil.rmtree(folder / "release")
            generated(folder)
        else:
            mend(made)
        yield inspected("show", made)

    scenario.__name__ = what
    remedy(code)(scenario)


def a_shard(made: Path) -> Path:
    return min(made.glob("train-*.gz"))


broken("G02", "generate again what has a damaged manifest", lambda made: written(made / "manifest.json", "{"))
broken(
    "G03",
    "remove a copy of a shard",
    lambda made: shutil.copy(a_shard(made), made / "train-00001-of-00002.tfrecord.gz"),
    lambda made: (made / "train-00001-of-00002.tfrecord.gz").unlink(),
)
broken("G04", "generate again what lacks a shard", lambda made: a_shard(made).unlink())
broken("G04", "generate again what has a changed shard", lambda made: a_shard(made).write_bytes(b""))


SPAN_RATINGS = [
    PlainRating(user, 1 + (user + place) % 20, 4.0, 10**9 + 3_600 * place + user)
    for user in range(1, 21)
    for place in range(96)
]
"""Ratings of four days; the second half is what arrives after the first."""


def spans(folder: Path, name: str, ratings: list[PlainRating], *options: object) -> Command:
    """Write ratings as spans of a series."""
    source = write_csv_release(folder / name, ratings, MOVIES)
    return ("generate", "--release", "ml-latest-small", "--source", source, "--output", folder / "series", *options)


def begun(folder: Path) -> tuple[list[PlainRating], list[PlainRating]]:
    """Write the first span of a series; return its ratings, and those that arrive."""
    middle = 10**9 + 3_600 * 48
    first = [rating for rating in SPAN_RATINGS if rating.time < middle]
    _, *arguments = spans(folder, "first", first, "--span", "1")
    assert generate.run([str(argument) for argument in arguments]) == 0
    return first, [rating for rating in SPAN_RATINGS if rating.time >= middle]


@remedy("N01")
def give_what_is_new_the_next_number(folder):
    _, new = begun(folder)
    yield spans(folder, "new", new, "--span", "1")
    yield spans(folder, "new", new, "--span", "2")


@remedy("N02")
def give_the_number_of_the_next_span(folder):
    _, new = begun(folder)
    yield spans(folder, "new", new, "--span", "3")
    yield spans(folder, "new", new, "--span", "2")


@remedy("N03")
def give_the_file_with_the_new_events(folder):
    first, new = begun(folder)
    yield spans(folder, "old", first, "--span", "2")
    yield spans(folder, "new", new, "--span", "2")


@remedy("N03")
def allow_more_that_was_seen(folder):
    first, new = begun(folder)
    both = [*first, *new[: len(new) // 2]]
    yield spans(folder, "both", both, "--span", "2")
    yield spans(folder, "both", both, "--span", "2", "--max-seen-share", "0.8")


@remedy("N04")
def give_the_option_that_the_series_has(folder):
    _, new = begun(folder)
    yield spans(folder, "new", new, "--span", "2", "--seed", "7")
    yield spans(folder, "new", new, "--span", "2")


@remedy("N05")
def allow_more_movies_that_are_not_known(folder):
    _, new = begun(folder)
    renamed = [rating._replace(movie=rating.movie + 1_000) for rating in new]
    yield spans(folder, "renamed", renamed, "--span", "2")
    yield spans(folder, "renamed", renamed, "--span", "2", "--max-unknown-share", "1")


@remedy("N06")
def begin_a_series_anew_with_all_that_has_arrived(folder):
    first, second = events(folder, "1.csv"), folder / "2.csv"
    rows = first.read_text(encoding="utf-8").replace(",0,", ",99,")
    written(first, rows)
    later = [f"{user},{item},{2 * 10**8 + 10**9 + item}" for user in (1, 2, 3) for item in range(16)]
    written(second, "\n".join(["user,item,time", *later]))
    _, *arguments = own(folder, first, "--span", "1", "--train-fraction", "0.5")
    assert generate.run([str(argument) for argument in arguments]) == 0
    yield own(folder, second, "--span", "2", "--train-fraction", "0.5")
    both = written(folder / "both.csv", "\n".join([rows.rstrip(), *later]))
    name = ("--name", "shop", "--train-fraction", "0.5")
    yield ("generate", "--interactions", both, *name, "--spans-by", "year", "--output", folder / "anew")


@remedy("N10")
def leave_out_what_is_not_for_spans(folder):
    _, new = begun(folder)
    yield spans(folder, "new", new, "--span", "2", "--requests", folder)
    yield spans(folder, "new", new, "--span", "2")


@remedy("N07")
def write_a_damaged_span_again_from_its_file(folder):
    first, new = begun(folder)
    (folder / "series" / "span-1" / "events.parquet").write_bytes(b"")
    yield spans(folder, "new", new, "--span", "2")
    shutil.rmtree(folder / "series" / "span-1")
    yield spans(folder, "first", first, "--span", "1")


@remedy("N08")
def name_a_folder_of_spans(folder):
    new = begun(folder)[1]
    shutil.move(folder / "series", folder / "kept")
    _, *arguments = from_source(release(folder))
    assert generate.run([str(argument) for argument in arguments]) == 0
    (folder / "series").mkdir()
    (folder / "made").rename(folder / "series" / "span-1")
    yield spans(folder, "new", new, "--span", "2")
    yield (*spans(folder, "new", new, "--span", "2")[:-4], "--output", folder / "kept", "--span", "2")


@remedy("N09")
def give_an_option_of_spans_with_what_it_belongs_to(folder):
    yield spans(folder, "all", SPAN_RATINGS, "--span", "1", "--min-labels", "500")
    yield spans(folder, "all", SPAN_RATINGS, "--spans-by", "day", "--min-labels", "500")


@remedy("S01")
def take_a_split_that_there_is(folder):
    made = generated(folder)
    yield inspected("compare", f"{made}:trian", f"{made}:eval")
    yield inspected("compare", f"{made}:train", f"{made}:eval")


@remedy("S02")
def name_data_in_a_way_that_there_is(folder):
    yield inspected("show", "lattest", "--work-dir", folder)
    yield inspected("show", generated(folder))


@remedy("S08")
def name_the_folder_of_data_without_a_run(folder):
    yield inspected("show", "--work-dir", folder)
    yield inspected("show", generated(folder))


@remedy("M02")
def take_a_pipeline_that_is_there(folder):
    serving = versions(folder)
    yield ("models", "show", "--serving", serving, "--pipeline", "other")
    yield ("models", "show", "--serving", serving, "--pipeline", "pipeline")


@remedy("M05")
def name_a_model_that_this_pipeline_published(folder):
    other = Path(shutil.copytree(model(), folder / "1"))
    shutil.rmtree(other / "assets.extra")
    yield ("recommend", "--model", other, "--history", "7")
    yield asked("--history", "7")


@remedy("M06")
def publish_an_earlier_version_in_place_of_a_damaged_model(folder):
    serving = folder / "serving"
    for _ in range(2):
        publish(model(), serving / "pipeline", {"pipeline": "pipeline"}, keep=5)
    (serving / "pipeline" / "2" / "saved_model.pb").write_bytes(b"no graph")
    yield ("recommend", "--model", serving / "pipeline", "--history", "7")
    assert models.main(["rollback", "1", "--serving", str(serving)]) == 0
    yield ("recommend", "--model", serving / "pipeline", "--history", "7")


def another_schedule(request: Any) -> Any:
    return 200, {"Content-Type": "application/json"}, b'{"recurring_run_id": "another"}'


@remedy("K08")
def give_the_host_that_keeps_the_schedule(folder):
    with ApiServer() as server, front(another_schedule) as other:
        file = compiled(folder)
        asked_for = ["schedule", str(file), "--every", "90m", "--host", server.url]
        assert kubeflow_runner.main(asked_for) == 0
        (identity,) = server.schedules
        yield ("kubeflow", "schedule", "--pause", identity, "--host", other.url)
        yield ("kubeflow", "schedule", "--pause", identity, "--host", server.url)


behind(
    "K16",
    "change what the API refuses",
    lambda request: None if request.headers["Authorization"] else (400, {}, b'{"error": "no namespace"}'),
    "--token-file=FILE",
)


@remedy("K34")
def remove_a_setting_that_kubernetes_does_not_know(folder):
    executors = {"make": {"nodeSelektor": {"labels": {"a": "b"}}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    yield dry(compiled(folder, lambda documents: documents.__setitem__(slice(1, None), [platform])))
    yield dry(compiled(folder))


@remedy("K35")
def correct_a_negative_resource(folder):
    yield dry(compiled(folder, lambda d: container(d).update(resources={"cpuLimit": -1.0})))
    yield dry(compiled(folder, lambda d: container(d).update(resources={"cpuLimit": 1.0})))


def container(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return documents[0]["deploymentSpec"]["executors"]["make"]["container"]


@remedy("K39")
def give_the_parameter_that_is_missing(folder):
    needed = {"parameterType": "STRING"}
    file = compiled(folder, lambda d: d[0]["root"]["inputDefinitions"]["parameters"].update(data_root=needed))
    yield dry(file)
    yield dry(file, "--data-root", "minio://bucket/data")


@remedy("K25")
def name_the_image_as_registries_do(folder):
    yield compiling(folder, {}, "--image", "Registry/Next-Movie:1")
    yield compiling(folder, {})


def compiling(folder: Path, kubeflow: dict[str, Any], *options: str, more: dict[str, Any] | None = None) -> Command:
    """Compile a configuration with settings for the cluster, and others."""
    settings = {"name": "mine", "data": {"release": "sample"}, "kubeflow": kubeflow, **(more or {})}
    config = written(folder / "mine.yaml", yaml.safe_dump(settings))
    output = folder / ("out.json" if "vertex" in options else "out.yaml")
    image = () if "--image" in options else ("--image", "registry.example/next-movie:1")
    return ("kubeflow", "compile", "--config", config, "--output", output, *image, *options)


def recompiled(
    code: str,
    what: str,
    wrong: dict[str, Any],
    right: dict[str, Any],
    *options: str,
    more: dict[str, Any] | None = None,
) -> None:
    """Add a scenario of settings for the cluster that are wrong, and are changed."""

    def scenario(folder: Path) -> Iterator[Command]:
        yield compiling(folder, wrong, *options, more=more)
        yield compiling(folder, right, *options, more=more)

    scenario.__name__ = what
    remedy(code)(scenario)


VERTEX = ("--backend", "vertex", "--pipeline-root", "gs://bucket/root")
recompiled(
    "K27",
    "take a component that there is",
    {"components": {"Trianer": {"retries": 1}}},
    {"components": {"Trainer": {"retries": 1}}},
)
recompiled("K29", "let the cache be off where data may change", {"components": {"Pusher": {"caching": True}}}, {})
recompiled("K30", "take pod settings out for Vertex", {"defaults": {"image_pull_policy": "Always"}}, {}, *VERTEX)
SPANS: dict[str, Any] = {"data": {"release": "sample", "spans": {"by": "year"}}, "rolling": {}}
recompiled(
    "K43",
    "leave the digest of data out for spans",
    {"data_root": "minio://mlpipeline/spans", "data_digest": "0" * 64},
    {"data_root": "minio://mlpipeline/spans"},
    more=SPANS,
)


@remedy("K43")
def compile_a_second_file_for_cold_trainings(folder):
    for rolling in ({"cold_every": 7}, {"start": {"warm": False}}):
        yield compiling(folder, {}, more={**SPANS, "rolling": rolling})


recompiled("K41", "take the webhook out for Vertex", {"webhook": {"secret": "hook"}}, {}, *VERTEX)


@remedy("K26")
def give_vertex_a_root_in_cloud_storage(folder):
    yield compiling(folder, {}, "--backend", "vertex", "--pipeline-root", "s3://bucket/root")
    yield compiling(folder, {}, *VERTEX)


@remedy("K15")
def write_the_password_into_the_url_of_the_proxy(folder):
    def proxied(request: Any) -> Any:
        return api_answer(request) if request.headers["Proxy-Authorization"] else (407, {}, b"")

    file = compiled(folder)
    with front(proxied) as proxy:
        for url in (proxy.url, proxy.url.replace("://", "://user:password@")):
            yield ("kubeflow", "submit", file, "--host", "http://cluster.example", "--proxy", url)


@remedy("K18")
def name_the_authority_of_the_certificate(folder):
    authority, context = own_authority(folder)
    file = compiled(folder)
    with front(api_answer, context) as server:
        yield ("kubeflow", "submit", file, "--host", server.url)
        yield ("kubeflow", "submit", file, "--host", server.url, "--ca-cert", authority)


def downloaded(code: str, what: str, answer: tuple[int, dict[str, str], bytes]) -> None:
    """Add a scenario of a download that goes wrong, after which the archive is fetched in another way."""

    def scenario(folder: Path) -> Iterator[Command]:
        archive = folder / "ml-latest-small.zip"
        archive.write_bytes(packed(folder, release(folder)))
        with front(lambda _: answer) as server, pytest.MonkeyPatch.context() as patch:
            known = dataclasses.replace(
                find_release("ml-latest-small"), archive=RemoteArchive(f"{server.url}/ml-latest-small.zip")
            )
            patch.setitem(releases._RELEASES, "ml-latest-small", known)
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            yield ("generate", "--release", "ml-latest-small", "--output", folder / "made")
            yield from_source(archive)

    scenario.__name__ = what
    remedy(code)(scenario)


downloaded("D08", "fetch elsewhere what the server refuses", (503, {}, b""))
downloaded(
    "D09", "fetch elsewhere what arrives as a page", (200, {"Content-Type": "text/html"}, b"<html>Log in</html>")
)


@pytest.mark.parametrize(("code", "scenario"), SCENARIOS.values(), ids=SCENARIOS)
def test_what_the_message_advises_helps(code, scenario, tmp_path, capsys):
    follow(code, scenario, tmp_path, capsys)


def test_of_every_code_the_remedy_is_followed_or_it_is_said_why_not():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    codes = re.findall(r"^### ([A-Z][0-9]{2}):", page, flags=re.MULTILINE)
    here = {code for code, _ in SCENARIOS.values()}
    why_not = [code for codes_of_reason in NOT_FOLLOWED.values() for code in codes_of_reason.split()]
    assert sorted([*here, *FOLLOWED_ELSEWHERE, *why_not]) == sorted(codes)


@pytest.mark.parametrize("test", sorted(set(FOLLOWED_ELSEWHERE.values())))
def test_a_remedy_that_is_followed_elsewhere_is_followed_there(test):
    file, _, name = test.partition("::")
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def follow(code: str, scenario: Scenario, folder: Path, capsys: pytest.CaptureFixture) -> None:
    steps = scenario(folder)
    ended, line = ask(next(steps), capsys)
    assert ended == 2, line
    assert line.endswith(f"[{code}]")
    ended, line = ask(next(steps), capsys)
    assert ended == 0, line


def ask(command: Command, capsys: pytest.CaptureFixture) -> tuple[int, str]:
    """Run a command; return its exit code and the last line of its standard error."""
    name, *arguments = command
    host = next((value for value in arguments if str(value).startswith("http://127")), "")
    arguments = [
        str(value).replace("HOST", host).replace("HTTPS", host.replace("http:", "https:")) for value in arguments
    ]
    capsys.readouterr()
    try:
        code = RUN[name](arguments)
    except SystemExit as ended:
        code = ended.code
    lines = capsys.readouterr().err.splitlines()
    return code, lines[-1] if lines else ""
