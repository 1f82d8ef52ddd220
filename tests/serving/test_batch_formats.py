"""Histories and answers in JSON Lines, CSV and Parquet: the same answers, or one line that says what is wrong."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.releases.catalogue import Catalogue, Movie
from serving.answers import Answer, answers_written
from serving.batch_inference import recommend_file
from serving.batch_job import BatchJob
from serving.recommender import Recommender

ROOT = Path(__file__).resolve().parent.parent.parent

MOVIES = Catalogue.of(Movie(id_, f"Movie {id_}", 1999, ()) for id_ in range(1, 13))
SKUS = Catalogue.of(Movie(sku, f"Article {sku}", 0, ()) for sku in ("007", "a b", "c,d", 'e"f', "[g"))

HISTORIES: list[tuple[str, list[int]]] = [
    ("007", [1, 2]),
    ("u,1", []),
    ('say "x"', [3]),
    ("two\nlines", list(range(1, 12))),
    ("CR\r.", list(range(1, 13))),
    ("007", [12]),
    ("ü", [99, 4]),
]


class Rising(Recommender):
    """Recommends the first movies of the catalogue that a history has not, each scored by a third of its place."""

    def __init__(self, catalogue: Catalogue = MOVIES) -> None:
        super().__init__(None, catalogue)

    def recommend_ids(
        self, histories: Any, k: int = 10, *, include_seen: bool = False, filters: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        known = [one.decode() if isinstance(one, bytes) else one for one in self.catalogue.ids.tolist()]
        rows = [[one for one in known if include_seen or one not in history] for history in histories]
        padded = [(row + [self.catalogue.pad] * k)[:k] for row in rows]
        scores = np.tile(-np.arange(k) / 3, (len(padded), 1)).astype(np.float32)
        return np.array(padded, object if self.catalogue.has_texts else np.int64), scores


def write_histories(path: Path, histories: Sequence[tuple[Any, list[Any]]]) -> Path:
    """Write histories with their ids as other programs would."""
    if path.suffix == ".jsonl":
        lines = [json.dumps({"id": id_, "history": history}) for id_, history in histories]
        path.write_text("\n".join(lines), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["other", "history", "id"])
            writer.writerows(["x", " ".join(map(str, history)), id_] for id_, history in histories)
    else:
        ids, lists = zip(*histories, strict=True)
        pq.write_table(pa.table({"history": list(lists), "other": [1.5] * len(ids), "id": list(ids)}), path)
    return path


def read_answers(path: Path) -> list[dict[str, Any]]:
    """Return what a file of answers holds, as its JSON Lines would; of CSV only answers that hold a movie."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    answers: dict[str, dict[str, Any]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            answer = answers.setdefault(row["row"], {"id": row["id"], "movie_id": [], "score": []})
            answer["movie_id"].append(int(row["movie_id"]))
            answer["score"].append(float(row["score"]))
            if "title" in row:
                answer.setdefault("title", []).append(row["title"])
            assert int(row["rank"]) == len(answer["movie_id"])
    return list(answers.values())


def answered(source: Path, target: Path, model: Recommender | None = None, **choices: Any) -> list[dict[str, Any]]:
    recommend_file(model or Rising(), BatchJob(source, target, **choices))
    return read_answers(target)


@pytest.mark.parametrize("titles", [False, True], ids=["ids-alone", "titles"])
@pytest.mark.parametrize("target", ["out.jsonl", "out.csv", "out.parquet"], ids=["to-jsonl", "to-csv", "to-parquet"])
@pytest.mark.parametrize("source", ["in.jsonl", "in.csv", "in.parquet"], ids=["jsonl", "csv", "parquet"])
def test_answers_are_the_same_in_all_formats(tmp_path: Path, source: str, target: str, titles: bool) -> None:
    plain = answered(write_histories(tmp_path / "plain.jsonl", HISTORIES), tmp_path / "plain-out.jsonl", k=3)
    if titles:
        plain = [{**answer, "title": [f"Movie {id_}" for id_ in answer["movie_id"]]} for answer in plain]
    if target.endswith("csv"):
        plain = [answer for answer in plain if answer["movie_id"]]

    found = answered(write_histories(tmp_path / source, HISTORIES), tmp_path / target, k=3, titles=titles)

    assert found == plain


