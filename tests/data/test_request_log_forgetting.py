"""A user taken out of a request log."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from data.errors import InputError
from data.request_log import forgetting
from data.request_log.files import RequestLogReader, log_file_name, log_files
from data.request_log.forgetting import find_records, forget_records
from data.request_log.records import Feedback, Record, ServedRequest, write_record
from serving.http.request_log import LogSettings, RequestLog


def request(number: int, user: int | str | None, row: int | None = None) -> Record:
    request_id = f"{number:032x}" + ("" if row is None else f"/{row}")
    return ServedRequest(request_id=request_id, time=5.0, version=1, user=user, history=(number,), answer=(1,))


def taken(number: int, row: int | None = None) -> Record:
    return Feedback(request_id=f"{number:032x}" + ("" if row is None else f"/{row}"), time=9.0, taken=(number,))


FILES = [
    [request(1, "7"), request(2, 8), taken(5)],
    [taken(2), request(3, None), request(4, 7, 0), request(4, 7, 1)],
    [taken(4, 1), request(5, 7), request(6, "007"), taken(6)],
]
"""A request's feedback may lie in an earlier file, where several servers share a folder."""

OTHERS = [request(2, 8), taken(2), request(3, None), request(6, "007"), taken(6)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for second, records in enumerate(FILES):
        file = tmp_path / log_file_name(1e9 + second)
        file.write_bytes(b"".join(map(write_record, records)))
        file.chmod(0o640)
        os.utime(file, (1e9, 1e9 + second))
    return tmp_path


def records_in(log: Path) -> list[Record]:
    return list(RequestLogReader(log).records())


def test_the_requests_of_a_user_and_the_feedback_on_them_are_gone_and_all_else_stays(log):
    found = find_records(log, "7")
    assert (len(found.requests), found.feedback, found.nameless) == (4, 2, 1)
    assert records_in(log) == [record for records in FILES for record in records]
    forget_records(log, found)
    assert records_in(log) == OTHERS
    again = find_records(log, "7")
    assert (len(again.requests), again.feedback) == (0, 0)


def test_files_that_hold_nothing_of_a_user_are_not_touched_and_the_others_keep_rights_and_time(log):
    before = {path.name: path.stat() for path in log_files(log)}
    forget_records(log, find_records(log, "8"))
    after = {path.name: path.stat() for path in log_files(log)}
    assert [before[name].st_ino == after[name].st_ino for name in before] == [False, False, True]
    for name, was in before.items():
        assert (stat.S_IMODE(after[name].st_mode), after[name].st_mtime) == (0o640, was.st_mtime)
    assert [path.name for path in sorted(log.iterdir())] == sorted(before)


@pytest.mark.parametrize("files", range(5))
def test_after_a_kill_a_second_call_has_the_rest(log, files, monkeypatch):
    left = iter(range(files))
    whole = forgetting._rewrite

    def killed_at_the_next(*arguments: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        whole(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_rewrite", killed_at_the_next)
        with pytest.raises(KeyboardInterrupt):
            forget_records(log, find_records(log, "7"))
    forget_records(log, find_records(log, "7"))
    assert records_in(log) == OTHERS


def test_a_server_goes_on_in_a_new_file_and_loses_no_record(tmp_path):
    server = RequestLog(tmp_path, LogSettings())
    server.start()

    def ask(number: int, user: int) -> None:
        before = server.written
        server.add_answers(f"{number:032x}", 1, lambda: [([number], [1])], 100, user)
        deadline = time.monotonic() + 30
        while server.written == before:
            assert time.monotonic() < deadline, "no record was written"
            time.sleep(0.01)

    ask(1, 7)
    ask(2, 8)
    forget_records(tmp_path, find_records(tmp_path, "7"))
    ask(3, 8)
    server.close()
    assert [record.history for record in records_in(tmp_path)] == [(2,), (3,)]
    assert len(log_files(tmp_path)) == 2


def test_a_log_with_a_line_that_is_no_record_is_refused_before_anything_is_changed(log):
    with log_files(log)[-1].open("ab") as file:
        file.write(b"nonsense\n")
    before = [path.read_bytes() for path in log_files(log)]
    with pytest.raises(InputError) as refused:
        find_records(log, "7")
    assert refused.value.code == "D28"
    assert [path.read_bytes() for path in log_files(log)] == before


def test_a_kill_while_a_file_is_copied_leaves_nothing_of_the_user_after_a_second_call(log, monkeypatch):
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(forgetting.shutil, "copystat", lambda *_: os._exit(9))
        forget_records(log, find_records(log, "7"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(list(log.iterdir())) == len(FILES) + 1

    # Whoever it was that is taken out then.
    forget_records(log, find_records(log, "nobody"))

    assert sorted(log.iterdir()) == log_files(log)


def test_two_that_are_taken_out_at_once_are_both_gone(log):
    seven, eight = (find_records(log, user) for user in ("7", "8"))
    with forgetting._held(log_files(log)[0]) as file:
        waiting = threading.Thread(target=forget_records, args=(log, eight))
        waiting.start()
        time.sleep(0.2)
        # What another call does that was first.
        kept = [line for line in file if not forgetting._is_of(line, ServedRequest, seven.requests)]
        replaced = log / "aside"
        replaced.write_bytes(b"".join(kept))
        replaced.replace(log_files(log)[0])
    waiting.join(30)

    left = [record for record in records_in(log) if isinstance(record, ServedRequest)]
    assert request(1, "7") not in left
    assert request(2, 8) not in left
