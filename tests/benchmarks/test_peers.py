import functools
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.environments import make_environment
from benchmarks.peers import environment, fit_recbole, fit_rectools
from benchmarks.peers import fit as fit_script
from benchmarks.peers.environment import make_peer_environment
from benchmarks.peers.scorer import LookedUp, fit_peer, peer_scorer
from benchmarks.peers.settings import HISTORY_LENGTH, PEERS
from benchmarks.quality import comparison
from benchmarks.quality.comparison import System
from benchmarks.quality.scoring import rank_windows
from benchmarks.quality.windows import DataSet, with_longer_contexts
from data.errors import InputError
from trainer_module.dataset import Windows
from trainer_module.settings import TrainingSettings
from trainer_module.timelines import TrainTimelines

CONTEXTS = np.array([[1, 0], [1, 2], [3, 2]], np.int32)
SCORES = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]], np.float32)
TRAIN = Windows(context=np.array([[1, 0], [1, 2], [2, 3], [1, 0]], np.int32), label=np.array([2, 3, 1, 3], np.int32))
TIMELINES = TrainTimelines(
    movies=np.array([1, 2, 3, 1, 3, 2], np.int32),
    starts=np.array([0, 4]),
    is_label=np.array([False, True, False, True, False, True]),
    max_context_length=2,
)
GRU4REC, SASREC, RECTOOLS = PEERS
EVALUATION = Windows(context=np.array([[3, 1], [2, 0], [3, 1]], np.int32), label=np.array([2, 0, 1], np.int32))

STAND_IN = """
import json, sys
from pathlib import Path
import numpy as np
folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
contexts = np.load(folder / "contexts.npz", allow_pickle=False)["context"]
np.save(folder / "scores.npy", contexts[:, :1] * 10 + np.arange(request["num_movies"], dtype=np.float32))
(folder / "result.json").write_text('{"epochs": 3, "validation_recall": 0.25, "seconds": 1.5}')
"""
"""Scores movie c + 1 as ten times the first movie of the context, plus c."""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Replace the script that needs RecBole by one that doesn't."""

    def replace(script=STAND_IN):
        path = tmp_path / "stand_in.py"
        path.write_text(script)
        monkeypatch.setattr("benchmarks.peers.scorer._SCRIPT", path)

    return replace


def fit(folder):
    return fit_peer(
        GRU4REC,
        {"learning_rate": 0.01},
        TRAIN,
        TRAIN.take(np.array([0])),
        EVALUATION.context,
        3,
        seed=7,
        folder=folder,
        python=Path(sys.executable),
    )


def test_each_context_gets_its_row_in_whatever_order():
    np.testing.assert_array_equal(LookedUp(CONTEXTS, SCORES)(CONTEXTS[[2, 0, 2]]), SCORES[[2, 0, 2]])


def test_contexts_of_another_integer_type_are_found():
    np.testing.assert_array_equal(LookedUp(CONTEXTS, SCORES)(CONTEXTS.astype(np.int64)), SCORES)


def test_a_context_that_was_never_scored_is_an_error():
    with pytest.raises(KeyError, match=r"\[2, 1\] was never scored"):
        LookedUp(CONTEXTS, SCORES)(np.array([[1, 2], [2, 1]]))


def test_rows_and_contexts_must_be_as_many():
    with pytest.raises(ValueError, match="2 rows of scores for 3 contexts"):
        LookedUp(CONTEXTS, SCORES[:2])


