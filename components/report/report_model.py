"""The facts on the page about a run: plain data, which is stored as JSON and needs no TensorFlow."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from components.audit.figures import AuditResult
from components.finding import Figure, Finding
from components.naming import BASELINE_NODE, LAST_BLESSED, PREVIOUS_STATISTICS, SERVED
from data.examples.ratings_profile import RatingsProfile
from data.movie_ids import MovieId
from data.request_log.facts import ServedFacts
from data.splits.division import LeftOut
from data.words import MOVIES, Words
from serving.training_record import TrainingRecord

_ALWAYS_RUN = {BASELINE_NODE, PREVIOUS_STATISTICS}
"""Steps that look for something in each run, whether or not anything changed."""

FACTS_FILE = "facts.json"
REPORT_FILE = "report.html"


class _Facts(BaseModel):
    """Refuses fields that it doesn't have: a renamed one would vanish from the page without a sign."""

    model_config = ConfigDict(extra="forbid")


class MetricRow(_Facts):
    """One metric of the candidate, beside what it is compared with; None where there is nothing of the kind.

    Attributes
    ----------
    low, high
        Ends of the 95 % interval of the candidate's value, where it is a share of queries.
    required
        The least value that the gate accepts.
    met
        Whether the candidate reaches it; None where nothing is asked.
    """

    name: str
    model: Figure
    low: Figure = None
    high: Figure = None
    unfiltered: Figure = None
    popularity: Figure = None
    recent_popularity: Figure = None
    baseline: Figure = None
    required: float | None = None
    met: bool | None = None

    @property
    def label(self) -> str:
        """The name as people write it."""
        return self.name.replace("_at_", "@").replace("_", " ")


class RecommendedMovie(_Facts):
    """One movie of an answer; `is_label` is whether it is the one that was really watched next."""

    rank: int
    title: str
    score: Figure
    genres: list[str] = []
    is_label: bool = False


class Sample(_Facts):
    """An eval example and what the model recommends for it.

    Attributes
    ----------
    history, history_ids
        Titles and ids of the context, oldest first.
    label, label_genres
        The movie that was watched next.
    recommended
        Best first.
    label_rank
        The label's exact rank, as the metrics have it; None where the model doesn't know the movie.
    """

    history: list[str]
    history_ids: list[MovieId] = []
    label: str
    label_genres: list[str] = []
    recommended: list[RecommendedMovie]
    label_rank: int | None

    @property
    def is_hit(self) -> bool:
        """Whether the label is among the recommended movies."""
        return any(movie.is_label for movie in self.recommended)


class TopMovie(_Facts):
    """A movie among the labels, with its share of them."""

    title: str
    count: int
    share: float


class SplitFacts(_Facts):
    """What one split holds, padding left out.

    Attributes
    ----------
    padding_share
        Pads among the context positions.
    mean_context_length
        Movies in a context.
    unseen_label_share
        Labels that train never shows.
    distinct_labels
        Movies that are a label.
    context_lengths, popularity, stars
        How often each value occurs.
    top_labels
        The most frequent labels.
    """

    split: str
    examples: int
    padding_share: float
    mean_context_length: float
    unseen_label_share: float
    distinct_labels: int
    context_lengths: dict[str, int]
    popularity: dict[str, int]
    stars: dict[str, int]
    top_labels: list[TopMovie]


class DataFacts(_Facts):
    """The data of a run: where it comes from, and what its splits hold.

    Attributes
    ----------
    ties
        How a user's ratings at one time are ordered.
    train_until
        Time of the newest train label, where train ends at a time.
    left_out
        Labels that are not in eval since train shows neither user nor movie; None where the split keeps them.
    profile
        The ratings by time and by user; None where an earlier version generated the examples.
    libraries
        Versions of Python and of the libraries that wrote the examples.
    requests
        Served requests beside train; None where no request log was given.
    """

    release: str
    words: Words = MOVIES
    split: str
    ratings: int
    users: int
    movies: int
    options: dict[str, Any]
    manifest_digest: str
    splits: list[SplitFacts] = []
    ties: Literal["as_given", "by_movie"] | None = None
    train_until: datetime | None = None
    left_out: LeftOut | None = None
    profile: RatingsProfile | None = None
    libraries: dict[str, str] = {}
    requests: ServedFacts | None = None

    def split_named(self, name: str) -> SplitFacts | None:
        """Return what a split holds; None where its statistics are not known."""
        return next((split for split in self.splits if split.split == name), None)


class DataGateFacts(_Facts):
    """What is wrong with the data, and how far it lies from the last run's."""

    findings: list[Finding] = []
    distances: dict[str, Figure] = {}
    not_compared: dict[str, str] = {}
    compared_with_previous: bool = False
    finished: bool = True


class SliceFacts(_Facts):
    """Metrics of the eval examples that share a feature's value; `low` to `high` is recall's 95 % interval."""

    feature: str
    value: str
    recall: Figure
    low: Figure = None
    high: Figure = None
    recall_popularity: Figure
    ndcg: Figure
    mrr: Figure
    examples: int | None = None


