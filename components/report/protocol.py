"""The protocol of a run's figures in one table: what two figures have to share before they may be compared."""

from __future__ import annotations

from collections.abc import Iterator

from components.report.report_model import DataFacts, ReportModel
from data import features
from data.options import RELEASE_NAMES
from data.splits import STRATEGIES, spelt

_TIES_IN_TIME = {
    "as_given": "ratings of a user at one second keep the order of the release's file",
    "by_movie": "ratings of a user at one second are ordered by {one} and rating, whatever the order of the files",
}


def protocol_rows(facts: ReportModel) -> list[tuple[str, str]]:
    """Return what was decided and what it came to, in words; rows that a run knows nothing of are left out.

    Parameters
    ----------
    facts
        All that is known of the run.
    """
    rows = list(_of_data(facts.data)) if facts.data is not None else []
    return [*rows, *_of_ranking(facts)]


def _of_data(data: DataFacts) -> Iterator[tuple[str, str]]:
    options, words, profile = data.options, data.words, data.profile
    least, enough = options.get("min_rating"), options.get("min_timeline_length")
    unit = "stars" if data.release in RELEASE_NAMES else "weight"
    if least is not None:
        yield "Ratings", f"of at least {least:g} {unit}" if least else "all, whatever their weight"
    if options.get("min_movie_ratings") is not None:
        yield words.many.capitalize(), f"with at least {options['min_movie_ratings']} of these ratings"
    if enough is not None:
        kept = f": {profile.kept_users:,} of {data.users:,}" if profile is not None else ""
        yield "Users", f"with at least {enough} of them{kept}"
    if options.get("duplicates") is not None:
        kept_or_not = "kept" if options["duplicates"] == "keep" else "left out"
        yield "Repeats", f"ratings that occur again at the same second are {kept_or_not}"
    if data.ties is not None:
        yield "Ties in time", _TIES_IN_TIME[data.ties].format(one=words.one)
    yield from _context(data)
    strategy = STRATEGIES[data.split]
    fraction = options.get("train_fraction") if "train_fraction" in strategy.uses() else None
    share = f"; train is {fraction:.0%} of the examples" if fraction is not None else ""
    ends = f"; train ends at {data.train_until:%Y-%m-%d %H:%M} UTC" if data.train_until is not None else ""
    yield "Split", f"{spelt(data.split)}: {strategy.summary}{share}{ends}"
    if "seed" in options:
        by_chance = "decides the split and the order" if "seed" in strategy.uses() else "decides the order alone"
        yield "Seed", f"{options['seed']}, which {by_chance} of the examples"


def _context(data: DataFacts) -> Iterator[tuple[str, str]]:
    most = data.options.get("max_context_length")
    held_out = data.split_named("eval")
    lengths = [int(length) for length in held_out.context_lengths] if held_out is not None else []
    if most is not None:
        found = f"; from {min(lengths)} to {max(lengths)} in the eval split" if lengths else ""
        yield "Context", f"the last {most} {data.words.many} before the label, or as many as there are{found}"


def _how_much_is_read(facts: ReportModel) -> str:
    if facts.settings.get("model", {}).get("reads") == "history":
        return "which the model reads from its beginning"
    return "however little of it the model reads"


def _of_ranking(facts: ReportModel) -> Iterator[tuple[str, str]]:
    many, one = facts.words.many, facts.words.one
    held_out = facts.data.split_named("eval") if facts.data is not None else None
    if facts.queries is None:
        return
    yield "Queries", f"{facts.queries:,}: each eval example asks once, and has one label"
    if facts.candidates is not None:
        of_all = f" of the catalogue's {facts.data.movies:,}" if facts.data is not None else ""
        yield f"Ranked {many}", f"all {facts.candidates:,} that train holds{of_all}; none are sampled"
    whole = facts.data is not None and facts.data.options.get("leave_out") is not None
    left_out = (
        f"all {many} of the query's whole history, {_how_much_is_read(facts)}"
        if whole
        else f"the {many} of the query's own context, as in serving"
    )
    yield "Left out when ranking", f"{left_out}; in figures that are called unfiltered, none"
    yield "Ties in score", f"count against the model: a label stands behind every {one} of its score"
    if facts.data is not None and facts.data.left_out is not None:
        unknown = facts.data.left_out
        yield (
            "Left out of eval",
            f"{unknown.of_users:,} labels of {unknown.users:,} users without a train label, and {unknown.of_movies:,} "
            f"labels of {many} that train never shows: they are in no figure",
        )
    if held_out is not None:
        unseen = held_out.popularity.get(features.POPULARITY_BUCKETS[-1], 0)
        yield (
            "Cold labels",
            f"{unseen:,} of {held_out.examples:,} eval labels are never a label in train; they stay in every figure, "
            "and those that train doesn't hold at all are misses at any k",
        )