def test_the_process_gets_windows_and_request_and_no_eval_label(tmp_path, stand_in):
    stand_in()
    fit(tmp_path)
    with np.load(tmp_path / "train.npz", allow_pickle=False) as train:
        np.testing.assert_array_equal(train["context"], TRAIN.context)
        np.testing.assert_array_equal(train["label"], TRAIN.label)
        assert train["context"].dtype == train["label"].dtype == np.int32
    with np.load(tmp_path / "validation.npz", allow_pickle=False) as validation:
        np.testing.assert_array_equal(validation["label"], [2])
    with np.load(tmp_path / "contexts.npz", allow_pickle=False) as contexts:
        assert list(contexts) == ["context"]
        np.testing.assert_array_equal(contexts["context"], [[2, 0], [3, 1]])
    request = json.loads((tmp_path / "request.json").read_text())
    assert request == {
        "library": "RecBole",
        "model": "GRU4Rec",
        "num_movies": 3,
        "seed": 7,
        "options": {"learning_rate": 0.01},
    }


def test_what_the_process_wrote_can_be_ranked(tmp_path, stand_in):
    stand_in()
    fitted = fit(tmp_path)
    np.testing.assert_array_equal(fitted.score(EVALUATION.context), [[30, 31, 32], [20, 21, 22], [30, 31, 32]])
    assert (fitted.epochs, fitted.validation_recall, fitted.seconds) == (3, 0.25, 1.5)
    # Movie 2 stands second of three, and first once 1 and 3 are left out; an unknown label counts as last.
    ranks = rank_windows(fitted.score, EVALUATION.take(np.array([0])), 3)
    assert (ranks.unfiltered.tolist(), ranks.excluded.tolist()) == ([2], [1])


def test_a_peer_that_fails_says_its_last_line(tmp_path, stand_in):
    stand_in("import sys; print('no memory', file=sys.stderr); sys.exit(3)")
    with pytest.raises(InputError, match=r"^the peer failed with exit code 3, see .*fit\.log: no memory$"):
        fit(tmp_path / "new")


def test_an_old_answer_is_not_taken_for_a_new_one(tmp_path, stand_in):
    stand_in()
    fit(tmp_path)
    stand_in("")
    with pytest.raises(InputError, match="wrote no scores"):
        fit(tmp_path)


def test_peers_stop_on_the_windows_that_the_model_stops_on(tmp_path, stand_in):
    stand_in()
    data = DataSet(train=TRAIN, evaluation=EVALUATION, movie_ids=np.array([10, 20, 30]))
    training = TrainingSettings(validation_fraction=0.5, seed=1)
    peer_scorer(data, SASREC, training=training, folder=tmp_path, python=Path(sys.executable))
    # The first two of `np.random.default_rng(1).permutation(4)`, in the order of train.
    held_out = sorted(np.random.default_rng(1).permutation(4)[:2])
    with np.load(tmp_path / "validation.npz", allow_pickle=False) as validation:
        np.testing.assert_array_equal(validation["label"], TRAIN.label[held_out])
    request = json.loads((tmp_path / "request.json").read_text())
    assert request["options"] == SASREC.options


def test_rectools_gets_timelines_and_is_stopped_on_windows_of_their_held_out_labels(tmp_path, stand_in):
    stand_in()
    data = DataSet(TRAIN, EVALUATION, np.array([10, 20, 30]), timelines=TIMELINES)
    training = TrainingSettings(validation_fraction=0.4, seed=1)
    peer_scorer(data, RECTOOLS, training=training, folder=tmp_path, python=Path(sys.executable))
    # One of three labels: the first of `np.random.default_rng(1).permutation(3)`.
    held_out = np.random.default_rng(1).permutation(3)[0]
    with np.load(tmp_path / "train.npz", allow_pickle=False) as train:
        assert sorted(train) == ["is_label", "movies", "starts"]
        np.testing.assert_array_equal(train["movies"], TIMELINES.movies)
        np.testing.assert_array_equal(np.flatnonzero(train["is_label"]), np.delete([1, 3, 5], held_out))
    with np.load(tmp_path / "validation.npz", allow_pickle=False) as validation:
        np.testing.assert_array_equal(validation["label"], [[2, 1, 2][held_out]])
        np.testing.assert_array_equal(validation["context"], [[[1, 0], [2, 3], [3, 0]][held_out]])


