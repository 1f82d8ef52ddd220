from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import recommend
from data.errors import InputError
from serving.batch_inference import recommend_file
from serving.batch_job import BatchJob
from serving.newest_model import newest_model
from serving.recommender import Recommender

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def recommender(sample_run: Any) -> Recommender:
    return Recommender.load(sample_run.model)


@pytest.fixture
def ask(sample_run: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command on the published model; return its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = recommend.main(["--model", str(sample_run.model), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def first_ids(recommender: Recommender, count: int) -> list[int]:
    return recommender.catalogue.ids[:count].tolist()


def test_a_history_is_answered_with_rank_title_year_genres_and_score(ask: Any, recommender: Recommender) -> None:
    history = first_ids(recommender, 3)

    code, out, _ = ask("--history", ",".join(map(str, history)), "-k", "2")

    best = recommender.recommend(history, k=2)[0]
    line = next(line for line in out.splitlines() if best.title in line)
    assert code == 0
    assert line.split()[0] == "1"
    assert f"{best.score:.3f}" in line
    assert all(genre in line for genre in best.genres)


def test_json_holds_the_same_answer_for_programs(ask: Any, recommender: Recommender) -> None:
    history = first_ids(recommender, 4)

    code, out, _ = ask("--history", " ".join(map(str, history)), "-k", "5", "--json")

    answered = json.loads(out)
    assert code == 0
    assert [movie["movie_id"] for movie in answered] == [movie.movie_id for movie in recommender.recommend(history, 5)]
    assert [movie["rank"] for movie in answered] == [1, 2, 3, 4, 5]


def test_titles_are_found_despite_case_and_a_slip_of_the_finger(ask: Any, recommender: Recommender) -> None:
    movies = [recommender.catalogue.movie(movie_id) for movie_id in first_ids(recommender, 2)]
    typed = "; ".join(movie.title.partition(" (")[0].upper() for movie in movies)

    _, by_title, _ = ask("--history-titles", typed, "--json")
    _, by_id, _ = ask("--history", ",".join(str(movie.id) for movie in movies), "--json")

    assert json.loads(by_title) == json.loads(by_id)


def test_an_ambiguous_title_is_refused_and_the_choices_are_listed(ask: Any) -> None:
    code, out, err = ask("--history-titles", "The Amber")

    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.count("The Amber ") >= 4


def test_a_title_like_none_is_refused(ask: Any) -> None:
    code, _, err = ask("--history-titles", "Zzyzx Qwfpg")

    assert code == 2
    assert "Zzyzx Qwfpg" in err


def test_seen_movies_are_offered_only_when_asked_for(ask: Any, recommender: Recommender) -> None:
    history = recommender.catalogue.ids[:60].tolist()
    text = ",".join(map(str, history))

    _, without, _ = ask("--history", text, "-k", "100", "--json")
    _, with_seen, _ = ask("--history", text, "-k", "100", "--json", "--include-seen")

    assert not {movie["movie_id"] for movie in json.loads(without)} & set(history)
    assert {movie["movie_id"] for movie in json.loads(with_seen)} & set(history)


def test_similar_movies_leave_the_movie_itself_out(ask: Any, recommender: Recommender) -> None:
    movie = recommender.catalogue.movie(first_ids(recommender, 1)[0])

    _, by_id, _ = ask("--similar-to", str(movie.id), "--json")
    _, by_title, _ = ask("--similar-to", movie.title, "--json")

    assert json.loads(by_id) == json.loads(by_title)
    assert movie.id not in {other["movie_id"] for other in json.loads(by_id)}


def test_an_unknown_id_is_passed_over_and_said(ask: Any, recommender: Recommender) -> None:
    known = first_ids(recommender, 1)[0]

    code, with_unknown, err = ask("--history", f"999999,{known}", "--json")
    _, without, _ = ask("--history", str(known), "--json")

    assert code == 0
    assert "999999" in err
    assert json.loads(with_unknown) == json.loads(without)


def test_an_empty_history_is_answered_by_popularity(ask: Any) -> None:
    code, out, _ = ask("--history", "")

    assert code == 0
    assert "popular" in out


@pytest.mark.parametrize("text", ["1,two", "-3", "1.5", "9" * 30, "²"])
def test_a_history_that_holds_no_ids_is_refused_in_one_line(ask: Any, text: str) -> None:
    code, _, err = ask("--history", text) if not text.startswith("-") else ask(f"--history={text}")

    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--history", "1", "-k", "0"],
        ["--history", "1", "-k", "101"],
        ["--history", "1", "--similar-to", "2"],
        ["--batch", "file.jsonl"],
        ["--history", "1", "--titles"],
        [],
    ],
    ids=["k-too-small", "k-too-large", "two-questions", "no-output", "titles-without-a-batch", "no-question"],
)
def test_arguments_that_make_no_sense_end_with_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        recommend.parse_arguments(arguments)
    assert exit_.value.code == 2


def test_a_folder_without_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = recommend.main(["--model", str(tmp_path), "--history", "1"])

    assert code == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_the_newest_model_is_the_last_published_of_all_pipelines(tmp_path: Path) -> None:
    for name, version in (("b", 1), ("a", 9), ("a", 10), ("b", 2)):
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").touch()
        time.sleep(0.02)
    (tmp_path / "a" / "11").mkdir()

    assert newest_model(tmp_path) == tmp_path / "b" / "2"


def test_without_any_published_model_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="local_runner"):
        newest_model(tmp_path / "nothing")


