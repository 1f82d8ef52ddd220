import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.environments import make_environment
from benchmarks.peers import environment, fit_recbole
from benchmarks.peers.scorer import LookedUp, fit_peer, peer_scorer
from benchmarks.peers.settings import OPTIONS
from benchmarks.scoring import rank_windows
from benchmarks.windows import DataSet
from data.errors import InputError
from trainer_module.dataset import Windows
from trainer_module.settings import TrainingSettings

CONTEXTS = np.array([[1, 0], [1, 2], [3, 2]], np.int32)
SCORES = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]], np.float32)
TRAIN = Windows(context=np.array([[1, 0], [1, 2], [2, 3], [1, 0]], np.int32), label=np.array([2, 3, 1, 3], np.int32))
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
        "GRU4Rec",
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
    assert request == {"model": "GRU4Rec", "num_movies": 3, "seed": 7, "options": {"learning_rate": 0.01}}


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
    peer_scorer("SASRec", data, training=training, folder=tmp_path, python=Path(sys.executable))
    # The first two of `np.random.default_rng(1).permutation(4)`, in the order of train.
    held_out = sorted(np.random.default_rng(1).permutation(4)[:2])
    with np.load(tmp_path / "validation.npz", allow_pickle=False) as validation:
        np.testing.assert_array_equal(validation["label"], TRAIN.label[held_out])
    request = json.loads((tmp_path / "request.json").read_text())
    assert request["options"] == OPTIONS["SASRec"]


def test_peers_need_windows_to_stop_on(tmp_path):
    data = DataSet(train=TRAIN, evaluation=EVALUATION, movie_ids=np.array([10, 20, 30]))
    with pytest.raises(InputError, match="validation_fraction leaves none"):
        peer_scorer(
            "GRU4Rec",
            data,
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
    monkeypatch.setattr(environment, "ENVIRONMENT", tmp_path / "environment")
    code = quality.main(["--release", "ml-100k", "--peers", "--work-dir", str(tmp_path)])
    said = capsys.readouterr()
    assert code == 2
    assert said.err == (f"error: the environment {tmp_path / 'environment'} can't be made: no route to host [B01]\n")
    assert said.out == ""


def test_requirements_are_pinned_and_name_no_index():
    lines = environment.REQUIREMENTS.read_text().splitlines()
    packages = [line for line in lines if not line.lstrip().startswith("#")]
    assert packages
    assert all(line.count("==") == 1 and "/" not in line for line in packages)
