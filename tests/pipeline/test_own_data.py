"""A shop's own events, with texts for ids, from the file to a published model and its answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from forked_runs import check_in_a_fork
from shop import COLUMNS, sku, write_shop

import inspect_data
import local_runner
import recommend

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {
    "name": "small",
    "data": {"columns": COLUMNS, "words": {"one": "article", "many": "articles", "taken": "bought"}},
    "model": {"embedding_dim": 32, "dropout": 0.1},
    "training": {"epochs": 6, "batch_size": 256},
}
ASK = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
asked = {name: signature.structured_input_signature[1] for name, signature in model.signatures.items()}
types = {name: sorted(spec.dtype.name for spec in inputs.values()) for name, inputs in asked.items()}
histories = json.loads(sys.argv[2])
answers = model.signatures["serving_default"](context_movie_id=tf.constant(histories))
print(json.dumps({
    "types": types,
    "movie_id": [[movie.decode() for movie in row] for row in answers["movie_id"].numpy().tolist()],
    "score": answers["score"].numpy().tolist(),
}))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    events, articles = write_shop(folder)
    config = folder / "small.yaml"
    config.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    runs = folder / "runs"
    arguments = ["--config", str(config), "--interactions", str(events), "--items", str(articles), "--name", "shop"]
    with check_in_a_fork():
        assert local_runner.main([*arguments, "--work-dir", str(runs)]) == 0
    return runs


@pytest.fixture(scope="module")
def model(runs: Path) -> Path:
    return runs / "serving" / "next-movie-small--shop" / "1"


def test_the_published_model_takes_and_gives_the_shops_own_ids_as_bytes(model: Path):
    known = ["", "UNK", "a,b", sku(9)]
    pad = json.loads((model / "assets.extra" / "export.json").read_text())["pad_movie_id"]
    histories = [[*known], [known[0], *[pad] * 3], ["no such", pad, known[0], pad], [pad] * 4]
    # In a fresh interpreter, which knows no operation or class of this project's.
    command = [sys.executable, "-c", ASK, str(model), json.dumps(histories)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=240).stdout)

    assert answer["types"] == {
        "serving_default": ["string"],
        "include_seen": ["string"],
        # The history, two lists of ids and two of genres; whether to offer what was seen; two years.
        "filtered": ["bool", "int64", "int64", *["string"] * 5],
        "similar": ["string"],
        "evaluate": ["string"],
    }
    first, one, gappy, nothing = answer["movie_id"]
    catalogue = [json.loads(line)["id"] for line in (model / "assets.extra" / "catalogue.jsonl").open()]
    assert pad == "<pad>"
    assert pad not in catalogue
    assert set(first) <= set(catalogue) - set(known)
    # The empty text is an article like any other: it is read, and left out of the answer.
    assert one == gappy
    assert "" not in one
    assert answer["score"][1] != answer["score"][3]
    assert "" in nothing


def test_the_commands_ask_it_by_id_and_by_title(model: Path, tmp_path: Path, capsys):
    assert recommend.main(["--model", str(model), "--history", '["", "a,b"]', "-k", "3", "--json"]) == 0
    by_list = json.loads(capsys.readouterr().out)
    assert all(movie["movie_id"].startswith("SKU-") or movie["movie_id"] == "UNK" for movie in by_list)
    (tmp_path / "asked.jsonl").write_text('{"history": ["", "a,b"], "id": 7}\n')
    batch = ["--batch", str(tmp_path / "asked.jsonl"), "--output", str(tmp_path / "answers.jsonl")]
    assert recommend.main(["--model", str(model), *batch, "-k", "3"]) == 0
    answered = json.loads((tmp_path / "answers.jsonl").read_text())
    assert answered["movie_id"] == [movie["movie_id"] for movie in by_list]
    capsys.readouterr()
    assert recommend.main(["--model", str(model), "--similar-to", sku(9), "-k", "2"]) == 0
    assert capsys.readouterr().out.startswith("Like Article ")
    assert recommend.main(["--model", str(model), "--history", "nothing,like,it", "-k", "2"]) == 0
    assert "passed over: nothing, like, it" in capsys.readouterr().err


def test_a_history_of_integers_is_no_history_of_the_shop(model: Path, tmp_path: Path, capsys):
    (tmp_path / "asked.jsonl").write_text('{"history": [1, 2]}\n')
    batch = ["--batch", str(tmp_path / "asked.jsonl"), "--output", str(tmp_path / "answers.jsonl")]
    assert recommend.main(["--model", str(model), *batch]) == 2
    assert 'is no history: write {"history": ["a1", "b2"]}' in capsys.readouterr().err


def test_the_report_names_the_data_set_and_its_articles(runs: Path):
    page = (runs / "pipelines" / "next-movie-small--shop-random" / "report.html").read_text(encoding="utf-8")
    assert "The data set shop" in page
    assert "GroupLens" not in page
    assert "Article The" in page


def seen(page: str) -> str:
    """Return what a page shows to people, without scripts, the list of all settings and names of features."""
    for hidden in (r"<(style|script)\b.*?</\1>", r"<pre\b.*?</pre>", r"<[^>]*>", r"\b(context|label)[_ ]movie[_ ]\w+"):
        page = re.sub(hidden, " ", page, flags=re.DOTALL)
    return page.replace("next-movie-retrieval", "").replace("next-movie-small", "")


def test_people_read_of_articles_and_never_of_movies(model: Path, runs: Path, tmp_path: Path, capsys):
    report = (runs / "pipelines" / "next-movie-small--shop-random" / "report.html").read_text(encoding="utf-8")
    assert inspect_data.main(["show", "--work-dir", str(runs), "--html", str(tmp_path / "page.html")]) == 0
    assert recommend.main(["--model", str(model), "--history", '["", "a,b"]', "-k", "3"]) == 0
    assert recommend.main(["--model", str(model), "--history", "[]", "-k", "3"]) == 0
    printed = re.sub(r"(context|label)_movie_\w+|next-movie-small\S*", "", capsys.readouterr().out)
    assert "Bought Article" in printed
    assert "Nothing bought: what is popular" in printed
    for text in (seen(report), seen((tmp_path / "page.html").read_text(encoding="utf-8")), printed):
        assert re.search(r"\b[Aa]rticles?\b", text)
        assert re.findall(r".{,20}\b(?:[Mm]ovies?|[Ww]atched|[Ss]tars)\b.{,20}", text) == []


def test_another_data_set_has_another_pipeline_and_serving_folder(tmp_path: Path):
    from pipeline.local import OwnData, choose_settings

    names = set()
    for data_set in ("shop", "shop-2", "small"):
        settings = choose_settings(None, None, None, None, ["name=small"], OwnData("x.csv", None, data_set))
        names |= {settings.pipeline_name, settings.serving_name}
    assert len(names) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--interactions", "x.csv"], "--name is missing"),
        (["--name", "shop"], "pass --interactions"),
        (["--interactions", "x.csv", "--name", "shop", "--release", "ml-1m"], "leave out --release"),
        (["--interactions", "none.csv", "--name", "shop"], "there is no file none.csv"),
        (["--interactions", "x.csv", "--name", "Shop"], "`data.name` is 'Shop'"),
        (["--interactions", "x.csv", "--name", "sample"], "is a MovieLens release"),
    ],
)
def test_own_data_have_files_and_a_name(tmp_path: Path, arguments: list[str], message: str, capsys):
    assert local_runner.main([*arguments, "--work-dir", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_on_a_cluster_own_data_need_a_data_root():
    from data.errors import InputError
    from pipeline.kubeflow.compiling import compile_pipeline
    from pipeline.settings import settings_for_own_data

    settings = settings_for_own_data({"name": "shop"})
    with pytest.raises(InputError, match="set kubeflow"):
        compile_pipeline(settings, image="registry/next-movie:1")


@pytest.mark.parametrize("command", ["show", "compare", "validate"])
def test_the_data_are_inspected_like_a_releases(runs: Path, tmp_path: Path, command: str, capsys):
    data = runs / "data" / "next-movie-small--shop-random"
    given = [f"{data}:train", f"{data}:eval"] if command == "compare" else [str(data)]
    page = tmp_path / "page.html"
    assert inspect_data.main([command, *given, "--html", str(page)]) == 0
    said = capsys.readouterr()
    assert "error" not in said.err
    assert {"show": "Article The", "compare": "Article The", "validate": "no anomalies"}[command] in said.out
    assert page.is_file()