@pytest.fixture
def one_known(recommender: Recommender) -> str:
    return str(first_ids(recommender, 1)[0])


def test_ids_that_the_model_does_not_know_are_named_and_the_known_ones_answered(ask: Any, one_known: str) -> None:
    code, out, err = ask("--history", f"777001,{one_known},777002", "-k", "2")
    assert code == 0
    assert err == "not known to the model, and passed over: 777001, 777002\n"
    assert out.startswith("Watched ")


def test_of_many_unknown_ids_ten_are_named(ask: Any) -> None:
    code, out, err = ask("--history", ",".join(str(777000 + place) for place in range(20_000)), "-k", "2")
    assert code == 0
    assert err.startswith("not known to the model, and passed over: 777000, 777001, ")
    assert err.endswith("777009 and 19990 more\n")
    assert out.startswith("Nothing known: what is popular\n")


def test_nothing_is_similar_to_a_movie_that_the_model_does_not_know(ask: Any, sample_run: Any) -> None:
    code, out, err = ask("--similar-to", "777001")
    assert (code, out) == (2, "")
    assert err == f"error: the model in {sample_run.model} knows no movie 777001: train never showed it [M16]\n"


def test_a_history_may_begin_with_a_negative_id_and_is_refused_as_one(ask: Any) -> None:
    assert ask("--history", "-1,5")[2] == "error: '-1' in --history is no id; titles go into --history-titles [A07]\n"


