"""The servable check, on a sound export and on the same export broken in many ways."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import tensorflow as tf
from synthetic_model import export_untrained_model

from components.gate_settings import ServableCheckSettings
from components.serving_check import check_export
from components.serving_check.servable_check import check_model

pytestmark = pytest.mark.slow

NO_HURRY_MS = 10_000


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("export") / "model", num_movies=160)


@pytest.fixture
def export(sound, tmp_path) -> Path:
    """Give a copy that may be broken."""
    return Path(shutil.copytree(sound, tmp_path / "model"))


def findings(export: Path, max_latency_ms: float = NO_HURRY_MS) -> list[str]:
    return check_export.main(str(export), max_latency_ms)["findings"]


def save_again(export: Path, changes: dict, *, variables: dict | None = None) -> None:
    """Save an export anew, with other functions behind some of its signatures, or other weights."""
    model = tf.saved_model.load(str(export))
    signatures = {**model.signatures, **{name: make(model) for name, make in changes.items()}}
    for name, value in (variables or {}).items():
        variable = getattr(model, name)
        variable.assign(tf.fill(variable.shape, tf.cast(value, variable.dtype)))
    extra = {path.name: path.read_bytes() for path in (export / "assets.extra").iterdir()}
    renewed = export.with_name("renewed")
    tf.saved_model.save(model, str(renewed), signatures=signatures)
    shutil.rmtree(export)
    renewed.rename(export)
    (export / "assets.extra").mkdir()
    for name, content in extra.items():
        (export / "assets.extra" / name).write_bytes(content)


def altered(change):
    """Return what makes a function that answers as `serving_default` does, changed by `change(ids, scores)`."""

    def make(model):
        signature = model.signatures["serving_default"]

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, name="context_movie_id")])
        def answer(context_movie_id):
            said = signature(context_movie_id=context_movie_id)
            movie_id, score = change(said["movie_id"], said["score"])
            return {"movie_id": movie_id, "score": score}

        return answer

    return make


def wait(ids, scores):
    def sleep(values):
        time.sleep(0.1)
        return values

    slow_ids = tf.numpy_function(sleep, [ids], tf.int64)
    slow_ids.set_shape(ids.shape)
    return slow_ids, scores


def pad_first(ids, scores):
    return tf.concat([tf.zeros_like(ids[:, :1]), ids[:, 1:]], axis=1), scores


def as_many_as_the_longest_history_leaves(ids, scores):
    fewest = tf.reduce_min(tf.math.count_nonzero(ids, axis=1))
    return ids[:, :fewest], scores[:, :fewest]


def filled_with_a_score(ids, scores):
    return ids, tf.where(ids == 0, -50.0, scores)


def test_a_sound_export_is_found_servable_by_a_process_without_the_project(sound):
    result = check_model(str(sound), ServableCheckSettings(max_latency_ms=NO_HURRY_MS))
    assert result.findings == []
    assert 0 < result.latency_ms < NO_HURRY_MS


def test_a_sound_export_that_was_saved_again_is_still_sound(export):
    save_again(export, {})
    assert findings(export) == []


@pytest.mark.parametrize("num_movies", [1, 2, 12])
def test_a_sound_export_of_a_small_catalogue_is_found_servable(tmp_path, num_movies):
    assert findings(export_untrained_model(tmp_path / "model", num_movies)) == []


def test_a_missing_asset_is_found(export):
    [asset] = [path for path in (export / "assets").iterdir() if path.stat().st_size]
    asset.unlink()
    [found] = findings(export)
    assert found.startswith("the export can't be loaded: ")
    assert asset.name in found


def test_missing_canaries_are_found(export):
    (export / "assets.extra" / "canaries.json").unlink()
    [found] = findings(export)
    assert "canaries.json" in found


def test_an_output_of_another_type_is_found(export):
    save_again(export, {"serving_default": altered(lambda ids, scores: (ids, tf.cast(scores, tf.float64)))})
    assert findings(export) == [
        "serving_default's output score is float64 of 2 dimensions, not float32 of 2 dimensions"
    ]


def test_an_output_of_another_shape_is_found(export):
    save_again(export, {"serving_default": altered(lambda ids, scores: (ids, scores[:, :, tf.newaxis]))})
    assert findings(export) == [
        "serving_default's output score is float32 of 3 dimensions, not float32 of 2 dimensions"
    ]


def test_weights_that_are_no_numbers_are_found(export):
    save_again(export, {}, variables={"_candidates": float("nan")})
    found = findings(export)
    assert "ordinary: a score is not finite" in found
    assert "similar: a score is not finite" in found


def test_other_weights_than_were_recorded_are_found(export):
    save_again(export, {}, variables={"_candidates": 0.01})
    assert "ordinary: the scores are not those that the model gave before it was saved" in findings(export)


def test_a_pad_in_the_answers_is_found(export):
    save_again(export, {"serving_default": altered(pad_first)})
    assert "ordinary: a pad is recommended" in findings(export)


def test_a_model_that_is_too_slow_is_found(export):
    save_again(export, {"serving_default": altered(wait)})
    [found] = findings(export, max_latency_ms=50)
    assert found.startswith("a request takes 1")
    assert found.endswith(" ms, more than the 50 ms allowed")


def test_a_model_that_is_slow_for_a_while_is_measured_again():
    asked = []

    def ask(histories):
        asked.append(histories)
        if len(asked) <= check_export.WARM_UP_REQUESTS + check_export.TIMED_REQUESTS:
            time.sleep(0.02)
        return []

    assert check_export.measure_latency(ask, [1], max_latency_ms=10) < 10
    assert len(asked) == check_export.WARM_UP_REQUESTS + 2 * check_export.TIMED_REQUESTS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda ids, scores: (tf.concat([ids[:, :1], ids[:, :-1]], axis=1), scores), "an id is recommended twice"),
        (lambda ids, scores: (tf.reverse(ids, [1]), tf.reverse(scores, [1])), "are not ordered by score"),
        (lambda ids, scores: (ids[:, :50], scores[:, :50]), "short: 50 ids are recommended, not 100"),
        (lambda ids, scores: (ids, scores + 1.0), "the scores are not those that the model gave before"),
        (lambda ids, scores: (ids[:1], scores[:1]), "a batch of 64 requests gets 1 answers"),
        (as_many_as_the_longest_history_leaves, "ordinary: the answer is another one in a batch of 64"),
        (filled_with_a_score, "a history of the whole catalogue: 100 ids are recommended, not 0"),
    ],
)
def test_an_answer_that_can_not_be_right_is_found(export, change, reason):
    save_again(export, {"serving_default": altered(change)})
    assert any(reason in found for found in findings(export)), findings(export)


def test_movies_of_the_history_among_the_answers_are_found(export):
    save_again(export, {"serving_default": lambda model: model.signatures["include_seen"]})
    assert any(found.endswith("of the history is recommended") for found in findings(export))


def test_a_signature_that_is_missing_is_found(export):
    model = tf.saved_model.load(str(export))
    (export / "saved_model.pb").unlink()
    kept = {name: function for name, function in model.signatures.items() if name != "similar"}
    tf.saved_model.save(model, str(export), signatures=kept)
    assert findings(export) == ["the signature similar is missing"]


def test_a_process_that_dies_is_a_finding(tmp_path, monkeypatch):
    script = tmp_path / "dies.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("components.serving_check.servable_check._CHECKER", script)
    result = check_model("anywhere", ServableCheckSettings())
    assert [found.what for found in result.findings] == ["the process that asked the model ended with -11: no message"]


def test_a_process_that_hangs_is_a_finding(tmp_path, monkeypatch):
    script = tmp_path / "hangs.py"
    script.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr("components.serving_check.servable_check._CHECKER", script)
    result = check_model("anywhere", ServableCheckSettings(max_seconds=0.5))
    assert [found.what for found in result.findings] == ["the model did not answer all requests within 0.5 s"]


def test_the_process_can_not_reach_the_project(tmp_path, monkeypatch):
    script = tmp_path / "looks.py"
    script.write_text(
        "import importlib.util, json\n"
        "rooms = [name for name in ('data', 'trainer_module', 'components') if importlib.util.find_spec(name)]\n"
        "print(json.dumps({'findings': rooms}))\n"
    )
    monkeypatch.setattr("components.serving_check.servable_check._CHECKER", script)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    assert check_model("anywhere", ServableCheckSettings()).findings == []


def test_what_the_canaries_ask_is_short_long_empty_unknown_and_gappy(sound):
    canaries = json.loads((sound / "assets.extra" / "canaries.json").read_text())
    asked = {canary["name"]: canary["context_movie_id"] for canary in canaries}
    assert {"short", "ordinary", "long", "empty", "unknown", "gaps"} == set(asked)
    assert (len(asked["short"]), len(asked["empty"])) == (1, 0)
    assert len(asked["long"]) > 10
