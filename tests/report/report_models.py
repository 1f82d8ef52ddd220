"""Facts of a run that never was, for looking at how they are told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from components.finding import Finding
from components.report.report_model import (
    DataFacts,
    DataGateFacts,
    DecisionFacts,
    DifferenceFacts,
    MetricRow,
    PastRun,
    Provenance,
    RecommendedMovie,
    ReportModel,
    Sample,
    SliceFacts,
    SplitFacts,
    StepFacts,
    TopMovie,
)
from data.examples.ratings_profile import RatingsProfile

SCRIPT_TITLE = "<script>window.owned = true</script> & \"Sons\" <img src=x onerror='window.owned=true'>"
WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def full_facts(**changes: Any) -> ReportModel:
    """Return facts with something in every section, and a hostile title wherever a title can stand."""
    split = SplitFacts(
        split="train",
        examples=1234,
        padding_share=0.25,
        mean_context_length=7.5,
        unseen_label_share=0.0,
        distinct_labels=40,
        context_lengths={"1": 234, "10": 1000},
        popularity={"head": 1000, "tail": 234},
        stars={"3.5": 400, "4": 834},
        top_labels=[TopMovie(title=SCRIPT_TITLE, count=30, share=0.024), TopMovie(title="Heat", count=10, share=0.008)],
    )
    sample = Sample(
        history=["Heat", SCRIPT_TITLE],
        label="Ronin",
        recommended=[
            RecommendedMovie(rank=1, title=SCRIPT_TITLE, score=2.5, genres=["Drama", SCRIPT_TITLE]),
            RecommendedMovie(rank=2, title="Ronin", score=2.0, is_label=True),
        ],
        label_rank=2,
        label_genres=["Action", "Thriller"],
        history_ids=[6, 17],
    )
    facts = ReportModel(
        pipeline="next-movie-test",
        made_at=WHEN,
        code_version="1.2.3",
        commit="c0ffee123456",
        settings={"model": {"embedding_dim": 64, "loss": "full_softmax"}, "name": SCRIPT_TITLE},
        data=DataFacts(
            release="ml-1m",
            split="random",
            ratings=5000,
            users=50,
            movies=45,
            options={
                "min_rating": 2.0,
                "min_timeline_length": 3,
                "seed": 42,
                "max_context_length": 10,
                "train_fraction": 0.9,
            },
            manifest_digest="abc123",
            ties="as_given",
            profile=RatingsProfile(
                by_time={"1996-12": 3000, "1997-02": 2000},
                rated_movies=40,
                kept_ratings=4500,
                kept_users=48,
                timeline_lengths={64: 38, 128: 10},
                median_timeline_length=90,
            ),
            libraries={"python": "3.10.1", "tensorflow": "2.16.1"},
            splits=[split, split.model_copy(update={"split": "eval", "examples": 137})],
        ),
        data_gate=DataGateFacts(distances={"label_movie_id: L_INFTY": 0.0123}, compared_with_previous=True),
        curves={"loss": [5.0, 4.0, 3.5], "val_recall_at_10": [0.1, 0.2, 0.25]},
        metrics=[
            MetricRow(
                name="recall_at_10",
                model=0.3141,
                popularity=0.0271,
                recent_popularity=0.2618,
                baseline=0.3,
                required=0.295,
                met=True,
            ),
            MetricRow(name="mrr", model=0.1618, baseline=0.15),
            MetricRow(name="recall_at_10_lift", model=1.2, required=1.5, met=False),
        ],
        slices=[
            SliceFacts(
                feature="context_length",
                value="1",
                recall=0.1,
                recall_popularity=0.05,
                ndcg=0.05,
                mrr=0.04,
                examples=13,
            ),
            SliceFacts(feature="context_length", value="10", recall=0.3, recall_popularity=0.05, ndcg=0.2, mrr=0.1),
            SliceFacts(feature="label_popularity", value="head", recall=0.5, recall_popularity=0.2, ndcg=0.3, mrr=0.2),
        ],
        decision=DecisionFacts(
            blessed=False,
            checks=[
                Finding(kind="recall_at_10_lift", what="recall@10 is 1.20 times that of recent popularity", met=False),
                Finding(
                    kind="recall_at_10_margin",
                    what="recall@10 differs by +0.0141 from the last blessed model's",
                    met=True,
                ),
            ],
            difference=DifferenceFacts(mean=0.0141, low=-0.0123, high=0.0405, queries=1_137, allowed_drop=0.005),
            servable=[],
        ),
        samples=[sample],
        steps=[
            StepFacts(name="ExampleGen", state="cached", seconds=0.1, started=0.0),
            StepFacts(name="Trainer", state="done", seconds=30.0, started=1.0),
        ],
        seconds=31.0,
        queries=137,
        candidates=45,
        provenance=Provenance(
            source_digest="beef42",
            libraries={"python": "3.10.13", "tfx": "1.16.0", "tensorflow": "2.16.2"},
            cores=2,
            memory_gib=15.5,
            platform="Linux 6.1, x86_64",
        ),
        history=[
            PastRun(when=WHEN - timedelta(days=1), recall=0.3, recall_popularity=0.03, blessed=True),
            PastRun(when=WHEN, recall=0.3141, recall_popularity=0.0271, blessed=False, current=True),
        ],
    )
    return facts.model_copy(update=changes)
