"""The comparison of systems and the search of settings, on a small sample."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality import comparison, gate, search
from benchmarks.quality.comparison import System
from benchmarks.quality.rank_cache import keep_ranks
from benchmarks.quality.scoring import Ranks, gains, rank_windows
from benchmarks.quality.windows import DataSet, make_data_set
from components.gate_settings import ModelGateSettings
from data.options import GenerateOptions
from pipeline.settings import load_settings
from trainer_module.dataset import Windows
from trainer_module.timelines import whole_batches

QUICK = """
name: quick
data: {release: sample}
model: {embedding_dim: 4}
training: {epochs: 1, batch_size: 512}
"""


def windows(rows: int, movies: int = 3) -> Windows:
    generator = np.random.default_rng(rows)
    return Windows(
        context=generator.integers(1, movies + 1, (rows, 2)).astype(np.int32),
        label=generator.integers(1, movies + 1, rows).astype(np.int32),
    )


def ranks_of(*excluded: int) -> Ranks:
    ranks = np.array(excluded, np.int64)
    return Ranks(excluded=ranks, unfiltered=ranks + 1, recommended=2, num_movies=30)


DATA = DataSet(train=windows(5), evaluation=windows(3), movie_ids=np.array([10, 20, 30]))


def test_ranks_are_made_once_for_the_same_windows_and_ingredients(tmp_path):
    made = []

    def make() -> Ranks:
        made.append(1)
        return ranks_of(1, 5, 30)

    first, second = (keep_ranks(tmp_path, "RecBole SASRec", DATA, {"dropout": 0.5}, make) for _ in range(2))
    assert made == [1]
    for one, other in zip(vars(first.ranks).values(), vars(second.ranks).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.seconds == second.seconds


@pytest.mark.parametrize(
    ("data", "made_of"),
    [
        (DATA, {"dropout": 0.4}),
        (DataSet(windows(6), DATA.evaluation, DATA.movie_ids), {"dropout": 0.5}),
        (DataSet(DATA.train, windows(4), DATA.movie_ids), {"dropout": 0.5}),
    ],
    ids=["another setting", "other train windows", "other eval windows"],
)
def test_ranks_of_something_else_are_not_taken(tmp_path, data, made_of):
    keep_ranks(tmp_path, "peer", DATA, {"dropout": 0.5}, lambda: ranks_of(1))
    assert keep_ranks(tmp_path, "peer", data, made_of, lambda: ranks_of(7)).ranks.excluded.tolist() == [7]


def test_a_system_that_fails_leaves_no_ranks(tmp_path):
    with pytest.raises(ZeroDivisionError):
        keep_ranks(tmp_path, "peer", DATA, None, lambda: 1 // 0)
    assert not list(tmp_path.iterdir())


def test_systems_are_compared_query_by_query(capsys):
    ours, theirs = ranks_of(1, 10, 30, 30), ranks_of(1, 30, 30, 30)
    comparison._print_differences("default", {"popularity": theirs, "default": ours})
    _, _, _, row = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "popularity"
    assert cells[1].startswith("+0.2500 [")
    # One of four queries gains what stands at place 10: 1 / log2(11) = 0.2891.
    assert cells[2].startswith(f"{0.2891 / 4:+.4f} [")
    assert gains(ours.excluded)[1] == pytest.approx(0.2891, abs=1e-4)
    # A bootstrap sample of four queries misses the one that differs with probability (3/4)^4 = 0.32.
    assert re.search(r"\[\+0\.0000, \+0\.[57]", cells[1])


def test_cold_labels_count_as_misses_in_a_row_of_their_own(capsys):
    comparison._print_row("default", ranks_of(1, 10, 30, 30), 1.0, cold_labels=4)
    rows = [line.split("|")[1:] for line in capsys.readouterr().out.splitlines()]
    assert [row[0].strip() for row in rows] == [
        "default, context left out",
        "default, unfiltered",
        "default, cold labels as misses",
    ]
    # Two of four labels are among the first ten, and two of eight with the cold ones.
    assert [rows[place][3].split()[0] for place in (0, 2)] == ["0.5000", "0.2500"]
    comparison._print_row("default", ranks_of(1, 10), 1.0)
    assert "misses" not in capsys.readouterr().out


def test_labels_that_a_split_by_time_leaves_out_are_counted_as_cold(tmp_path):
    """Train ends at 7 s. Later come a movie that it shows, one that it doesn't, and somebody new with two labels."""
    ratings = [(1, movie, min(movie, 7)) for movie in range(1, 9)] + [(3, 20 + place, place) for place in (1, 2, 3)]
    ratings += [(1, 9, 30), (1, 21, 31), (2, 1, 40), (2, 2, 41), (2, 3, 42)]
    source = tmp_path / "ml-100k"
    source.mkdir()
    lines = [f"{user}\t{movie}\t5\t{880_000_000 + second}\n" for user, movie, second in ratings]
    (source / "u.data").write_text("".join(lines))
    (source / "u.item").write_text("".join(f"{movie}|M{movie} (1990)|||{'|0' * 19}\n" for movie in range(1, 24)))
    options = GenerateOptions(release="ml-100k", split="global-time", train_fraction=0.65, max_context_length=2)
    data = make_data_set(options, source, tmp_path / "work")
    assert data.movie_ids[data.evaluation.label - 1].tolist() == [21]
    assert data.cold_labels == 3