def test_the_expected_answers_are_right_by_hand(tmp_path: Path) -> None:
    found = answered(write_histories(tmp_path / "in.csv", HISTORIES), tmp_path / "out.jsonl", k=3)
    assert found[0] == {"id": "007", "movie_id": [3, 4, 5], "score": [0.0, -0.333333, -0.666667]}
    assert [answer["movie_id"] for answer in found[1:]] == [[1, 2, 3], [1, 2, 4], [12], [], [1, 2, 3], [1, 2, 3]]
    seen = answered(tmp_path / "in.csv", tmp_path / "seen.jsonl", k=1, include_seen=True)
    assert [answer["movie_id"] for answer in seen] == [[1]] * len(HISTORIES)


def test_a_csv_has_a_row_for_each_movie_and_counts_the_histories(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(f'[1, 2]\n{json.dumps(list(range(1, 13)))}\n\n{{"history": [3], "id": "007"}}\n')
    recommend_file(Rising(), BatchJob(source, tmp_path / "out.csv", k=2, titles=True))
    assert (tmp_path / "out.csv").read_text() == (
        '"row","id","rank","movie_id","score","title"\n'
        '1,"",1,3,0.0,"Movie 3"\n1,"",2,4,-0.333333,"Movie 4"\n'
        '3,"007",1,1,0.0,"Movie 1"\n3,"007",2,2,-0.333333,"Movie 2"\n'
    )


def test_a_parquet_file_has_typed_lists_and_the_ids_type(tmp_path: Path) -> None:
    for ids, found in ((pa.array([7, None], pa.int32()), pa.int32()), (pa.array(["7", None]), pa.string())):
        pq.write_table(pa.table({"id": ids, "history": [[1], [2]]}), tmp_path / "in.parquet")
        recommend_file(Rising(), BatchJob(tmp_path / "in.parquet", tmp_path / "out.parquet", titles=True))
        table = pq.read_table(tmp_path / "out.parquet")
        assert table.schema.remove_metadata() == pa.schema(
            {
                "id": found,
                "movie_id": pa.list_(pa.int64()),
                "score": pa.list_(pa.float64()),
                "title": pa.list_(pa.string()),
            }
        )
        assert table["id"].to_pylist() == ids.to_pylist()


def test_an_id_that_is_no_text_becomes_one_where_a_column_has_one_type(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"history": [], "id": 7}\n{"history": [], "id": {"a": "ü"}}\n[]\n')
    found = answered(tmp_path / "in.jsonl", tmp_path / "out.parquet", k=1)
    assert [answer["id"] for answer in found] == ["7", '{"a": "ü"}', None]


def test_lists_of_every_kind_that_arrow_has_are_read(tmp_path: Path) -> None:
    small = pa.array([[1, 2], [3, 4]], pa.list_(pa.int8()))
    kinds = [
        small,
        small.cast(pa.large_list(pa.uint64())),
        pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2),
    ]
    for kind in kinds:
        pq.write_table(pa.table({"history": kind}), tmp_path / "in.parquet")
        found = answered(tmp_path / "in.parquet", tmp_path / "out.jsonl", k=1)
        assert found == [{"movie_id": [3], "score": [0.0]}, {"movie_id": [1], "score": [0.0]}]


def test_ids_that_pandas_wrote_as_categories_are_read_as_texts(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(["a", "b"]).dictionary_encode(), "history": [[1], [2]]})
    pq.write_table(table, tmp_path / "in.parquet")
    assert [answer["id"] for answer in answered(tmp_path / "in.parquet", tmp_path / "out.parquet")] == ["a", "b"]


def test_ids_that_are_texts_stand_between_blanks_or_in_a_list(tmp_path: Path) -> None:
    model = Rising(SKUS)
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["history"], ["007 c,d"], [json.dumps(["a b", "[g"])]])
    pq.write_table(pa.table({"history": [["007", "c,d"], ["a b", "[g"]]}), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text('["007", "c,d"]\n["a b", "[g"]\n')
    for source in ("in.csv", "in.parquet", "in.jsonl"):
        found = answered(tmp_path / source, tmp_path / "out.jsonl", model, k=5)
        assert [sorted(answer["movie_id"]) for answer in found] == [["[g", "a b", 'e"f'], ["007", "c,d", 'e"f']]
    recommend_file(model, BatchJob(tmp_path / "in.csv", tmp_path / "out.csv", k=1))
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == [
        '1,"","1","[g",0.0'.replace('"1"', "1"),
        '2,"",1,"007",0.0',
    ]


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6)


