"""The format of the request log, its reader, and what it says beside train."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.examples.manifest import Manifest
from data.generate import generate
from data.generate import run as run_generate
from data.options import GenerateOptions
from data.request_log.files import RequestLogReader, log_file_name, log_files
from data.request_log.records import Feedback, Record, ServedRequest, read_record, write_record
from data.request_log.summary import skew

ids = st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"))).map(tuple)
request_ids = st.from_regex(re.compile(r"[0-9a-f]{32}(/[0-9]{1,9})?"), fullmatch=True).filter(str.isascii)
times = st.floats(0, 4e9)
requests = st.builds(
    ServedRequest,
    request_id=request_ids,
    time=times,
    version=st.integers(1, 10**9),
    labels=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
    user=st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    history=ids,
    answer=ids,
)
feedback = st.builds(Feedback, request_id=request_ids, time=times, taken=ids)


def request(number: int, history: tuple[int, ...] = (), answer: tuple[int, ...] = (), time: float = 5.0) -> Record:
    return ServedRequest(request_id=f"{number:032x}", time=time, version=1, history=history, answer=answer)


def taken(number: int, *movies: int) -> Record:
    return Feedback(request_id=f"{number:032x}", time=9.0, taken=movies)


def write_log(folder: Path, *files: list[Record]) -> Path:
    folder.mkdir(exist_ok=True)
    for second, records in enumerate(files):
        (folder / log_file_name(1e9 + second)).write_bytes(b"".join(map(write_record, records)))
    return folder


@given(requests | feedback)
def test_a_record_is_read_as_it_was_written_and_fills_one_line(record):
    line = write_record(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert read_record(line) == record


@given(st.lists(st.lists(requests | feedback, max_size=5), min_size=1, max_size=4))
def test_a_log_is_read_in_the_order_of_its_files_and_lines(tmp_path_factory, files):
    folder = write_log(tmp_path_factory.mktemp("log"), *files)
    assert list(RequestLogReader(folder).records()) == [record for records in files for record in records]


def test_keys_that_are_not_known_are_passed_over():
    assert read_record(b'{"kind":"feedback","request_id":"%s","time":9,"taken":[1],"page":"home"}' % (b"0" * 32)) == (
        Feedback(request_id="0" * 32, time=9, taken=(1,))
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        '{"kind":"visit"}',
        '{"kind":"feedback","request_id":"7","time":1,"taken":[]}',
        '{"kind":"feedback","request_id":"00000000000000000000000000000000","time":-1,"taken":[]}',
        '{"kind":"feedback","request_id":"00000000000000000000000000000000","time":1,"taken":[1.5]}',
        '{"kind":"feedback","request_id":"00000000000000000000000000000000","time":1,"taken":[true]}',
        "\x00\x00",
    ],
    ids=[
        "empty",
        "cut off",
        "a list",
        "another kind",
        "a short id",
        "a time before 1970",
        "half an id",
        "true",
        "NULs",
    ],
)
def test_a_line_that_is_no_record_is_refused_in_one_line_that_says_where_it_stands(tmp_path, line):
    folder = write_log(tmp_path / "log", [request(1)])
    [file] = log_files(folder)
    with file.open("a") as end:
        end.write(f"{line}\n")
    with pytest.raises(InputError) as refused:
        list(RequestLogReader(folder).records())
    assert refused.value.code == "D28"
    assert f"{file}, line 2 is no record" in refused.value.line
    assert "\n" not in refused.value.line


def test_a_line_without_an_end_is_passed_over_where_a_server_may_be_writing_it(tmp_path):
    folder = write_log(tmp_path / "log", [request(1)], [request(2)])
    for file in log_files(folder):
        with file.open("ab") as end:
            end.write(write_record(request(3))[:-9])
    log = RequestLogReader(folder)
    assert list(log.records()) == [request(1), request(2)]
    assert log.unfinished == 2


def test_a_folder_without_a_log_is_refused(tmp_path):
    (tmp_path / "requests.jsonl").write_text("")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError) as refused:
            RequestLogReader(folder)
        assert refused.value.code == "D29"


def test_distances_are_those_of_a_plain_second_implementation():
    train, served = np.array([6, 3, 1, 0]), np.array([0, 2, 2, 4])
    p, q = [0.6, 0.3, 0.1, 0.0], [0.0, 0.25, 0.25, 0.5]
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    entropy = [sum(a * math.log2(a / m) for a, m in zip(side, middle, strict=True) if a > 0) for side in (p, q)]
    found = skew(train, served)
    assert found.l_infinity == pytest.approx(0.6)
    assert found.jensen_shannon == pytest.approx(sum(entropy) / 2)
    assert skew(train, train * 7).jensen_shannon == pytest.approx(0)
    assert skew(np.array([1, 0]), np.array([0, 5])).jensen_shannon == pytest.approx(1)
    assert skew(train, np.zeros(4, np.int64)).l_infinity is None


OPTIONS = GenerateOptions(release="sample", max_context_length=4)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "made"
    generate(OPTIONS, folder)
    return folder


def test_the_manifest_counts_what_was_shown_and_taken_at_each_place(tmp_path, examples):
    known = list(_catalogue_ids(examples)[:6])
    a, b, c, d, e, f = known
    log = write_log(
        tmp_path / "log",
        [request(1, (a, b, 10**9), (c, d, e), 7.0), request(2, (), (d, c), 3.0), request(3, (a, b, c, d, e, f), ())],
        # Feedback may come twice, before its request in another file, of what stands elsewhere, and of nothing known.
        [taken(1, d), taken(1, d, f), taken(2, d), taken(99, a)],
    )
    facts = generate(OPTIONS, tmp_path / "made", requests=log).requests

    assert (facts.requests, facts.first, facts.last, facts.versions) == (3, 3.0, 7.0, {"1": 3})
    places = [(place.position, place.shown, place.taken) for place in facts.positions]
    assert places == [
        (1, 2, 1),
        (2, 2, 1),
        (3, 1, 0),
    ]
    assert (facts.answered_feedback, facts.unmatched_feedback, facts.taken_elsewhere, facts.taken_below) == (2, 1, 1, 0)
    assert facts.unknown_share == pytest.approx(1 / 9)
    assert facts.history_lengths.served == {"0": 1, "1": 0, "2": 1, "3": 0, "4": 1}
    assert facts.history_lengths.train["0"] == 0
    assert sum(facts.history_lengths.train.values()) == Manifest.load(examples).counts.train
    assert sum(facts.popularity.served.values()) == 6


def test_the_log_changes_the_manifest_by_one_key_and_no_other_file(tmp_path, examples):
    log = write_log(tmp_path / "log", [request(1, (1,))])
    manifest = generate(OPTIONS, tmp_path / "made", requests=log)
    plain = Manifest.load(examples)

    assert "requests" not in (examples / "manifest.json").read_text()
    assert manifest.digest == plain.digest
    assert manifest.model_copy(update={"requests": None}) == plain
    for path in examples.iterdir():
        if path.name != "manifest.json":
            assert path.read_bytes() == (tmp_path / "made" / path.name).read_bytes()


def test_a_log_that_grew_is_read_anew_and_one_that_is_not_named_is_kept(tmp_path):
    log = write_log(tmp_path / "log", [request(1)])
    said: list[str] = []
    for _ in range(2):
        generate(OPTIONS, tmp_path / "made", requests=log, progress=said.append)
    assert said[-1].endswith("is up to date")
    assert generate(OPTIONS, tmp_path / "made").requests.requests == 1
    write_log(log, [], [], [request(2)])
    assert generate(OPTIONS, tmp_path / "made", requests=log).requests.requests == 2


def test_a_bad_log_leaves_the_output_as_it_was(tmp_path, capsys):
    log = write_log(tmp_path / "log", [request(1)])
    [file] = log_files(log)
    file.write_text("no record\n")
    code = run_generate(["--release", "sample", "--output", str(tmp_path / "made"), "--requests", str(log)])
    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert said[-1].endswith("[D28]")
    assert not (tmp_path / "made").exists()


def test_feedback_alone_is_no_log_to_hold_train_beside(tmp_path):
    log = write_log(tmp_path / "log", [taken(1, 2)])
    with pytest.raises(InputError) as refused:
        generate(OPTIONS, tmp_path / "made", requests=log)
    assert refused.value.code == "D30"


def _catalogue_ids(examples: Path) -> list[int]:
    from data.releases.catalogue import Catalogue

    return Catalogue.load(examples / "catalogue.jsonl").ids.tolist()
