"""Paths that a person names: read from options, written whole, and refused where a run can't use them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.user_files import check_work_dir, user_path, write_text, writing

ROOT = Path(__file__).resolve().parent.parent


def test_a_link_stays_and_what_it_points_to_gets_the_text(tmp_path):
    (tmp_path / "real").write_text("old", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to("real")
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text(encoding="utf-8") == "new"


def test_a_pipe_stays_one_and_its_reader_gets_the_text(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    write_text(pipe, "answers")
    reader.join()
    assert got == ["answers"]
    assert pipe.is_fifo()


def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "out"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(InputError, match="line 3"), writing(target) as file:
        file.write("half")
        raise InputError("line 3 is wrong", code="D16")
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_keeps_its_permissions(tmp_path):
    target = tmp_path / "out"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    write_text(target, "new")
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["missing/out", "n" * 256])
def test_what_can_not_be_written_is_named_as_it_was_given(tmp_path, name):
    with pytest.raises(InputError) as refusal:
        write_text(tmp_path / name, "text")
    assert str(refusal.value).startswith(f"{tmp_path / name} can't be written")


def test_links_in_a_circle_are_refused_in_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="a can't be written"):
        write_text(tmp_path / "a", "text")


def test_standard_output_is_written_to_where_the_shell_led_it(tmp_path):
    script = (
        "from pathlib import Path; from data.user_files import write_text; "
        "write_text(Path('/dev/stdout'), 'first\\n'); print('second')"
    )
    out = tmp_path / "out"
    with out.open("w", encoding="utf-8") as file:
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, stdout=file, check=True)
    assert out.read_text(encoding="utf-8") == "first\nsecond\n"


@given(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=60).filter(
        lambda name: name not in {".", ".."}
    )
)
def test_any_name_of_a_file_is_written_or_refused_in_one_line(tmp_path_factory, name):
    target = tmp_path_factory.mktemp("any") / name
    write_text(target, "text")
    assert target.read_text(encoding="utf-8") == "text"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "~no-such-user-here/x"])
def test_a_path_that_is_none_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        user_path(text)


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/runs") == Path("/home/me/runs")


@pytest.mark.parametrize("sign", "[]*?\\")
def test_a_work_directory_that_would_be_a_pattern_is_refused_before_it_is_made(tmp_path, sign):
    folder = tmp_path / f"exp{sign}1"
    with pytest.raises(InputError, match="takes for a pattern: name another --work-dir"):
        check_work_dir(folder)
    assert not folder.exists()


def test_blanks_and_letters_beyond_ascii_are_no_pattern(tmp_path):
    check_work_dir(tmp_path / "a b ü #2 50%25")


def test_a_work_directory_too_long_for_sqlite_is_refused():
    with pytest.raises(InputError, match="has 313 bytes, and 312 are allowed: name a shorter --work-dir"):
        check_work_dir(Path("/" + "/".join(["d" * 103, "d" * 103, "d" * 104])))