class DifferenceFacts(_Facts):
    """The model's recall@10 minus the other's on the same queries, with its 95 % interval.

    Attributes
    ----------
    allowed_drop
        How far the gate lets the model lie below.
    non_inferior
        Whether the gate asks that the whole interval lies above that.
    """

    mean: Figure
    low: Figure
    high: Figure
    queries: int
    allowed_drop: float | None = None
    non_inferior: bool = False


class DecisionFacts(_Facts):
    """What became of the model, and why.

    Attributes
    ----------
    blessed
        The Evaluator's decision; None where it did not run.
    checks
        What the gate asked.
    difference
        To the model that it is compared with; None where there was none.
    no_baseline
        Why there was none.
    forms
        What that model and this one read, where it is not the same.
    servable
        What the servable check found wrong; None where it did not run.
    published
        The version, or None.
    model_folder
        Where that version lies; None where that is not known.
    """

    blessed: bool | None = None
    checks: list[Finding] = []
    difference: DifferenceFacts | None = None
    no_baseline: str | None = None
    forms: str | None = None
    servable: list[Finding] | None = None
    published: str | None = None
    model_folder: str | None = None


class StepFacts(_Facts):
    """One step of the run; `started` counts in seconds from the run's beginning."""

    name: str
    state: str
    seconds: float
    started: float = 0.0


class PastRun(_Facts):
    """One of the pipeline's judged models; `audit` holds the audit's figures by name."""

    when: datetime
    recall: Figure
    recall_popularity: Figure
    blessed: bool
    current: bool = False
    audit: dict[str, Figure] = {}


class SpanDay(_Facts):
    """A span, and how the model that was served did on it before anything was learned from it.

    Attributes
    ----------
    outcome
        What became of it: `refused` by a gate of the data, `judged` where its model was refused, or `published`; None
        where it was not decided about.
    reason
        Why it was refused.
    version
        As which the served model was published; None where none was served, or nothing was measured.
    recall, ndcg
        At 10, of that model; None where nothing was measured.
    low, high
        Ends of the 95 % interval of its recall.
    queries
        The span's labels.
    current
        Whether the run is of this span.
    """

    span: int
    outcome: Literal["refused", "judged", "published"] | None = None
    reason: str | None = None
    version: str | None = None
    recall: Figure = None
    low: Figure = None
    high: Figure = None
    ndcg: Figure = None
    queries: int | None = None
    current: bool = False


class Failure(_Facts):
    """Why a run ended early."""

    step: str
    error: str


class Provenance(_Facts):
    """Where a run's figures come from, besides version and commit.

    Attributes
    ----------
    source_digest
        SHA-256 over the code that trains, as in a model's publication.
    libraries
        Versions of Python and of the libraries of the run's process.
    cores
        Processors that it could use.
    memory_gib
        Of the machine.
    platform
        System, kernel and processor, without the machine's name.
    """

    source_digest: str | None = None
    libraries: dict[str, str] = {}
    cores: int | None = None
    memory_gib: float | None = None
    platform: str | None = None


class ReportModel(_Facts):
    """All that is known of one run; what is not known is None or empty.

    Attributes
    ----------
    code_version, commit
        Of the code that the run was made with.
    queries, candidates
        How many labels were ranked, among how many movies; None where no model was judged.
    curves
        Learning curves, a list with one value for each epoch; None where it was no number.
    training
        How the model's training began; None where its export doesn't say.
    choice
        Which of a warm and a cold training's models went on, and why; None where there was one training.
    days
        The spans so far, ascending; none where data stand for themselves.
    steps, history, seconds, choice, days
        Known only where ML Metadata can be read.
    """

    pipeline: str
    made_at: datetime
    code_version: str | None = None
    commit: str | None = None
    settings: dict[str, Any] = {}
    data: DataFacts | None = None
    data_gate: DataGateFacts | None = None
    curves: dict[str, list[Figure]] = {}
    training: TrainingRecord | None = None
    metrics: list[MetricRow] = []
    queries: int | None = None
    candidates: int | None = None
    slices: list[SliceFacts] = []
    decision: DecisionFacts = DecisionFacts()
    samples: list[Sample] = []
    audit: AuditResult | None = None
    steps: list[StepFacts] = []
    seconds: float | None = None
    history: list[PastRun] = []
    choice: str | None = None
    days: list[SpanDay] = []
    failure: Failure | None = None
    provenance: Provenance | None = None

    @property
    def is_cached(self) -> bool:
        """Whether nothing was computed: all steps but those that always look were taken from the cache."""
        return {step.state for step in self.steps if step.name not in _ALWAYS_RUN} == {"cached"}

    @property
    def compared_with(self) -> str:
        """Which model the run's is held against, in words."""
        return SERVED if self.settings.get("rolling") is not None else LAST_BLESSED

    @property
    def words(self) -> Words:
        """What the items are called."""
        return self.data.words if self.data is not None else MOVIES
