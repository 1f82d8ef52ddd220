"""Each finding fires on what has its fault, and the sample has none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from audit_data import answering, own_examples, sample_examples

from components.audit.behaviour import CoWatching, ask_all, behaviour_figures
from components.audit.figures import AuditResult, BehaviourFigures, DataFigures, Nearness, SplitFigures
from components.audit.findings import find
from components.audit.run_audit import run_audit
from components.audit.windows import ExampleFolder, Windows
from components.gate_settings import AuditSettings
from data.splits import SPLIT_NAMES
from data.splits.leave_one_out import LeaveOneOutSplit
from data.splits.temporal import TemporalSplit
from data.words import ITEMS, MOVIES

HOUR, DAY = 3_600, 86_400
QUIET = SplitFigures(examples=1000, cold_label_share=0.1, repeats_in_context_share=0, label_in_context_share=0)
SOUND = BehaviourFigures(queries=1000, moved_by_last=0.5, moved_by_drop=0.3, miss_rate_spread=0.1, answer_overlap=0.05)
DATA = DataFigures(train=QUIET, eval=QUIET)

Events = Iterable[tuple[int, int, int]]


def drawn(user: int, number: int) -> list[int]:
    """Return distinct items that a user watched, in an order of the user's own."""
    return (np.random.default_rng(user).permutation(60)[:number] + 1).tolist()


def sound_events(users: int = 40, number: int = 12, first: int = 0, step: int = HOUR) -> Events:
    for user in range(first, first + users):
        for place, item in enumerate(drawn(user, number)):
            yield user, item, 10**9 + user + place * step


def audited(examples: ExampleFolder, **settings: object) -> AuditResult:
    """Audit data alone: one query says nothing of a model."""
    chosen = AuditSettings.model_validate({"queries": 1, **settings})
    return run_audit(examples, answering(lambda context: int(context.sum()), len(examples.catalogue)), chosen)


def names(result: AuditResult) -> list[str]:
    return [finding.kind for finding in result.findings]


def test_sound_data_have_no_finding_under_any_split(tmp_path: Path):
    for split in SPLIT_NAMES:
        result = audited(own_examples(tmp_path / split, sound_events(), split=split))
        assert names(result) == []
        assert result.data.eval.examples > 0


def test_a_model_that_reads_histories_is_asked_with_all_of_them(tmp_path: Path):
    examples = own_examples(tmp_path, sound_events(), split="leave_one_out", leave_out="history")
    asked = []

    def ask(contexts: np.ndarray) -> np.ndarray:
        asked.append(contexts.tolist())
        return np.zeros((len(contexts), 10), np.int64)

    run_audit(examples, ask, AuditSettings(queries=7), reads_histories=True)

    # Of twelve movies each; a context holds ten.
    histories = [examples.catalogue.codes_of(np.array(drawn(user, 11))).tolist() for user in range(40)]
    assert len(asked[0]) == 7
    assert all(history in histories for history in asked[0])
    assert {len(row) for changed in asked[1:] for row in changed} == {11}


@pytest.mark.parametrize("split", SPLIT_NAMES)
def test_the_data_of_the_sample_have_no_finding(tmp_path: Path, split: str):
    assert names(audited(sample_examples(tmp_path, split=split))) == []


def test_ratings_at_one_second_are_found(tmp_path: Path):
    found = audited(own_examples(tmp_path, ((user, item, 10**9) for user, item, _ in sound_events())))
    assert names(found) == ["max_tied_share"]
    assert found.data.tied_share == 1
    assert "100.0% of the ratings share user and second with another, more than the 50% allowed" in (
        found.findings[0].sentence
    )


def test_labels_in_their_own_context_are_found(tmp_path: Path):
    # Everybody watches three items over and over.
    events = ((user, 3 * user + place % 3, 10**9 + user + place * HOUR) for user in range(1, 40) for place in range(12))
    found = audited(own_examples(tmp_path, events))
    assert "max_label_in_context_share" in names(found)
    assert found.data.eval.label_in_context_share > 0.7
    assert found.data.repeated_share == pytest.approx(9 / 12)
    assert found.data.eval.repeats_in_context_share > 0.6


def test_copied_users_are_found(tmp_path: Path):
    events = [(user, item, 10**9 + place * HOUR) for user in range(1, 41) for place, item in enumerate(drawn(0, 12))]
    found = audited(own_examples(tmp_path, events))
    assert names(found) == ["max_eval_in_train_share"]
    assert found.data.eval_in_train_share == 1


