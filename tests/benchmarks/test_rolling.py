"""The replay by time: no model is judged on what it learnt from, and the tables add up."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.replay import in_vocabulary, replay, vocabulary_of
from benchmarks.quality.rolling import COLD, STALE, WARM, Outcome, follow, mean_table, span_table
from data.options import GenerateOptions
from pipeline.settings import load_settings
from trainer_module.dataset import Windows
from trainer_module.settings import RollingSettings

QUICK = """
name: quick
data: {release: sample}
model: {embedding_dim: 4}
training: {epochs: 1, batch_size: 512}
"""


def test_spans_follow_each_other_and_hold_each_window_once() -> None:
    played = replay(GenerateOptions(release="sample"), None, spans=3, first=0.5, until=1.0)
    assert len(played.ends) == 4
    assert played.ends[-1] == len(played.windows)
    parts = [played.until(0), *(played.of(span) for span in (1, 2, 3))]
    np.testing.assert_array_equal(np.concatenate([part.label for part in parts]), played.windows.label)
    assert [len(part) / len(played.windows) for part in parts] == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.01)
    assert (played.days > 0).all()


def test_contexts_lose_movies_that_a_vocabulary_lacks_without_a_gap() -> None:
    windows = Windows(np.array([[7, 3, 5, 0], [3, 0, 0, 0]], np.int32), np.array([5, 3], np.int32))
    assert vocabulary_of(windows).tolist() == [3, 5, 7]
    indexed = in_vocabulary(windows, np.array([5, 7]))
    assert indexed.context.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0]]
    assert indexed.label.tolist() == [1, 0]


@pytest.mark.slow
def test_every_system_is_judged_on_the_labels_of_the_next_span(tmp_path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    settings = load_settings(str(tmp_path / "quick.yaml"), {})
    played = replay(settings.data, None, spans=3, first=0.5, until=1.0)
    outcomes = list(follow(played, settings, RollingSettings(epochs_warm=1), ["counts", "zeros"], seed=7))
    systems = [STALE, COLD, WARM["counts"], WARM["zeros"]]
    assert [(outcome.span, outcome.system) for outcome in outcomes] == [(span, of) for span in (2, 3) for of in systems]
    for outcome in outcomes:
        assert outcome.queries == len(played.of(outcome.span))
        assert 0 <= outcome.gain <= outcome.hits <= outcome.queries
        assert (outcome.seconds == 0) is (outcome.system == STALE)


def test_the_tables_give_means_over_spans_and_seeds_and_shares_of_the_cold_training() -> None:
    outcomes = [
        Outcome(system, seed, span, seconds, hits, hits / 2, queries=100, new_hits=1, new_queries=4)
        for seed in (1, 2)
        for span in (2, 3)
        for system, seconds, hits in ((STALE, 0.0, 10), (COLD, 20.0, 20 * seed), (WARM["counts"], 5.0, 27))
    ]
    assert span_table(outcomes).splitlines()[2:] == [
        f"| {span} | 100 | 0.1000 | 0.0500 | 0.3000 | 0.1500 | 20.0 | 0.2700 | 0.1350 | 5.0 |" for span in (2, 3)
    ]
    assert mean_table(outcomes).splitlines()[-1] == (
        "| warm | 0.2700 | 0.1350 | 90.0% [90.0%, 90.0%] | 5.0 | 25% | 0.2500 of 16 |"
    )
