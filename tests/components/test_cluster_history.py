from __future__ import annotations

from pathlib import Path

import pytest

from data.identity import DataIdentity

pytestmark = pytest.mark.slow


DATA = DataIdentity(data_set="sample", source_digest="a", options={"split": "random", "seed": 42})
OTHER = DATA.model_copy(update={"source_digest": "b"})


def statistics(folder: Path, content: str) -> Path:
    path = folder / "Split-train" / "FeatureStats.pb"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return folder


def test_without_earlier_runs_nothing_is_found(tmp_path: Path):
    from components.history.cluster_history import find_other

    assert find_other(statistics(tmp_path / "now", "a"), tmp_path / "kept", DATA) is None


def test_the_newest_other_statistics_are_found(tmp_path: Path):
    from components.history.cluster_history import find_other, keep

    runs = [statistics(tmp_path / name, name) for name in ("first", "second", "third")]
    for run in runs[:2]:
        keep(run, tmp_path / "kept", DATA)
    found = find_other(runs[2], tmp_path / "kept", DATA)
    assert (found / "Split-train" / "FeatureStats.pb").read_text() == "second"


def test_statistics_are_never_compared_with_themselves(tmp_path: Path):
    from components.history.cluster_history import find_other, keep

    first, second = (statistics(tmp_path / name, name) for name in ("first", "second"))
    keep(first, tmp_path / "kept", DATA)
    keep(second, tmp_path / "kept", DATA)
    found = find_other(second, tmp_path / "kept", DATA)
    assert (found / "Split-train" / "FeatureStats.pb").read_text() == "first"


def test_keeping_again_what_is_kept_changes_nothing(tmp_path: Path):
    from components.history.cluster_history import keep

    run = statistics(tmp_path / "run", "a")
    keep(run, tmp_path / "kept", DATA)
    keep(run, tmp_path / "kept", DATA)
    assert [path.name[:7] for path in (tmp_path / "kept").iterdir()] == ["000001-"]


def test_the_tenth_and_later_runs_stay_in_order(tmp_path: Path):
    from components.history.cluster_history import find_other, keep

    for number in range(12):
        keep(statistics(tmp_path / str(number), str(number)), tmp_path / "kept", DATA)
    found = find_other(statistics(tmp_path / "now", "now"), tmp_path / "kept", DATA)
    assert (found / "Split-train" / "FeatureStats.pb").read_text() == "11"


def test_an_unfinished_copy_is_not_found(tmp_path: Path):
    from components.history.cluster_history import find_other

    statistics(tmp_path / "kept" / ".staging-1", "half")
    assert find_other(statistics(tmp_path / "now", "a"), tmp_path / "kept", DATA) is None


def test_statistics_of_another_data_identity_are_not_found(tmp_path: Path):
    from components.history.cluster_history import find_other, keep

    first, second, third = (statistics(tmp_path / name, name) for name in ("first", "second", "third"))
    keep(first, tmp_path / "kept", DATA)
    keep(second, tmp_path / "kept", OTHER)
    found = find_other(third, tmp_path / "kept", DATA)
    assert (found / "Split-train" / "FeatureStats.pb").read_text() == "first"


def test_statistics_that_an_earlier_version_kept_do_not_tell_their_data_and_are_not_found(tmp_path: Path):
    from components.history.cluster_history import find_other

    statistics(tmp_path / "kept" / "000001-digest", "first")
    assert find_other(statistics(tmp_path / "now", "now"), tmp_path / "kept", DATA) is None


def test_equal_statistics_of_two_data_identities_are_kept_for_each(tmp_path: Path):
    from components.history.cluster_history import keep

    run = statistics(tmp_path / "run", "a")
    for data in (DATA, OTHER, DATA):
        keep(run, tmp_path / "kept", data)
    assert [path.name[:7] for path in sorted((tmp_path / "kept").iterdir())] == ["000001-", "000002-"]