def test_eval_windows_in_train_are_counted_one_by_one(tmp_path: Path):
    examples = own_examples(tmp_path, sound_events(users=120, number=4), train_fraction=0.5, max_context_length=1)

    def windows(split: str) -> list[tuple]:
        return [
            (tuple(context), label)
            for part in examples.windows(split)
            for context, label in zip(part.context.tolist(), part.label.tolist(), strict=True)
        ]

    train, held_out = set(windows("train")), windows("eval")
    expected = sum(window in train for window in held_out) / len(held_out)
    assert audited(examples).data.eval_in_train_share == pytest.approx(expected)
    assert 0 < expected < 1


def test_newcomers_alone_are_found(tmp_path: Path):
    events = [*sound_events(), *((user, item, time + 100 * DAY) for user, item, time in sound_events(first=100))]
    found = audited(own_examples(tmp_path, events, split="temporal", train_fraction=0.5))
    assert names(found) == ["max_cold_user_share"]
    assert found.data.cold_user_share == 1


def test_labels_long_after_their_context_are_found(tmp_path: Path):
    found = audited(own_examples(tmp_path, sound_events(step=90 * DAY)))
    assert names(found) == ["max_median_wait_days"]
    # 90 days, rounded down by less than a sixteenth.
    assert re.search(r"half of the eval labels come 8\d\.\d days or more after", found.findings[0].sentence)


def test_train_labels_of_the_future_are_found_under_the_split_by_time(tmp_path: Path, monkeypatch):
    real = TemporalSplit.is_train
    monkeypatch.setattr(TemporalSplit, "is_train", lambda *arguments: ~real(*arguments))
    found = audited(own_examples(tmp_path, sound_events(), split="temporal"))
    assert names(found) == ["overlap_seconds", "late_label_share"]
    assert "where the temporal split allows none" in found.findings[0].sentence


def test_train_labels_of_a_users_future_are_found_under_leave_one_out(tmp_path: Path, monkeypatch):
    real = LeaveOneOutSplit.is_train
    monkeypatch.setattr(LeaveOneOutSplit, "is_train", lambda *arguments: ~real(*arguments))
    found = audited(own_examples(tmp_path, sound_events(), split="leave_one_out"))
    assert names(found) == ["late_label_share"]
    assert found.data.late_label_share == 1


def test_the_random_split_promises_nothing_of_time(tmp_path: Path):
    found = audited(own_examples(tmp_path, sound_events()))
    assert found.data.late_label_share > 0.3
    assert names(found) == []


def test_cold_and_unknown_labels_are_shares_of_the_eval_labels(tmp_path: Path):
    # Items from 1000 on come last, and each once.
    events = [*sound_events(), *((user, 1000 + user, 10**9 + 30 * DAY) for user in range(20))]
    examples = own_examples(tmp_path, events, split="leave_one_out")
    data = audited(examples).data
    assert data.eval.cold_label_share == pytest.approx(20 / 40)
    assert data.unknown_label_share == pytest.approx(20 / 40)


def test_a_manifest_of_before_leaves_figures_out_and_no_finding(tmp_path: Path):
    tied = own_examples(tmp_path, ((user, item, 10**9) for user, item, _ in sound_events()))
    earlier = ExampleFolder(tied.root, tied.manifest.model_copy(update={"times": None}), tied.catalogue)
    found = audited(earlier)
    assert found.data.tied_share is None
    assert found.data.eval.median_wait_seconds is None
    assert names(found) == []


def test_text_ids_are_audited_alike(tmp_path: Path):
    numbers = audited(own_examples(tmp_path / "numbers", sound_events()))
    named = ((user, f"sku-{item}", time) for user, item, time in sound_events())
    texts = audited(own_examples(tmp_path / "texts", named))
    assert texts.data == numbers.data
    assert texts.data.eval.examples > 0


def behaviour_of(ask, popularity: np.ndarray | None = None, labels: np.ndarray | None = None) -> BehaviourFigures:
    generator = np.random.default_rng(1)
    contexts = np.array([generator.permutation(400)[:6] + 1 for _ in range(200)])
    labels = np.full(200, 400) if labels is None else labels
    windows = Windows(contexts, labels, np.full(200, b"head") if popularity is None else popularity)
    answers = ask_all(ask, windows, seed=7)
    return behaviour_figures(answers, np.ones((401, 1), bool), CoWatching(labels, answers.plain))


