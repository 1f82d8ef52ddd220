"""Own data in a real object store, SeaweedFS, read by Arrow's own client."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from beam_servers import engine, flags
from pyarrow.fs import FileSelector, FileSystem
from seaweedfs import S3Store, running_store

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import engines  # noqa: E402

from data.errors import InputError  # noqa: E402
from data.examples.manifest import Manifest  # noqa: E402
from data.generate import generate  # noqa: E402
from data.options import GenerateOptions  # noqa: E402

pytestmark = [pytest.mark.engines, pytest.mark.slow]

BUCKET = "events"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    try:
        program = engines.find("weed")
    except engines.EngineUnavailableError as reason:
        pytest.skip(str(reason))
    with running_store(program, tmp_path_factory.mktemp("store"), BUCKET) as objects:
        yield objects


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    # The store asks for no keys, and Arrow's client looks for some.
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")


def write_parts(folder: Path) -> None:
    for part in range(3):
        with (folder / f"part-{part}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user", "item", "timestamp"])
            writer.writerows(
                [f"u{user}", f"i{item}", 10**9 + 60 * item] for user in range(part, 30, 3) for item in range(9)
            )


def made(folder: Path, pattern: str) -> Manifest:
    return generate(GenerateOptions(name="shop"), folder, interactions=pattern)


def test_files_in_an_object_store_give_the_examples_of_local_ones(store: S3Store, tmp_path: Path):
    write_parts(tmp_path)
    store.put(tmp_path / "part-0.csv", f"s3://{BUCKET}/raw/part-0.csv")
    store.put(tmp_path / "part-1.csv", f"s3://{BUCKET}/raw/part-1.csv")
    store.put(tmp_path / "part-2.csv", f"s3://{BUCKET}/raw/part-2.csv")
    client = f"scheme=http&endpoint_override={store.endpoint.removeprefix('http://')}"

    local = made(tmp_path / "local", str(tmp_path / "part-*.csv"))
    remote = made(tmp_path / "remote", f"s3://{BUCKET}/raw/part-?.csv?{client}")
    assert remote.shards == local.shards
    assert remote.source_digest == local.source_digest

    one = made(tmp_path / "one", f"s3://{BUCKET}/raw/part-1.csv?{client}")
    assert one.counts.users == 10
    for missing in ("raw/none.csv", "raw/none-*.csv", "none/*.csv"):
        with pytest.raises(InputError) as error:
            made(tmp_path / "none", f"s3://{BUCKET}/{missing}?{client}")
        assert error.value.code == "D23"


def test_a_store_that_does_not_answer_is_told_in_one_line(tmp_path: Path):
    client = "scheme=http&endpoint_override=localhost:9&connect_timeout=1&request_timeout=1"
    with pytest.raises(InputError, match="can't be read") as error:
        made(tmp_path / "none", f"s3://{BUCKET}/raw/part-1.csv?{client}")
    assert "\n" not in error.value.message


def test_workers_that_share_no_disk_generate_through_an_object_store_and_leave_nothing_there(
    store: S3Store, tmp_path: Path
):
    write_parts(tmp_path)
    options, files = GenerateOptions(name="shop", shards=3), str(tmp_path / "part-*.csv")
    expected = generate(options, tmp_path / "here", interactions=files)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    client = f"scheme=http&endpoint_override={store.endpoint.removeprefix('http://')}"
    with engine(hidden=hidden) as arguments:
        location = f"--temp_location=s3://{BUCKET}/temporary?{client}"
        found = generate(options, hidden / "made", interactions=files, beam_args=[*flags(arguments), location])
    assert found == expected
    system, folder = FileSystem.from_uri(f"s3://{BUCKET}/temporary?{client}")
    left = system.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
    assert [info.path for info in left if info.is_file] == []


def test_a_bucket_that_is_not_there_is_told_before_anything_runs(store: S3Store, tmp_path: Path):
    write_parts(tmp_path)
    client = f"scheme=http&endpoint_override={store.endpoint.removeprefix('http://')}"
    location = f"--temp_location=s3://nothing-here/temporary?{client}"
    with pytest.raises(InputError, match="s3://nothing-here/temporary can't be written: ") as error:
        generate(
            GenerateOptions(name="shop"),
            tmp_path / "made",
            interactions=str(tmp_path / "part-*.csv"),
            beam_args=["--runner=DirectRunner", location],
        )
    assert error.value.code == "F16"
