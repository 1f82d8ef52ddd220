"""Releases as folders and zip archives, honest and hostile."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases import archives
from data.releases.archives import open_source, reading, source_digest

NAMES = ("ratings.csv", "movies.csv")


def _folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / name).write_text(f"content of {name}\n" * 100)
    return folder


def _zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def _entries(folder: Path, prefix: str = "") -> dict[str, bytes]:
    return {f"{prefix}{name}": (folder / name).read_bytes() for name in NAMES}


def test_a_folder_and_a_zip_of_the_same_data_agree_with_or_without_a_top_folder(tmp_path: Path):
    folder = _folder(tmp_path / "outer" / "ml-latest-small")
    flat = _zip(tmp_path / "flat.zip", _entries(folder))
    nested = _zip(tmp_path / "nested.zip", {"ml-latest-small/README.txt": b"", **_entries(folder, "ml-latest-small/")})
    digests = set()
    for path in (folder, folder.parent, flat, nested):
        source = open_source(path, NAMES)
        with source.open("movies.csv") as file:
            assert file.read() == (folder / "movies.csv").read_bytes()
        assert source.size("movies.csv") == (folder / "movies.csv").stat().st_size
        digests.add(source_digest(source, NAMES))
    assert len(digests) == 1


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"does not exist; give the release's zip archive or its folder"):
        open_source(tmp_path / "nothing", NAMES)
    with pytest.raises(InputError, match=r"lacks ratings\.csv and movies\.csv"):
        open_source(tmp_path, NAMES)
    (tmp_path / "ratings.csv").touch()
    with pytest.raises(InputError, match=r"lacks movies\.csv"):
        open_source(tmp_path, NAMES)
    with pytest.raises(InputError, match=r"lacks ratings\.csv"):
        open_source(_zip(tmp_path / "some.zip", {"movies.csv": b""}), NAMES)


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path):
    path = _zip(tmp_path / "twice.zip", {"a/ratings.csv": b"1", "b/ratings.csv": b"2", "movies.csv": b"3"})
    with pytest.raises(InputError, match=r"holds ratings\.csv more than once"):
        open_source(path, NAMES)


@pytest.mark.parametrize("name", ["../ratings.csv", "ml/../../x", "/etc/passwd", "C:/x", "..\\x", "a\\..\\..\\x"])
def test_an_entry_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str):
    path = _zip(tmp_path / "out.zip", {**_entries(_folder(tmp_path / "f")), "plain": b""})
    with zipfile.ZipFile(path, "a") as archive:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name
        archive.writestr(entry, b"x")
    with pytest.raises(InputError, match="leads out of the archive"):
        open_source(path, NAMES)
    assert not (tmp_path.parent / "ratings.csv").exists()


def test_a_symbolic_link_is_refused(tmp_path: Path):
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("ratings.csv")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="is a symbolic link"):
        open_source(path, NAMES)


def test_a_file_that_expands_a_thousandfold_is_refused(tmp_path: Path):
    path = _zip(tmp_path / "bomb.zip", {"ratings.csv": b"0" * (8 << 20), "movies.csv": b""})
    with pytest.raises(InputError, match="expands more than 100 times"):
        open_source(path, NAMES)


def test_an_archive_that_expands_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = _zip(tmp_path / "large.zip", _entries(_folder(tmp_path / "f")))
    monkeypatch.setattr(archives, "MAX_EXPANDED_BYTES", 1000)
    with pytest.raises(InputError, match="expands to more than"):
        open_source(path, NAMES)


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path):
    path = _zip(tmp_path / "lie.zip", _entries(_folder(tmp_path / "f")))
    content = path.read_bytes()
    size = (tmp_path / "f" / "ratings.csv").stat().st_size.to_bytes(4, "little")
    path.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(InputError, match="damaged"):
        source_digest(open_source(path, NAMES), NAMES)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"<html>login</html>", b"PK\x03\x04 and no more"])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a (readable )?zip archive"):
        open_source(tmp_path / "x.zip", NAMES)


@given(place=st.floats(0, 1), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_archive_gives_its_content_or_the_projects_own_error(
    tmp_path: Path, place: float, flip: int, cut: bool
):
    folder = _folder(tmp_path / "f")
    content = bytearray(_zip(tmp_path / "whole.zip", _entries(folder)).read_bytes())
    expected = source_digest(open_source(folder, NAMES), NAMES)
    at = min(int(place * len(content)), len(content) - 1)
    content[at] ^= flip
    (tmp_path / "damaged.zip").write_bytes(content[:at] if cut else content)
    try:
        assert source_digest(open_source(tmp_path / "damaged.zip", NAMES), NAMES) == expected
    except InputError as error:
        assert len(str(error).splitlines()) == 1


def test_of_two_releases_below_one_folder_neither_is_taken(tmp_path: Path):
    for name in ("ml-20m", "ml-latest-small"):
        (tmp_path / name).mkdir()
        for file in NAMES:
            (tmp_path / name / file).write_bytes(b"x")
    with pytest.raises(InputError, match=r"more than once, in ml-20m, ml-latest-small; give one of these folders"):
        open_source(tmp_path, NAMES)
    for file in NAMES:
        (tmp_path / file).write_bytes(b"top")
    with open_source(tmp_path, NAMES).open(NAMES[0]) as opened:
        assert opened.read() == b"top", "what lies in the folder itself is what was named"


@pytest.mark.parametrize("content", [b"userId,movieId,rating,timestamp\n1,2,3,4\n", b"\x1f\x8b\x08", b""])
def test_a_file_that_never_was_a_zip_archive_is_not_to_be_fetched_again(tmp_path: Path, content: bytes):
    (tmp_path / "ratings.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a zip archive; give the folder that holds") as refused:
        open_source(tmp_path / "ratings.csv", NAMES)
    assert "fetch" not in str(refused.value)


class RefusingSource:
    """A source whose file the system doesn't let be read, as it does whoever lacks the right; root lacks none."""

    label = "release"

    def open(self, name: str):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)


def test_a_file_that_may_not_be_read_is_not_said_to_be_damaged():
    source = RefusingSource()
    with pytest.raises(InputError) as refused, reading(source, "ratings.csv"):
        source.open("ratings.csv")
    assert refused.value.line == "release: ratings.csv can't be read: Permission denied [D02]"


def test_what_gzip_or_zipfile_find_is_damage():
    with pytest.raises(InputError) as refused, reading(RefusingSource(), "ratings.csv"):
        raise gzip.BadGzipFile("Not a gzipped file")
    assert refused.value.line == "release: ratings.csv is damaged (Not a gzipped file); fetch it again [D04]"
