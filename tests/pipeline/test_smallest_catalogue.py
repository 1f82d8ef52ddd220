"""A whole run on the smallest catalogue that there can be: one movie, watched again and again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from forked_runs import check_in_a_fork

import local_runner
from serving.newest_model import newest_model
from serving.recommender import Recommender

pytestmark = pytest.mark.slow

SETTINGS = {
    "name": "smallest",
    "data": {"release": "ml-latest-small"},
    "model": {"embedding_dim": 8, "gru_reads": 2},
    "training": {"epochs": 1, "batch_size": 64},
    # No model is better than popularity where all recommend the one movie.
    "model_gate": {"min_recall_at_10_lift": 0},
}


def write_release(folder: Path, *, times_each: int) -> Path:
    folder.mkdir()
    (folder / "movies.csv").write_text("movieId,title,genres\n7,The Only One (1999),Drama\n", encoding="utf-8")
    rows = [f"{user},7,4.0,{10**9 + 100 * user + time}\n" for user in range(1, 61) for time in range(times_each)]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(rows), encoding="utf-8")
    return folder


def run(tmp_path: Path, release: Path) -> int:
    config = tmp_path / "smallest.yaml"
    config.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    arguments = ["--config", str(config), "--source", str(release), "--work-dir", str(tmp_path / "runs")]
    with check_in_a_fork():
        return local_runner.main(arguments)


def test_a_model_of_one_movie_is_published_and_recommends_it_to_whom_it_is_new(tmp_path, capsys):
    code = run(tmp_path, write_release(tmp_path / "release", times_each=6))

    said = capsys.readouterr()
    assert (code, said.err) == (0, ""), said.out
    # No label can be offered: each query's context holds it.
    assert re.search(r"recall@100 +0\.0000 +0\.0000 +0\.0000", said.out)
    recommender = Recommender.load(newest_model(tmp_path / "runs" / "serving"))
    assert [movie.movie_id for movie in recommender.recommend([], k=10)] == [7]
    assert recommender.recommend([7], k=10) == []


def test_a_movie_that_everybody_rated_once_makes_no_example_which_is_said_in_one_line(tmp_path, capsys):
    code = run(tmp_path, write_release(tmp_path / "release", times_each=1))

    assert code == 2
    assert capsys.readouterr().err == "error: no example is left: no user has 3 ratings of at least 2 stars [C09]\n"
