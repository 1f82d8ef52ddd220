"""People's own files: whatever their format, their number and their ids, the same events give the same examples."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from data_helpers import read_examples

from data.errors import InputError
from data.examples.manifest import Manifest
from data.generate import generate, run
from data.interactions.values import user_numbers
from data.options import GenerateOptions, parse_options
from data.releases.catalogue import CATALOGUE_FILE, Catalogue
from data.words import MOVIES

Event = tuple[object, object, int]
"""User, item and time in seconds."""

START = 1_600_000_000
HEADER = ("user_id", "item_id", "timestamp")


def events_of(users: list[object], items: list[object]) -> list[Event]:
    """Return nine events a user, of thirteen items: some at one time, none twice."""
    return [
        (user, items[place * (1 + number % 12) % len(items)], START + 1000 * number + 60 * (place // 2))
        for number, user in enumerate(users)
        for place in range(9)
    ]


TEXTS = events_of([f"u-{number}" for number in range(20)], ["", "UNK", "a,b", "Ünï", *(f"sku {n}" for n in range(9))])
INTEGERS = events_of(list(range(20)), [0, -7, 2**40, *range(3, 13)])


def options(**values: object) -> GenerateOptions:
    return parse_options({"name": "shop", "train_fraction": 0.7, **values})


def made(folder: Path, pattern: Path | str, items: Path | None = None, **values: object) -> Manifest:
    return generate(options(**values), folder, interactions=str(pattern), items=str(items) if items else None)


def contents(manifest: Manifest) -> list[tuple[str, str]]:
    return [(shard.name, shard.sha256) for shard in manifest.shards]


def write_csv(path: Path, events: list[Event], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([HEADER, *events])
    return path


def write_gzipped_tsv(path: Path, events: list[Event]) -> Path:
    plain = write_csv(path.with_suffix(".plain"), events, "\t")
    target = path.with_suffix(".tsv.gz")
    target.write_bytes(gzip.compress(plain.read_bytes()))
    return target


def write_json(path: Path, events: list[Event]) -> Path:
    rows = [json.dumps(dict(zip(HEADER, event, strict=True)) | {"other": None}) for event in events]
    target = path.with_suffix(".jsonl")
    target.write_text("\n".join(rows), encoding="utf-8")
    return target


def write_parquet(path: Path, events: list[Event]) -> Path:
    target = path.with_suffix(".parquet")
    columns = [pa.array(column) for column in zip(*events, strict=True)]
    pq.write_table(pa.table(columns, names=HEADER), target)
    return target


WRITERS: dict[str, Callable[[Path, list[Event]], Path]] = {
    "csv": write_csv,
    "tsv.gz": write_gzipped_tsv,
    "jsonl": write_json,
    "parquet": write_parquet,
}


@pytest.mark.parametrize("events", [TEXTS, INTEGERS], ids=["texts", "integers"])
def test_files_of_any_format_and_number_in_any_order_give_the_same_examples(tmp_path: Path, events: list[Event]):
    expected = contents(made(tmp_path / "one", write_csv(tmp_path / "all.csv", events)))
    chance = random.Random(5)  # noqa: S311 - nothing secret is drawn
    for name, write in WRITERS.items():
        for number in (1, 2, 16):
            shuffled = chance.sample(events, len(events))
            folder = tmp_path / f"{name}-{number}"
            folder.mkdir()
            for part in range(number):
                write(folder / f"part-{part}.csv", shuffled[part::number])
            pattern = folder / ("*.tsv.gz" if name == "tsv.gz" else f"part-*.{name}")
            assert contents(made(folder / "out", pattern)) == expected, (name, number)


@pytest.mark.parametrize(("events", "pad"), [(TEXTS, "<pad>"), (INTEGERS, -1)], ids=["texts", "integers"])
def test_ids_come_out_as_they_went_in_and_the_pad_is_none_of_them(tmp_path: Path, events: list[Event], pad: object):
    manifest = made(tmp_path / "out", write_csv(tmp_path / "all.csv", events))
    assert manifest.pad_movie_id == pad

    known = {item for _, item, _ in events}
    examples = [example for split in ("train", "eval") for example in read_examples(tmp_path / "out", split)]
    assert {example["label_movie_id"][0] for example in examples} <= known
    assert {movie for example in examples for movie in example["context_movie_id"]} == {*known, pad}
    assert all(
        list(example["context_movie_id"]).count(pad) == 10 - example["context_length"][0] for example in examples
    )


def test_a_releases_files_given_as_ones_own_make_the_releases_examples(tmp_path: Path, small_release: Path):
    # The release's file orders what has one time by movie, as own data are ordered.
    rows = list(csv.DictReader((small_release / "ratings.csv").open()))
    rows.sort(key=lambda row: (int(row["userId"]), int(row["timestamp"]), int(row["movieId"])))
    with (small_release / "ratings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    of_release = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "release", source=small_release)
    own = made(
        tmp_path / "own",
        small_release / "ratings.csv",
        small_release / "movies.csv",
        min_rating=2.0,
        train_fraction=0.9,
        words=MOVIES,
    )
    assert contents(own) == contents(of_release)
    titles = [Catalogue.load(tmp_path / name / CATALOGUE_FILE) for name in ("release", "own")]
    assert titles[0].titles == titles[1].titles
    assert titles[0].years.tolist() == titles[1].years.tolist()


@pytest.mark.parametrize(
    "spell",
    [
        lambda time: f"{time}",
        lambda time: f"{time}250",
        lambda time: f"{time}.5",
        lambda time: datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda time: datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S"),
        lambda time: datetime.fromtimestamp(time + 7200, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    ],
    ids=["seconds", "milliseconds", "fractions", "iso-utc", "iso-naive", "iso-offset"],
)
def test_times_in_seconds_milliseconds_and_iso_8601_are_the_same_times(tmp_path: Path, spell: Callable[[int], str]):
    expected = contents(made(tmp_path / "out", write_csv(tmp_path / "all.csv", TEXTS)))
    events = [(user, item, spell(time)) for user, item, time in TEXTS]
    assert contents(made(tmp_path / "again", write_csv(tmp_path / "spelt.csv", events))) == expected


def test_arrows_own_times_are_the_same_times(tmp_path: Path):
    expected = contents(made(tmp_path / "out", write_csv(tmp_path / "all.csv", TEXTS)))
    users, items, times = zip(*TEXTS, strict=True)
    for kind in (pa.timestamp("ms"), pa.timestamp("ns", tz="Europe/Berlin")):
        column = pa.array(times, pa.int64()).cast(pa.timestamp("s")).cast(kind)
        table = pa.table([pa.array(users).dictionary_encode(), pa.array(items), column], names=HEADER)
        pq.write_table(table, tmp_path / "times.parquet")
        assert contents(made(tmp_path / str(kind), tmp_path / "times.parquet")) == expected


def test_interactions_that_occur_again_are_kept_or_dropped_as_asked(tmp_path: Path, capsys):
    once = contents(made(tmp_path / "once", write_csv(tmp_path / "once.csv", TEXTS)))
    file = write_csv(tmp_path / "twice.csv", TEXTS + TEXTS[3:40])
    said: list[str] = []
    kept = generate(options(), tmp_path / "kept", interactions=str(file), progress=said.append)
    assert any("data.duplicates=drop" in line for line in said)
    assert kept.counts.train + kept.counts.eval == 20 * 8 + 37
    assert contents(made(tmp_path / "dropped", file, duplicates="drop")) == once


def test_items_name_what_they_list_and_interactions_name_the_rest(tmp_path: Path):
    items = tmp_path / "items.jsonl"
    rows = [{"sku": "", "name": "Nothing", "cat": ["x", "y"]}, {"sku": "new", "name": None, "cat": None}]
    items.write_text("\n".join(map(json.dumps, rows)))
    file = write_csv(tmp_path / "all.csv", TEXTS)
    header = file.read_text(encoding="utf-8").replace("item_id", "sku", 1)
    file.write_text(header, encoding="utf-8")
    made(tmp_path / "out", file, items, columns={"item": "sku", "genres": "cat"})
    catalogue = Catalogue.load(tmp_path / "out" / CATALOGUE_FILE)
    assert catalogue.movie("").title == "Nothing"
    assert catalogue.movie("").genres == ("x", "y")
    assert catalogue.title("new") == "new"
    assert catalogue.has("UNK")


def test_small_numbers_of_users_stand_for_themselves_however_they_are_spelt():
    assert user_numbers([7, "7", 0, 2**31 - 1]).tolist() == [7, 7, 0, 2**31 - 1]
    others = user_numbers([-1, 2**31, "007", "u", ""]).tolist()
    assert len({*others, 7}) == 6
    assert user_numbers(["u"]).dtype == np.uint64


GOOD = [f"{user},{item},{START + item}" for user in ("a", "b") for item in range(9)]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("who,item_id,timestamp", "a,1,1600000000", "all.csv has no column for user: name it by data.columns.user"),
        ("user_id,item_id,timestamp", "a,x,1600000000", "row 19: item 'x' is no integer as the ids before it"),
        ("user_id,item_id,timestamp", ",1,1600000000", "row 19: user is missing"),
        ("user_id,item_id,timestamp", "a,,1600000000", "row 19: item is missing"),
        ("user_id,item_id,timestamp", "a,1,", "row 19: timestamp is missing"),
        ("user_id,item_id,timestamp", "a,1,soon", "row 19: timestamp 'soon' is no time"),
        ("user_id,item_id,timestamp", "a,1,2020-13-40", "row 19: timestamp '2020-13-40' is no time"),
        ("user_id,item_id,timestamp", "a,1,9000000000", "row 19: timestamp '9000000000' is not between 1970 and today"),
        ("user_id,item_id,timestamp", "a,1,-5", "row 19: timestamp '-5' is not between 1970 and today"),
        ("user_id,item_id,timestamp", "a,1", "all.csv can't be read as CSV: "),
        ("user_id,item_id,timestamp", 'a,1,"1600000000', "row 19: timestamp '1600000000\\n' is no time"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_with_file_and_row(tmp_path: Path, header: str, row: str, message: str):
    file = tmp_path / "all.csv"
    file.write_text("\n".join([header, *GOOD, row]) + "\n")
    with pytest.raises(InputError) as error:
        made(tmp_path / "out", file, item_ids="integer")
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rating", "message"),
    [
        ("-1", "rating '-1' is no number of 0"),
        ("much", "rating 'much' is no number"),
        ("nan", "rating 'nan' is no"),
        ("", "rating is missing"),
    ],
)
def test_a_rating_is_a_number_of_zero_or_more(tmp_path: Path, rating: str, message: str):
    file = tmp_path / "all.csv"
    file.write_text("\n".join(["user,item,time,rating", *(f"{line},2.5" for line in GOOD), f"a,1,1600000000,{rating}"]))
    with pytest.raises(InputError, match=f"row 19: {message}"):
        made(tmp_path / "out", file)


def test_the_highest_rating_is_the_schemas(tmp_path: Path):
    file = tmp_path / "all.csv"
    file.write_text("\n".join(["user,item,time,rating", *(f"{line},{place}" for place, line in enumerate(GOOD))]))
    assert made(tmp_path / "out", file).max_rating == 17.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("all.txt", b"", "all.txt is of no known format: its name has to end in .csv"),
        ("all.parquet", b"user,item,time\n", "can't be read as Parquet"),
        ("all.jsonl", b"{]\n", "can't be read as JSON lines"),
        ("all.jsonl", b"[1, 2]\n", "can't be read as JSON lines: a line is no object"),
        ("all.csv.gz", b"user,item,time\n", "can't be read as CSV"),
        ("all.csv", b"user,item,time\n", "holds no interactions"),
        ("all.csv", b"", "can't be read as CSV"),
        ("all.csv.gz", gzip.compress(b"user,item,time\na,b,1600000000\n" * 500, mtime=0)[:-30], "can't be read as CSV"),
        ("all.jsonl", b'{"user": "' + b"x" * (17 << 20), "all.jsonl holds a line of more than"),
        ("all.jsonl", '{"user": "x"}\n'.encode("utf-16"), "all.jsonl is UTF-16 text"),
        ("all.jsonl", b'{"user": 1, "item": 2, "time": NaN}\n', "row 1: timestamp nan is not between 1970 and today"),
        ("all.csv", "user,item,time\nü,1,1600000000\n".encode("utf-16"), "can't be read as CSV"),
        ("all.csv", b"user,item,time\na,\xff,1600000000\n", "can't be read as CSV"),
    ],
)
def test_a_file_of_another_kind_is_told_in_one_line(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        made(tmp_path / "out", tmp_path / name)
    assert message in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("pattern", ["none.csv", "none-*.parquet", "s3:/x.csv"])
def test_files_that_are_not_there_are_told(tmp_path: Path, pattern: str):
    with pytest.raises(InputError, match="there is no file"):
        made(tmp_path / "out", tmp_path / pattern)


GOOGLE = "scheme=http&endpoint_override=localhost:9&retry_limit_seconds=1"
"""A store that doesn't answer, asked by Arrow's client of Google Cloud Storage: no more than this client was tried."""


@pytest.mark.parametrize("address", ["gs://anonymous@bucket/raw/part.csv", "gs://anonymous@bucket/raw/*.csv"])
def test_an_address_of_google_cloud_storage_is_asked_by_arrows_client(tmp_path: Path, address: str):
    assert isinstance(pafs.FileSystem.from_uri(f"{address}?{GOOGLE}")[0], pafs.GcsFileSystem)
    with pytest.raises(InputError, match="can't be read") as error:
        made(tmp_path / "out", f"{address}?{GOOGLE}")
    assert error.value.code == "D23"
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either `release`, or `name`"),
        ({"release": "ml-1m", "name": "shop"}, "either `release`, or `name`"),
        ({"name": "ml-1m"}, "is a MovieLens release"),
        ({"name": "a--b"}, "pattern"),
        ({"release": "ml-1m", "duplicates": "drop"}, "`duplicates` is for data of your own"),
        ({"release": "ml-1m", "min_rating": 5.5}, "no rating has more than 5 stars"),
        ({"name": "shop", "columns": {"who": "x"}}, "columns.who"),
    ],
)
def test_options_are_of_a_release_or_of_own_data(values: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        parse_options(values)


def test_of_own_data_no_interaction_is_left_out_for_its_rating_unless_asked():
    assert options().min_rating == 0.0
    assert options(min_rating=3.0).min_rating == 3.0


def test_the_command_takes_files_names_and_columns(tmp_path: Path, capsys):
    file = write_csv(tmp_path / "all.csv", TEXTS)
    file.write_text(file.read_text(encoding="utf-8").replace("user_id", "who", 1), encoding="utf-8")
    arguments = ["--interactions", str(file), "--name", "shop", "--output", str(tmp_path / "out")]
    assert run(arguments) == 2
    assert "has no column for user" in capsys.readouterr().err
    assert run([*arguments, "--column", "user=who"]) == 0
    assert capsys.readouterr().out.startswith("shop, split random: 144 train and 16 eval examples")
    assert run([*arguments, "--release", "ml-1m"]) == 2
    assert "either `release`, or `name`" in capsys.readouterr().err
    assert run(["--name", "shop", "--output", str(tmp_path / "out")]) == 2
    assert "pass --interactions" in capsys.readouterr().err


def test_a_text_among_integers_of_an_earlier_file_is_told_with_what_to_set(tmp_path: Path):
    for name, item in (("part-1.csv", 5), ("part-2.csv", "x")):
        write_csv(tmp_path / name, [("a", item, START)])
    with pytest.raises(InputError, match=r"part-2.csv row 1: item 'x' is no integer .* set data.item_ids to text"):
        made(tmp_path / "out", tmp_path / "part-*.csv")
    with pytest.raises(InputError, match="no example is left"):
        made(tmp_path / "out", tmp_path / "part-*.csv", item_ids="text")


@pytest.mark.parametrize("own", [True, False], ids=["own", "release"])
def test_what_is_wrong_at_the_beginning_is_told_before_the_rest_is_read(
    tmp_path: Path, small_release: Path, own: bool, monkeypatch: pytest.MonkeyPatch
):
    def read_all(*_: object) -> str:
        raise AssertionError("all of it is read")

    monkeypatch.setattr("data.interactions.reading.content_digest", read_all)
    monkeypatch.setattr("data.releases.reading.source_digest", read_all)
    ratings = small_release / "ratings.csv"
    ratings.write_text(ratings.read_text().replace("userId", "who", 1))
    with pytest.raises(InputError, match="no column for user" if own else "the header is"):
        if own:
            made(tmp_path / "out", ratings)
        else:
            generate(GenerateOptions(release="ml-latest-small"), tmp_path / "out", source=small_release)


def test_values_that_a_tables_dictionary_holds_and_no_row_are_no_items(tmp_path: Path):
    expected = made(tmp_path / "plain", write_csv(tmp_path / "all.csv", INTEGERS))
    users, items, times = zip(*INTEGERS, strict=True)
    listed = sorted(set(items))
    places = pa.array([listed.index(item) for item in items], pa.int32())
    column = pa.DictionaryArray.from_arrays(places, pa.array([str(item) for item in listed] + ["no item"]))
    pq.write_table(pa.table([pa.array(users), column, pa.array(times)], names=HEADER), tmp_path / "all.parquet")
    found = made(tmp_path / "dictionary", tmp_path / "all.parquet")
    assert contents(found) == contents(expected)
    assert found.counts.movies == len(listed)


def test_the_real_ml_latest_small_given_as_ones_own_makes_the_releases_examples(
    ml_latest_small_folder: Path, tmp_path: Path
):
    folder = ml_latest_small_folder
    of_release = generate(GenerateOptions(release="ml-latest-small"), tmp_path / "release", source=folder)
    values = {"min_rating": 2.0, "train_fraction": 0.9}
    own = made(tmp_path / "own", folder / "ratings.csv", folder / "movies.csv", **values)
    assert contents(own) == contents(of_release)
    assert own.catalogue_sha256 == of_release.catalogue_sha256


def test_a_user_with_very_many_events_breaks_nothing(tmp_path: Path):
    number = 300_000
    items = np.random.default_rng(0).integers(0, 500, number)
    users = np.append(np.full(number - 3, 7), [8, 8, 8])
    table = pa.table([pa.array(users), pa.array(items), pa.array(10**9 + np.arange(number))], names=HEADER)
    pq.write_table(table, tmp_path / "all.parquet")
    counts = made(tmp_path / "out", tmp_path / "all.parquet").counts
    assert (counts.users, counts.train + counts.eval) == (2, number - 2)


def test_an_item_that_is_listed_twice_is_told(tmp_path: Path):
    items = tmp_path / "items.csv"
    items.write_text('item,title\n"a,b",Nothing\nUNK,Unknown\n"a,b",Again\n')
    with pytest.raises(InputError, match=r"items.csv: item 'a,b' is listed a second time"):
        made(tmp_path / "out", write_csv(tmp_path / "all.csv", TEXTS), items)


def test_an_item_that_no_list_names_is_called_by_its_id_and_the_data_sets_word(tmp_path: Path):
    made(tmp_path / "out", write_csv(tmp_path / "all.csv", INTEGERS), words={"one": "article", "many": "articles"})
    catalogue = Catalogue.load(tmp_path / "out" / CATALOGUE_FILE)
    assert catalogue.titles[0] == f"article {catalogue.ids[0]}"