def test_a_pipeline_is_chosen_by_name(sample_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline, root = sample_run.model.parent.name, sample_run.model.parent.parent
    for options in (["--model", str(root)], ["--model", str(root), "--pipeline", pipeline]):
        assert recommend.main([*options, "--history", "2", "-k", "1"]) == 0
        assert capsys.readouterr().out.endswith(f"by {sample_run.model}\n")
    assert recommend.main(["--model", str(root), "--pipeline", "other", "--history", "2"]) == 2
    assert f"holds no pipeline 'other': it holds {pipeline} [M02]" in capsys.readouterr().err


def test_a_title_of_another_data_set_leads_to_the_models_that_are_there(
    sample_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        shutil.copytree(sample_run.model, tmp_path / name / "1")
    assert recommend.main(["--model", str(tmp_path / "first"), "--similar-to", "Toy Story"]) == 2
    assert capsys.readouterr().err == (
        f"error: no title in the catalogue is like 'Toy Story'; the model asked is {tmp_path}/first/1; "
        "other models are there: --pipeline second [M11]\n"
    )
    history = ["--history", "2", "-k", "1"]
    for given in (tmp_path / "first", tmp_path / "first" / "1", tmp_path):
        assert recommend.main(["--model", str(given), "--pipeline", "second", *history]) == 0
        assert capsys.readouterr().out.endswith(f"by {tmp_path}/second/1\n")
    assert recommend.main(["--model", str(tmp_path / "first" / "1"), "--pipeline", "first", *history]) == 0
    assert capsys.readouterr().out.endswith(f"by {tmp_path}/first/1\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--history", "Heat"],
        ["--history-titles", "No Such Title At All"],
        ["--similar-to", "No Such Title At All"],
        ["--batch", "{folder}/in.jsonl", "--output", "{folder}/out.jsonl"],
        ["--batch", "{folder}/in.csv", "--output", "{folder}/out.jsonl"],
        ["--batch", "{folder}/in.parquet", "--output", "{folder}/out.jsonl"],
        ["--model", "{folder}", "--history", "2"],
    ],
    ids=["history", "titles", "similar", "batch", "batch-in-csv", "batch-in-parquet", "model"],
)
def test_a_wrong_question_is_refused_before_tensorflow_is_imported(
    sample_run: Any, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "in.jsonl").write_text("[2]\n{}\n")
    (tmp_path / "in.csv").write_text("history\n2\nHeat\n")
    (tmp_path / "in.parquet").write_text("history\n")
    given = ["--model", str(sample_run.model), *(option.format(folder=tmp_path) for option in options)]
    code = (
        "import sys, recommend\n"
        f"ended = recommend.main({given!r})\n"
        "assert ended == 2 and 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1


def test_a_batch_file_is_answered_as_its_histories_one_by_one(
    ask: Any, recommender: Recommender, tmp_path: Path
) -> None:
    ids = recommender.catalogue.ids.tolist()
    histories = [ids[start : start + start % 7] for start in range(300)]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"history": each, "id": f"u{n}"}) + "\n" for n, each in enumerate(histories)))

    code, out, _ = ask("--batch", str(source), "--output", str(target), "-k", "3")

    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert code == 0
    assert "300 histories" in out
    assert [answer["id"] for answer in answers] == [f"u{number}" for number in range(300)]
    for number in (0, 5, 299):
        expected = recommender.recommend(histories[number], k=3)
        assert answers[number]["movie_id"] == [movie.movie_id for movie in expected]
        assert answers[number]["score"] == pytest.approx([movie.score for movie in expected], abs=1e-4)


def test_a_batch_file_is_answered_with_titles_on_request(ask: Any, recommender: Recommender, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,history\n007,8 2\n")

    assert (
        ask("--batch", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.csv"), "--titles", "-k", "2")[0] == 0
    )

    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = recommender.recommend([8, 2], k=2)
    assert [(row["id"], row["rank"], row["title"]) for row in rows] == [
        ("007", str(movie.rank), movie.title) for movie in expected
    ]


@pytest.mark.parametrize(
    "line", ["not json", '{"history": "1,2"}', '{"history": [1.5]}', '{"history": [true]}', "{}", '{"history": [-1]}']
)
def test_a_bad_line_is_named_and_leaves_no_output(recommender: Recommender, tmp_path: Path, line: str) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(f"[1, 2]\n\n{line}\n")

    with pytest.raises(InputError, match="line 3"):
        recommend_file(recommender, BatchJob(source, target))
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_first_answer_takes_less_than_ten_seconds_and_no_tfx(sample_run: Any) -> None:
    script = (
        "import sys, resource, recommend\n"
        f"code = recommend.main(['--model', {str(sample_run.model)!r}, '--history', '2,3', '--json'])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "heavy = [name for name in ('tfx', 'apache_beam', 'tensorflow_transform') if name in sys.modules]\n"
        "print([code, used.ru_utime + used.ru_stime, heavy], file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    code, seconds, heavy = json.loads(ended.stderr.strip().splitlines()[-1].replace("'", '"'))
    assert code == 0
    assert heavy == []
    # Of the processor, since tests share the machine: on a quiet one it is the time on the clock.
    assert seconds < 10
    assert len(json.loads(ended.stdout)) == 10
