"""The writer of the request log, by itself: order, rotation, sampling, limits, rights and faults."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from data.errors import InputError
from data.request_log.files import RequestLogReader, log_files
from data.request_log.records import Feedback, ServedRequest
from serving.http.request_log import LogSettings, RequestLog

DAY = 86_400.0
NOW = 1_764_300_000.0


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def open_log(folder: Path, **settings: object) -> RequestLog:
    return RequestLog(folder, LogSettings(**settings), lambda: {"stable": 2, "canary": 3}, clock=Clock())


def request_id(number: int) -> str:
    return f"{number:032x}"


def add(log: RequestLog, number: int, size: int = 100) -> bool:
    return log.add_answers(request_id(number), 2, lambda: [([number], [number + 1])], size)


def written(folder: Path) -> list[ServedRequest | Feedback]:
    return list(RequestLogReader(folder).records())


def results(log: RequestLog) -> dict[str, float]:
    [family] = log.collect()
    return {sample.labels["result"]: sample.value for sample in family.samples}


def test_records_stand_in_the_order_in_which_they_came_across_many_files(tmp_path):
    log = open_log(tmp_path / "log", file_bytes=1_000)
    log.start()
    for number in range(500):
        assert add(log, number)
        if number % 7 == 0:
            assert log.add_feedback(request_id(number), [number])
    log.close()

    records = written(tmp_path / "log")

    assert [record.history[0] for record in records if isinstance(record, ServedRequest)] == list(range(500))
    assert [record.taken[0] for record in records if isinstance(record, Feedback)] == list(range(0, 500, 7))
    assert results(log) == {"written": 572, "dropped": 0, "failed": 0}


def test_no_file_is_longer_than_is_said_but_for_one_long_record(tmp_path):
    log = open_log(tmp_path, file_bytes=700)
    log.add_answers(request_id(0), 2, lambda: [(list(range(1000)), [1])], 0)
    for number in range(1, 30):
        add(log, number)
    log.start()
    log.close()

    first, *others = [path.stat().st_size for path in log_files(tmp_path)]

    assert first > 700
    assert others
    assert max(others) <= 700
    assert len(written(tmp_path)) == 30


def test_a_record_says_who_asked_and_which_labels_the_version_bears(tmp_path):
    log = open_log(tmp_path)
    log.add_answers(request_id(1), 2, lambda: [([8, 2], [5])], 10, user="anna")
    log.start()
    log.close()

    assert written(tmp_path) == [
        ServedRequest(
            request_id=request_id(1), time=NOW, version=2, labels=("stable",), user="anna", history=(8, 2), answer=(5,)
        )
    ]


def test_rows_of_one_request_are_told_apart_by_their_number(tmp_path):
    log = open_log(tmp_path)
    log.add_answers(request_id(1), 3, lambda: [([8], [5]), (["x"], [])], 10)
    log.start()
    log.close()

    assert [record.request_id for record in written(tmp_path)] == [f"{request_id(1)}/0", f"{request_id(1)}/1"]


def test_a_full_queue_drops_and_counts_and_the_caller_does_not_wait(tmp_path):
    log = open_log(tmp_path, queue_bytes=250)

    # The thread that writes has not begun: nothing makes room.
    assert [add(log, number) for number in range(4)] == [True, True, False, False]
    log.start()
    log.close()

    assert [record.history for record in written(tmp_path)] == [(0,), (1,)]
    assert results(log) == {"written": 2, "dropped": 2, "failed": 0}


def test_what_takes_long_to_write_keeps_no_caller(tmp_path):
    log, go_on = open_log(tmp_path), threading.Event()
    log.start()
    log.add_answers(request_id(0), 2, lambda: go_on.wait(60) and [([0], [1])], 100)
    assert add(log, 1)
    assert log_files(tmp_path) == []
    go_on.set()
    log.close()

    assert [record.history for record in written(tmp_path)] == [(0,), (1,)]


def test_as_many_are_logged_as_the_share_says(tmp_path):
    draws = iter([0.0, 0.24, 0.25, 0.9])
    log = RequestLog(tmp_path, LogSettings(sample=0.25), draw=lambda: next(draws))
    assert [log.new_request_id() is not None for _ in range(4)] == [True, True, False, False]


def test_files_and_a_new_folder_are_for_their_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        log = open_log(tmp_path / "new" / "log")
        add(log, 1)
        log.start()
        log.close()
    finally:
        os.umask(before)
    [file] = log_files(tmp_path / "new" / "log")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new" / "log").stat().st_mode) == 0o700


def test_files_whose_last_record_is_too_old_are_deleted_and_nothing_else(tmp_path):
    old, young = (f"requests-2026010{day}T000000.000000Z-0000000{day}.jsonl" for day in (1, 2))
    for name, age in ((old, 11), (young, 9), ("letter.txt", 99)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (NOW - age * DAY,) * 2)
    (tmp_path / "elsewhere").mkdir()
    kept = tmp_path / "elsewhere" / "kept"
    kept.write_bytes(b"")
    os.utime(kept, (NOW - 99 * DAY,) * 2)
    (tmp_path / old.replace("T00", "T01")).symlink_to(kept)

    open_log(tmp_path, keep_days=10)

    assert {path.name for path in tmp_path.iterdir()} == {young, "letter.txt", "elsewhere", old.replace("T00", "T01")}
    assert kept.exists()


def test_a_file_ends_after_a_day(tmp_path):
    clock = Clock()
    log = RequestLog(tmp_path, LogSettings(), clock=clock)
    log._files.write([b"{}\n"])
    clock.now += DAY - 1
    log._files.write([b"{}\n"])
    assert len(log_files(tmp_path)) == 1
    clock.now += 1
    log._files.write([b"{}\n"])
    assert len(log_files(tmp_path)) == 2


def test_what_can_not_be_written_is_counted_and_later_records_are_written(tmp_path, caplog):
    caplog.set_level(logging.INFO, "next_movie")
    folder = tmp_path / "log"
    log = open_log(folder)
    folder.rename(tmp_path / "moved")
    log.start()
    add(log, 1)
    deadline = time.monotonic() + 60
    while not log.failed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    folder.mkdir()
    add(log, 2)
    log.close()

    assert [record.history for record in written(folder)] == [(2,)]
    assert results(log) == {"written": 1, "dropped": 0, "failed": 1}
    assert "answers go on" in caplog.text


def test_a_text_that_is_none_is_counted_and_the_next_record_written(tmp_path):
    log = open_log(tmp_path)
    log.add_answers(request_id(1), 2, lambda: [(["\ud800"], [])], 10)
    add(log, 2)
    log.start()
    log.close()
    assert results(log) == {"written": 1, "dropped": 0, "failed": 1}


def test_a_folder_that_can_not_be_one_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't hold the request log") as refused:
        open_log(tmp_path / "file" / "log")
    assert refused.value.code == "H02"