def test_rectools_without_timelines_is_refused(tmp_path):
    with pytest.raises(ValueError, match="RecTools SASRec is fitted to timelines, and the data set has none"):
        peer_scorer(
            DataSet(TRAIN, EVALUATION, np.array([10, 20, 30])),
            RECTOOLS,
            training=TrainingSettings(),
            folder=tmp_path,
            python=Path(sys.executable),
        )


WITH_HISTORIES = DataSet(
    TRAIN,
    EVALUATION,
    np.array([10, 20, 30]),
    histories=tuple(np.array(history, np.int32) for history in ([2, 0, 3, 1], [2], [1, 0, 0, 0])),
    timelines=TIMELINES,
)
"""Whole histories with movies that train never shows."""


def test_longer_contexts_are_the_ends_of_histories_without_unknown_movies():
    longer = with_longer_contexts(WITH_HISTORIES, 3)
    assert longer.evaluation.context.tolist() == [[2, 3, 1], [2, 0, 0], [1, 0, 0]]
    assert with_longer_contexts(WITH_HISTORIES, 2).evaluation.context.tolist() == [[3, 1], [2, 0], [1, 0]]
    assert longer.evaluation.label.tolist() == EVALUATION.label.tolist()
    assert longer.histories is WITH_HISTORIES.histories
    # The held-out labels of train are asked with contexts as long.
    assert longer.timelines.windows().context.tolist() == [[1, 0, 0], [1, 2, 3], [3, 0, 0]]


def test_rectools_reads_whole_histories_where_they_are_left_out_and_recbole_does_not():
    assert RECTOOLS.read(WITH_HISTORIES).evaluation.context.shape == (3, HISTORY_LENGTH)
    assert SASREC.read(WITH_HISTORIES) is WITH_HISTORIES
    only_contexts = DataSet(TRAIN, EVALUATION, np.array([10, 20, 30]), timelines=TIMELINES)
    assert RECTOOLS.read(only_contexts) is only_contexts


def test_whole_histories_are_asked_by_their_ends(tmp_path, stand_in):
    stand_in()
    training = TrainingSettings(validation_fraction=0.4, seed=1)
    fit = functools.partial(peer_scorer, peer=RECTOOLS, training=training, folder=tmp_path, python=Path(sys.executable))
    system = System("peer", None, fit, reads_histories=RECTOOLS.reads_histories)
    ranks = comparison.fit_and_rank(system, WITH_HISTORIES)
    with np.load(tmp_path / "contexts.npz", allow_pickle=False) as contexts:
        asked = contexts["context"]
    assert asked.shape == (3, HISTORY_LENGTH)
    assert asked[:, :4].tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [2, 3, 1, 0]]
    # The stand-in scores movies in ascending order: of three movies 2 stands second, and 1 last; the second label
    # is one that train never shows.
    assert ranks.unfiltered.tolist() == [2, 4, 3]


def test_peers_need_windows_to_stop_on(tmp_path):
    data = DataSet(train=TRAIN, evaluation=EVALUATION, movie_ids=np.array([10, 20, 30]))
    with pytest.raises(InputError, match=r"^RecBole's GRU4Rec has to .* validation_fraction leaves none$"):
        peer_scorer(
            data,
            GRU4REC,
            training=TrainingSettings(validation_fraction=0),
            folder=tmp_path,
            python=Path(sys.executable),
        )


def test_atomic_files_hold_each_window_without_its_pads_and_the_whole_catalogue(tmp_path):
    windows = {"context": np.array([[4, 2, 0], [1, 0, 0]], np.int32), "label": np.array([3, 4], np.int32)}
    fit_recbole.write_atomic_files(tmp_path / "windows", windows, {name: part[:1] for name, part in windows.items()}, 5)
    header = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    assert (tmp_path / "windows" / "windows.train.inter").read_text() == f"{header}1\t4 2\t3\n1\t1\t4\n"
    assert (tmp_path / "windows" / "windows.validation.inter").read_text() == f"{header}1\t4 2\t3\n"
    assert (tmp_path / "windows" / "windows.item").read_text() == "item_id:token\n1\n2\n3\n4\n5\n"