@given(answers=st.lists(st.tuples(texts, texts), min_size=1, max_size=4), suffix=st.sampled_from(["csv", "parquet"]))
def test_any_id_and_title_comes_back_as_it_was(tmp_path: Path, answers: list[tuple[str, str]], suffix: str) -> None:
    catalogue = Catalogue.of(Movie(place, title, 0, ()) for place, (_, title) in enumerate(answers))
    target = tmp_path / f"out.{suffix}"
    job = BatchJob(tmp_path / "in.jsonl", target, titles=True)
    with answers_written(job, catalogue) as write:
        write(Answer({"id": id_}, [place], [0.5]) for place, (id_, _) in enumerate(answers))

    assert [(answer["id"], *answer["title"]) for answer in read_answers(target)] == answers
    if suffix == "csv":
        read = pacsv.read_csv(
            target,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types={"id": pa.string(), "title": pa.string()}),
        ).to_pydict()
        assert list(zip(read["id"], read["title"], strict=True)) == answers


@given(ids=st.lists(texts, min_size=1, max_size=4))
def test_any_id_of_a_csv_is_repeated_as_it_was(tmp_path: Path, ids: list[str]) -> None:
    source = write_histories(tmp_path / "in.csv", [(id_, [1]) for id_ in ids])
    assert [answer["id"] for answer in answered(source, tmp_path / "out.jsonl", k=1)] == ids


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


WHOLE = parquet(id=["a"] * 5000, history=[[1, 2, 3]] * 5000)

# The first of the numbers of rows in its footer, 5,000 as Thrift spells it, is the file's.
FOOTER = len(WHOLE) - 8 - int.from_bytes(WHOLE[-8:-4], "little")
ONE_ROW_MORE = WHOLE[:FOOTER] + WHOLE[FOOTER:].replace(b"\x16\x90\x4e", b"\x16\x92\x4e", 1)