def test_a_model_that_answers_all_the_same_is_found():
    found = find(DATA, behaviour_of(answering(lambda context: 5, 399)), AuditSettings(), "random", MOVIES)
    assert [finding.kind for finding in found] == ["min_moved_by_last", "max_answer_overlap"]
    assert "another last movie changes 0.0% of an answer, less than the 20% required" in found[0].sentence
    assert "two queries' answers share 100.0% on average, more than the 50% allowed" in found[1].sentence


def test_a_model_whose_answers_hang_on_each_movie_is_found():
    brittle = behaviour_of(answering(lambda context: int(context.sum()), 399))
    found = find(DATA, brittle, AuditSettings(), "random", ITEMS)
    assert [finding.kind for finding in found] == ["max_moved_by_drop"]
    assert found[0].sentence.startswith("one item less changes 9")


def test_a_model_that_serves_a_few_alone_is_found():
    # The heads' labels are always among the answers, the tails' never.
    labels = np.where(np.arange(200) < 100, 400, 399)
    popularity = np.where(np.arange(200) < 100, b"head", b"tail")
    drawn_answers = answering(lambda context: context[-1], 398)

    def ask(contexts: np.ndarray) -> np.ndarray:
        answers = drawn_answers(contexts)
        answers[:, 0] = 400
        return answers

    found = find(DATA, behaviour_of(ask, popularity, labels), AuditSettings(), "random", MOVIES)
    assert [finding.kind for finding in found] == ["max_miss_rate_spread"]
    # Heads and tails lie 0.5 off, the one context length nowhere.
    assert "lie 0.333 from that of all" in found[0].sentence


@pytest.mark.parametrize(
    ("name", "said"),
    [("genres", "share genres with the label 0.50 times"), ("co_watched", "were watched with the label 0.50 times")],
)
def test_misses_that_are_farther_off_than_others_answers_are_found(name: str, said: str):
    far = SOUND.model_copy(update={name: Nearness(own=0.1, others=0.2)})
    (found,) = find(DATA, far, AuditSettings(), "random", MOVIES)
    assert found.kind == f"min_nearness of {name}"
    assert said in found.sentence


def test_what_shares_nothing_with_the_label_anyhow_is_not_judged():
    unknown = SOUND.model_copy(update={"genres": Nearness(own=0.0, others=0.0)})
    assert find(DATA, unknown, AuditSettings(), "random", MOVIES) == []


def test_a_finding_is_one_sentence_with_its_figure_bound_and_setting():
    settings = AuditSettings(
        max_tied_share=0.1,
        max_label_in_context_share=0.1,
        max_eval_in_train_share=0.1,
        max_cold_user_share=0.1,
        max_median_wait_days=1,
        min_moved_by_last=0.9,
        max_moved_by_drop=0.1,
        max_miss_rate_spread=0.05,
        min_nearness=2,
        max_answer_overlap=0.01,
    )
    eval_split = QUIET.model_copy(update={"label_in_context_share": 0.5, "median_wait_seconds": 5 * DAY})
    data = DATA.model_copy(
        update={"eval": eval_split, "tied_share": 0.5, "eval_in_train_share": 0.5, "cold_user_share": 0.5}
    )
    near = Nearness(own=0.2, others=0.2)
    found = find(data, SOUND.model_copy(update={"genres": near, "co_watched": near}), settings, "random", MOVIES)
    judged = [name for name in AuditSettings.model_fields if name.startswith(("min_", "max_"))]
    assert [finding.kind.partition(" ")[0] for finding in found] == [*judged[:-1], "min_nearness", judged[-1]]
    for finding in found:
        assert "\n" not in finding.sentence
        assert f"audit.{finding.kind.partition(' ')[0]}" in finding.sentence
        assert re.search(r"(more|less) than the [\d.]+%? (times )?(allowed|required): ", finding.sentence)


@pytest.mark.parametrize(("mode", "stops"), [("note", False), ("warn", False), ("stop", True)])
def test_only_the_mode_stop_keeps_a_model_from_being_published_and_only_for_a_finding(tmp_path: Path, mode, stops):
    tied = audited(
        own_examples(tmp_path / "tied", ((user, item, 10**9) for user, item, _ in sound_events())), mode=mode
    )
    assert tied.findings
    assert tied.stops is stops
    assert not audited(own_examples(tmp_path / "sound", sound_events()), mode=mode).stops