@pytest.mark.parametrize(
    ("context", "items", "length"),
    [
        ([2, 1, 3], [7, 9, 8], 3),
        ([2, 1, 0], [7, 9, 0], 2),
        ([0, 2, 1], [7, 9, 0], 2),
        ([3, 0, 3], [8, 8, 0], 2),
        ([0, 0, 0], [0, 0, 0], 1),
    ],
    ids=["full", "padded", "unknown first", "unknown inside", "nothing known"],
)
def test_contexts_take_the_librarys_numbers_and_pass_over_unknown_movies(context, items, length):
    renumbered, lengths = fit_recbole.renumber(np.array([context], np.int32), np.array([0, 9, 7, 8]))
    assert (renumbered.tolist(), lengths.tolist()) == ([items], [length])
    assert renumbered.dtype == lengths.dtype == np.int64


def test_sessions_lie_one_behind_the_other_and_those_without_a_label_are_left_out():
    is_label = np.ones(12, bool)
    is_label[[0, 9, 11]] = False
    train = {"movies": np.arange(1, 13), "starts": np.array([0, 9]), "is_label": is_label}
    # Nine movies in sessions of up to four labels: rows 0 to 4, and 4 to 8, whose first is the other one's last label.
    assert fit_rectools.cut_sessions(train, 4) == [(0, 5), (4, 9), (9, 12)]
    is_label[5:9] = False
    assert fit_rectools.cut_sessions(train, 4) == [(0, 5), (9, 12)]


def test_what_is_no_label_has_no_weight():
    train = {"movies": TIMELINES.movies, "starts": TIMELINES.starts, "is_label": TIMELINES.is_label}
    columns = fit_rectools.interactions_of(train, 2)
    # 1 2 3 1 as 1 2 3 and 3 1, and 3 2.
    assert columns["user_id"].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert columns["item_id"].tolist() == [1, 2, 3, 3, 1, 3, 2]
    # A session's first movie is never asked for, whatever its weight.
    assert columns["weight"].tolist() == [0, 1, 0, 0, 1, 0, 1]
    for session in range(3):
        assert (np.diff(columns["datetime"][columns["user_id"] == session]).astype(int) > 0).all()


@pytest.mark.parametrize(
    ("context", "items"),
    [
        ([2, 1, 3], [7, 9, 8]),
        ([2, 1, 0], [0, 7, 9]),
        ([2, 0, 1], [0, 7, 9]),
        ([4, 3, 0], [0, 0, 8]),
        ([0] * 3, [0] * 3),
    ],
    ids=["full", "padded", "unknown inside", "of no session", "nothing known"],
)
def test_rectools_wants_the_last_movie_at_the_end(context, items):
    item_of_movie = np.array([0, 9, 7, 8, 0])
    assert fit_rectools.left_padded(np.array([context], np.int32), item_of_movie).tolist() == [items]


def test_recall_leaves_the_contexts_own_movies_out():
    scores = np.tile(np.arange(12, 0, -1, dtype=np.float32), (3, 1))
    contexts = np.array([[1, 2], [1, 0], [0, 0]], np.int32)
    # Movie 12 stands last of twelve: tenth without two, eleventh without one; movie 10 stands tenth.
    assert fit_rectools.recall_of(scores, contexts, np.array([12, 12, 10])) == pytest.approx(2 / 3)