def test_two_systems_of_one_name_are_refused():
    twice = [System("default", None, lambda data: None)] * 2
    with pytest.raises(comparison.InputError, match="two of the configurations are called 'default'"):
        comparison._check_names(twice)


def test_all_systems_are_ranked_on_a_release_and_kept(tmp_path, capsys, monkeypatch):
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    settings = load_settings(str(config))
    systems = [*comparison._baselines(), comparison.model_system(settings)]
    tables = []
    for _ in range(2):
        comparison.compare(settings, systems, None, tmp_path)
        tables.append(capsys.readouterr().out)
        monkeypatch.setattr(comparison, "fit_and_rank", lambda *_: pytest.fail("fitted again"))
    assert tables[0] == tables[1]
    rows = [line.split("|")[1].strip() for line in tables[0].splitlines() if line.startswith("| ")]
    systems_ranked = [name.removesuffix(", unfiltered") for name in rows if name.endswith(", unfiltered")]
    assert systems_ranked == ["popularity", "last-movie Markov", "decayed co-occurrence", "quick"]
    assert rows[-5:] == ["quick against", "---", *systems_ranked[:3]]


def test_each_value_is_tried_alone_or_in_all_combinations():
    varied = {"model.dropout": [0, 0.5], "training.epochs": [1, 2]}
    assert list(search.variants_of(varied, grid=False)) == [
        {},
        {"model.dropout": 0},
        {"model.dropout": 0.5},
        {"training.epochs": 1},
        {"training.epochs": 2},
    ]
    assert list(search.variants_of(varied, grid=True)) == [
        {},
        {"model.dropout": 0, "training.epochs": 1},
        {"model.dropout": 0, "training.epochs": 2},
        {"model.dropout": 0.5, "training.epochs": 1},
        {"model.dropout": 0.5, "training.epochs": 2},
    ]


def test_values_of_a_setting_that_is_named_twice_are_all_tried(monkeypatch):
    tried = []
    monkeypatch.setattr(search, "compare", lambda settings, variants, *_: tried.extend(variants))
    vary = ["--vary", "model.dropout=0", "--vary", "model.dropout=0.5"]
    assert search.main(["--release", "sample", *vary]) == 0
    assert tried == [{}, {"model.dropout": 0}, {"model.dropout": 0.5}]


@pytest.mark.parametrize("command", [comparison, search])
def test_another_length_of_context_than_the_configurations_can_be_asked_for(command, monkeypatch):
    compared = []
    monkeypatch.setattr(command, "compare", lambda settings, *_: compared.append(settings))
    assert command.main(["--release", "sample"]) == 0
    assert command.main(["--release", "sample", "--max-context-length", "50"]) == 0
    assert [settings.data.max_context_length for settings in compared] == [10, 50]


def test_a_grid_of_nothing_is_the_configuration_alone():
    assert list(search.variants_of({}, grid=True)) == [{}]


def test_a_search_compares_settings_without_the_eval_split(tmp_path, capsys, monkeypatch):
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)

    def without_eval(*arguments, with_eval) -> DataSet:
        assert not with_eval
        return replace(make_data_set(*arguments), evaluation=None)

    monkeypatch.setattr("benchmarks.quality.windows.make_data_set", without_eval)
    code = search.main(
        ["--release", "sample", "--config", str(config), "--work-dir", str(tmp_path), "--vary", "model.embedding_dim=8"]
    )
    rows = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [row.split("|")[1].strip() for row in rows] == ["variant", "---", "as it is", "model.embedding_dim=8"]
    for row in rows[2:]:
        assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, 0\.\d{4}\]", row.split("|")[2].strip())


