"""`history.py forget` takes a user out of the spans of a work directory."""

from __future__ import annotations

from pathlib import Path

import history
from data.options import GenerateOptions
from data.releases.sample import write_sample_release
from data.spans.series import list_spans, read_events, span_folder
from data.spans.writing import write_spans

NAME = "next-movie-rolling-sample-random"


def events_of(series: Path, user: int) -> int:
    tables = [read_events(span_folder(series, number)) for number in list_spans(series)]
    return sum(table.column("user_id").to_pylist().count(user) for table in tables)


def test_the_events_of_a_user_are_gone_from_all_spans_and_those_of_others_stay(tmp_path, capsys):
    release = tmp_path / "release"
    release.mkdir()
    write_sample_release(release)
    series = tmp_path / "work" / "data" / NAME
    write_spans(GenerateOptions(release="sample"), series, by="year", source=release)
    metadata = tmp_path / "work" / "pipelines" / NAME / "metadata.sqlite"
    metadata.parent.mkdir(parents=True)
    metadata.touch()
    user, another = 7, 8
    held, others = events_of(series, user), events_of(series, another)
    assert held > 0

    assert history.main(["forget", "--user", str(user), "--work-dir", str(tmp_path / "work")]) == 0
    assert f"{held} events of user {user} taken out of spans" in capsys.readouterr().out
    assert events_of(series, user) == 0
    assert events_of(series, another) == others

    assert history.main(["forget", "--user", str(user), "--work-dir", str(tmp_path / "work")]) == 0
    assert f"no span holds events of user {user}" in capsys.readouterr().out