def test_the_script_hands_the_folders_arrays_to_the_library_and_writes_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def fit_and_score(folder, request, train, validation, contexts):
        assert (train["label"].tolist(), validation["label"].tolist()) == ([2], [1])
        (Path.cwd() / "log").touch()
        return contexts * request["seed"], {"epochs": 2, "validation_recall": 0.5}

    monkeypatch.setitem(sys.modules, "fit_recbole", SimpleNamespace(fit_and_score=fit_and_score))
    folder = tmp_path / "exchange"
    folder.mkdir()
    np.savez(folder / "train.npz", label=[2])
    np.savez(folder / "validation.npz", label=[1])
    np.savez(folder / "contexts.npz", context=CONTEXTS)
    (folder / "request.json").write_text('{"library": "RecBole", "seed": 3}')
    fit_script.main(folder)
    np.testing.assert_array_equal(np.load(folder / "scores.npy"), CONTEXTS * 3)
    result = json.loads((folder / "result.json").read_text())
    assert (result["epochs"], result["validation_recall"]) == (2, 0.5)
    assert result["seconds"] >= 0
    assert (folder / "log").is_file()


@pytest.mark.slow
@pytest.mark.skipif(
    not (environment.ENVIRONMENTS / "rectools" / "complete").is_file(), reason="the environment of RecTools isn't made"
)
def test_the_real_rectools_learns_what_follows_what(tmp_path):
    """Forty people watch twelve movies in a circle, each from another one on."""
    movies = np.concatenate([np.roll(np.arange(1, 13), -person) for person in range(40)]).astype(np.int32)
    is_label = np.arange(len(movies)) % 12 > 0
    timelines = TrainTimelines(movies, np.arange(0, len(movies), 12), is_label, max_context_length=4)
    fitted = fit_peer(
        RECTOOLS,
        RECTOOLS.options | {"epochs": 20, "dropout_rate": 0.0, "lr": 0.01},
        timelines,
        timelines.take(np.arange(0, 440, 11)).windows(),
        np.array([[1, 2, 3, 4], [9, 10, 0, 0]], np.int32),
        # The thirteenth is in no timeline.
        13,
        seed=1,
        folder=tmp_path,
        python=make_peer_environment("RecTools"),
    )
    scores = fitted.score(np.array([[1, 2, 3, 4], [9, 10, 0, 0]]))
    assert scores.argmax(axis=1).tolist() == [4, 10]
    assert scores.argmin(axis=1).tolist() == [12, 12]


def executable(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def fake_uv(tmp_path, monkeypatch):
    """Put a `uv` of our own in front; it notes what it is asked."""

    def make(script):
        executable(tmp_path / "bin" / "uv", f'echo "$@" >> {tmp_path}/asked\n{script}')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    return make


def test_the_environment_is_made_once_for_the_same_packages(tmp_path, fake_uv):
    fake_uv(f"mkdir -p {tmp_path}/environment")
    for _ in range(2):
        assert (
            make_environment(tmp_path / "environment", ["recbole==1.2.1"])
            == tmp_path / "environment" / "bin" / "python"
        )
    assert len((tmp_path / "asked").read_text().splitlines()) == 2
    make_environment(tmp_path / "environment", ["recbole==1.2.0"])
    assert len((tmp_path / "asked").read_text().splitlines()) == 4


def test_an_environment_that_cannot_be_made_is_one_line_and_no_row(tmp_path, fake_uv, monkeypatch, capsys):
    fake_uv("echo 'resolving'>&2; echo 'no route to host' >&2; exit 2")
    monkeypatch.setattr(environment, "ENVIRONMENTS", tmp_path)
    code = comparison.main(["--release", "ml-100k", "--peers", "--work-dir", str(tmp_path)])
    said = capsys.readouterr()
    assert code == 2
    assert said.err == (f"error: the environment {tmp_path / 'recbole'} can't be made: no route to host [B01]\n")
    assert said.out == ""


@pytest.mark.parametrize("library", ["RecBole", "RecTools"])
def test_requirements_are_pinned_and_name_no_index(library):
    lines = environment.requirements_of(library).read_text().splitlines()
    packages = [line for line in lines if not line.lstrip().startswith("#")]
    assert packages
    assert all(line.count("==") == 1 and "/" not in line for line in packages)