def test_a_system_that_reads_histories_is_asked_with_them_and_keeps_the_order_of_the_queries():
    histories = [[4, 2, 0, 5, 1], [3], [4, 2, 5, 1, 3], [6, 3]]
    contexts = np.array([[5, 1], [3, 0], [1, 3], [6, 3]], np.int32)
    windows = Windows(contexts, np.array([6, 1, 6, 2], np.int32))
    asked = []

    def score(given: np.ndarray) -> np.ndarray:
        asked.extend(row[row > 0].tolist() for row in given)
        # Each movie that is read lifts the next one.
        return np.array([[-abs(movie - row[row > 0].sum() % 7) for movie in range(1, 7)] for row in given], np.float32)

    of_histories = tuple(np.array(history, np.int32) for history in histories)
    ranks = rank_windows(score, windows, 6, of_histories, reads_histories=True)

    assert sorted(asked) == sorted([[4, 2, 5, 1], [3], [4, 2, 5, 1, 3], [6, 3]])
    expected = []
    for history, label in zip(histories, windows.label, strict=True):
        scores = {movie: -abs(movie - sum(history) % 7) for movie in range(1, 7)}
        expected.append(sum(scores[movie] >= scores[label] for movie in scores if movie not in history))
    assert ranks.excluded.tolist() == expected


@pytest.mark.parametrize("timelines", [False, True])
def test_a_temporal_search_compares_by_the_last_train_windows(timelines, tmp_path):
    """Of 20 ratings of one user, one a second, with contexts of 2."""
    source = tmp_path / "ml-100k"
    source.mkdir()
    (source / "u.data").write_text("".join(f"1\t{movie}\t5\t{880_000_000 + movie}\n" for movie in range(1, 21)))
    (source / "u.item").write_text("".join(f"{movie}|M{movie} (1990)|||{'|0' * 19}\n" for movie in range(1, 21)))
    options = GenerateOptions(release="ml-100k", split="temporal", max_context_length=2, timelines=timelines)
    fitted, held_out, num_movies = search._held_out(options, source, tmp_path / "work")
    if timelines:
        # The timelines are whole, for models that read them so.
        assert [movies.tolist() for movies, *_ in whole_batches(held_out, num_movies)] == [[list(range(1, 19))]]
        fitted, held_out = fitted.windows(), held_out.windows()
    # 19 windows have a context; 17 train, and 15 are nine tenths of those.
    assert sorted(fitted.label) == list(range(2, 17))
    assert sorted(held_out.label) == [17, 18]
    assert num_movies == 18


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("model.dropot=0.1", "unknown setting `model.dropot`"),
        ("modle.dropout=0.1", "there is no group of settings `modle` for `modle.dropout`"),
        ("model.dropout=2", "`model.dropout` is 2"),
    ],
)
def test_an_unknown_setting_is_refused_before_anything_is_fitted(tmp_path, capsys, vary, said):
    code = search.main(
        ["--release", "sample", "--work-dir", str(tmp_path), "--vary", "model.dropout=0.3", "--vary", vary]
    )
    printed = capsys.readouterr()
    assert code == 2
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


HITS = np.arange(1_000) < 300


def test_the_rules_of_the_gate_are_compared_on_pairs_of_models_by_hand():
    # The candidate loses six of a thousand queries and gains none, then two that it gains make up for some.
    six_lost, four_net = HITS.copy(), HITS.copy()
    six_lost[:6] = False
    four_net[:6] = False
    four_net[300:302] = True
    found = gate.judge_pairs([(six_lost, HITS), (four_net, HITS)], queries=None)
    assert found.queries == 1_000
    assert [difference.mean for difference in found.differences] == [-0.006, -0.004]
    judged = {name: found.refused(rule) for name, rule in gate.rules(ModelGateSettings()).items()}
    # Six lost are worse than 0.005 and beyond chance; whether four are, three in a thousand more can't be told.
    assert judged == {"point estimates": 0.5, "the gate": 0.5, "the gate, non_inferior": 1.0}
    assert found.without_zero == 0.5


def test_parts_of_the_queries_are_drawn_without_repeats():
    found = gate.judge_pairs([(~HITS, HITS)], queries=600, draws=20)
    assert len(found.differences) == 20
    assert {difference.queries for difference in found.differences} == {600}
    assert len({difference.mean for difference in found.differences}) > 1
    # Of a thousand queries 300 are lost and 700 gained.
    assert all(-300 <= difference.mean * 600 - 300 <= 300 for difference in found.differences)
    assert found.mean == pytest.approx(0.4, abs=0.03)


def test_the_gates_errors_are_printed_for_seeds_and_for_a_worse_setting(tmp_path, capsys):
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    arguments = ["--release=sample", f"--config={config}", f"--work-dir={tmp_path}", "--seeds", "1", "2"]
    assert gate.main([*arguments, "--worse=model.embedding_dim=1", "--queries", "500", "100000"]) == 0
    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["queries", "candidate"],
        ["---", "---:"],
        ["2,377", "other seed"],
        ["2,377", "model.embedding_dim=1"],
        ["500", "other seed"],
        ["500", "model.embedding_dim=1"],
    ]


def test_one_seed_alone_can_not_be_held_against_anything(capsys):
    with pytest.raises(SystemExit) as ended:
        gate.main(["--release=sample", "--seeds", "42", "42"])
    assert ended.value.code == 2
    assert "at least two are needed" in capsys.readouterr().err