COLUMNS = "needs one column `history` and at most one `id`"

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "csv without the column": ("csv", b"id,movies\n1,2\n", COLUMNS),
    "csv with the column twice": ("csv", b"history,history\n1,2\n", "and has 'history', 'history'"),
    "empty csv": ("csv", b"", "and has none"),
    "csv of titles": ("csv", b"history\n1 2\nHeat\n", "line 3 is no history: write ids such as 1270 1197"),
    "csv with commas for blanks": ("csv", b'history\n"1,2"\n', "line 2 is no history"),
    "csv of a negative id": ("csv", b"history\n1 -2\n", "line 2 is no history"),
    "csv of too large an id": ("csv", b"history\n9999999999999999999\n", "line 2 is no history"),
    "csv of a broken list": ("csv", b'history\n"[1, 2"\n', "line 2 is no history"),
    "csv of a list of texts": ("csv", b'history\n"[""1""]"\n', "line 2 is no history"),
    "csv with a cell too many": ("csv", b'id,history\n"a\nb",1\nc,1,2\n', "line 4 has 3 cells, and the first line"),
    "csv with an open quote": ("csv", b'id,history\na,1\n"b,2\n', "line 3 is not CSV: unexpected end of data"),
    "csv in latin-1": ("csv", "id,history\nü,1\n".encode("latin-1"), "is not UTF-8 text"),
    "csv with a NUL": ("csv", b"history\n1\n\0\n", "line 3 is no"),
    "parquet without the column": ("parquet", parquet(id=[1]), f"{COLUMNS}, and has 'id'"),
    "parquet of texts": ("parquet", parquet(history=["1 2"]), "`history` is string, and has to be lists of integers"),
    "parquet of lists of texts": ("parquet", parquet(history=[["1"]]), "has to be lists of integers"),
    "parquet of lists of floats": ("parquet", parquet(history=[[1.0]]), "has to be lists of integers"),
    "parquet of a null": ("parquet", parquet(history=[[1], None]), "row 2 is no history: it is null, or holds"),
    "parquet of a null in a list": ("parquet", parquet(history=[[1], [2], [3, None]]), "row 3 is no history"),
    "parquet of a negative id": ("parquet", parquet(history=[[-1]]), "row 1 is no history"),
    "parquet of float ids": ("parquet", parquet(history=[[1]], id=[1.0]), "`id` is double, and has to be integers or"),
    "parquet without its end": ("parquet", WHOLE[:-9], "can't be read as Parquet: "),
    "parquet with a damaged page": ("parquet", WHOLE[:30] + bytes(30) + WHOLE[60:], "can't be read as Parquet: "),
    "parquet with fewer rows": ("parquet", ONE_ROW_MORE, "is damaged: it ends after 5,000 of 5,001 rows"),
    "empty parquet": ("parquet", b"", "can't be read as Parquet: "),
    "parquet that is csv": ("parquet", b"history\n1\n", "can't be read as Parquet: "),
    "an id of half a character": ("jsonl", b'{"history": [], "id": "\\ud800"}\n', "line 1 has an `id` that is no"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_file_is_refused_in_one_line_and_the_former_answers_stay(tmp_path: Path, fault: str) -> None:
    suffix, content, said = REFUSED[fault]
    source, target = tmp_path / f"in.{suffix}", tmp_path / "out.parquet"
    source.write_bytes(content)
    target.write_text("former")

    with pytest.raises(InputError) as refused:
        recommend_file(Rising(), BatchJob(source, target))

    assert str(refused.value).startswith(str(source))
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.code == "M14"
    assert target.read_text() == "former"
    assert len(list(tmp_path.iterdir())) == 2


cells = st.sampled_from(
    ["history", "id", "1 2", "", "007", '"', '"a, b"', "[1]", '"[1, 2]"', "ü", "\0", "\r", "[" * 2000]
)
csv_lines = st.lists(cells, max_size=3).map(",".join)
csv_files = st.binary(max_size=40).map(lambda some: b"history\n" + some) | (
    st.lists(csv_lines, max_size=5).map("\n".join).map(str.encode)
)


@given(content=csv_files)
def test_any_csv_is_answered_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    try:
        count = recommend_file(Rising(), BatchJob(source, target, k=1))
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        assert not target.exists()
    else:
        assert len(read_answers(target)) == count


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_no_histories_gets_no_answers(tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    if suffix == "csv":
        source.write_text("history\n")
    else:
        pq.write_table(pa.table({"history": pa.array([], pa.list_(pa.int64()))}), source)
    assert recommend_file(Rising(), BatchJob(source, target)) == 0
    assert read_answers(target) == []


def test_a_mark_before_the_first_column_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbfhistory,id\r\n1 2,a\r\n\r\n,b\r\n")
    found = answered(tmp_path / "in.csv", tmp_path / "out.jsonl", k=1)
    assert [(answer["id"], answer["movie_id"]) for answer in found] == [("a", [3]), ("b", [1])]


def test_csv_is_read_from_a_pipe_and_parquet_is_not(tmp_path: Path) -> None:
    for name in ("in.csv", "in.parquet"):
        os.mkfifo(tmp_path / name)
    writer = threading.Thread(target=lambda: (tmp_path / "in.csv").write_text("history\n1\n"))
    writer.start()
    assert [answer["movie_id"] for answer in answered(tmp_path / "in.csv", tmp_path / "out.jsonl", k=1)] == [[2]]
    writer.join()
    with pytest.raises(InputError, match="in which Parquet can't be sought: name a file"):
        answered(tmp_path / "in.parquet", tmp_path / "out.jsonl")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_is_one_line_in_every_format(tmp_path: Path, suffix: str, capfd: Any) -> None:
    (tmp_path / "in.jsonl").write_text("[1]\n" * 20_000)
    (tmp_path / f"out.{suffix}").symlink_to("/dev/full")
    with pytest.raises(InputError, match="no space left on the disk"):
        recommend_file(Rising(), BatchJob(tmp_path / "in.jsonl", tmp_path / f"out.{suffix}"))
    assert capfd.readouterr().err == ""


def test_a_parquet_file_of_one_large_row_group_is_not_loaded_whole(tmp_path: Path) -> None:
    """As pandas writes it: a million rows in one group."""
    growth = []
    for rows in (5_000, 400_000):
        values = pa.array(np.random.default_rng(1).integers(1, 2**40, rows * 12))
        offsets = pa.array(np.arange(0, rows * 12 + 1, 12, dtype=np.int32))
        table = pa.table({"history": pa.ListArray.from_arrays(offsets, values)})
        pq.write_table(table, tmp_path / "in.parquet", row_group_size=rows, compression="none")
        code = (
            "import re, sys\nfrom pathlib import Path\n"
            "from data.releases.catalogue import Catalogue, Movie\nfrom serving.parquet_requests import read_parquet\n"
            "read = sum(1 for _ in read_parquet(Path(sys.argv[1]), Catalogue.of([Movie(1, 'A', 0, ())])))\n"
            "print(read, re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "in.parquet")],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        read, kib = map(int, done.stdout.split())
        assert read == rows
        growth.append(kib)
    # The larger file's lists take 38 MB.
    assert growth[1] - growth[0] < 15_000
