"""What freshness and a warm start buy: `python -m benchmarks.rolling --release ml-latest-small`.

Ratings are replayed by time. After each span models learn from all that is known by then, and are judged on the labels
of the next span, which none of them has seen: the first model, which stays as it is; one trained from the beginning;
and ones that start from the model of the span before. They are trained by the functions that the Trainer calls.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import describe_machine, markdown_table, positive_int
from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.user_files import user_path

if TYPE_CHECKING:
    from benchmarks.quality.replay import Replay
    from pipeline.settings import Settings
    from trainer_module.dataset import Windows
    from trainer_module.model import NextMovieModel
    from trainer_module.settings import RollingSettings

STALE, COLD = "stale", "cold"
WARM = {"counts": "warm", "features": "warm, genres and year", "zeros": "warm, zeros"}
"""The warm starts, by what new movies start from."""

_TOP = 10


@dataclass(frozen=True)
class Outcome:
    """What a system did on a span.

    Attributes
    ----------
    system, seed, span
        Which, and the span from 2 on that it was judged on.
    seconds
        What its training took.
    hits, gain
        Labels within the first ten, and the sum of their gains for NDCG.
    queries
        Labels of the span.
    new_hits, new_queries
        The same of the labels that the last training was the first to know.
    """

    system: str
    seed: int
    span: int
    seconds: float
    hits: int
    gain: float
    queries: int
    new_hits: int
    new_queries: int

    @property
    def recall(self) -> float:
        """The share of labels within the first ten."""
        return self.hits / self.queries

    @property
    def ndcg(self) -> float:
        """NDCG@10."""
        return self.gain / self.queries


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    prepare_environment()
    from benchmarks.quality.replay import replay
    from pipeline.settings import load_settings
    from trainer_module.settings import RollingSettings

    settings = load_settings(options.config or options.release, {"release": options.release})
    names = ("epochs_warm", "learning_rate_warm", "replay")
    given = {name: getattr(options, name) for name in names}
    rolling = RollingSettings.model_validate({name: value for name, value in given.items() if value is not None})
    played = replay(settings.data, options.source, spans=options.spans, first=options.first, until=options.until)
    print(
        f"{settings.data.release}: {played.ends[0]:,} labels before the first of {options.spans} spans of some "
        f"{np.mean(np.diff(played.ends)):,.0f} labels and {np.mean(played.days):,.0f} days; "
        f"{settings.training.epochs} epochs cold, {rolling.epochs_warm} warm at a rate of "
        f"{rolling.of_warm(settings.training).learning_rate:g} with {rolling.replay:g} older windows for each "
        f"new one; seeds {', '.join(map(str, options.seeds))}; "
        f"{describe_machine()}\n",
        flush=True,
    )
    outcomes = []
    for seed in options.seeds:
        for outcome in follow(played, settings, rolling, options.new_rows, seed):
            outcomes.append(outcome)
            print(
                f"seed {seed}, span {outcome.span}, {outcome.system}: recall@10 {outcome.recall:.4f}, "
                f"{outcome.seconds:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        if options.save is not None:
            options.save.write_text(json.dumps([asdict(outcome) for outcome in outcomes]), encoding="utf-8")
    print(span_table(outcomes), end="\n\n")
    print(mean_table(outcomes))
    if options.plot is not None:
        draw(outcomes, played, options.plot)


def follow(
    played: Replay, settings: Settings, rolling: RollingSettings, new_rows: Sequence[str], seed: int
) -> Iterator[Outcome]:
    """Train every system after each span but the last, and yield how it does on the span that follows.

    Parameters
    ----------
    played
        The ratings.
    settings
        The model and its training from the beginning.
    rolling
        Its warm training.
    new_rows
        The warm starts to follow, each with its own models from span to span.
    seed
        In place of the settings' own.
    """
    from benchmarks.quality.replay import in_vocabulary, vocabulary_of
    from trainer_module.model import weights_of
    from trainer_module.training import fit
    from trainer_module.warm_start import Learnt, grown_weights, windows_to_learn

    training = settings.training.model_copy(update={"seed": seed})
    known = played.until(0)
    codes = vocabulary_of(known)
    # TensorFlow's own beginning is in nobody's seconds.
    fit(in_vocabulary(known, codes), len(codes), settings.model, training.model_copy(update={"epochs": 1}))
    stale_codes, stale = codes, fit(in_vocabulary(known, codes), len(codes), settings.model, training)
    served = {kind: Learnt(codes, weights_of(stale)) for kind in new_rows}
    for span in range(1, len(played.ends) - 1):
        known, judged_on, earlier = played.until(span), played.of(span + 1), codes
        # Known movies keep their places, as nothing depends on the order.
        codes = np.append(earlier, np.setdiff1d(vocabulary_of(known), earlier))
        train = in_vocabulary(known, codes)
        fresh = np.setdiff1d(codes, earlier)
        is_new = np.arange(len(train)) >= played.ends[span - 1]
        years, genres = played.catalogue.years_and_genres(played.catalogue.ids[codes - 1])

        judge = partial(_judge, seed=seed, span=span + 1, windows=judged_on, fresh=fresh)
        yield judge(STALE, stale, stale_codes, seconds=0.0)
        started = time.monotonic()
        model = fit(train, len(codes), settings.model, training)
        yield judge(COLD, model, codes, seconds=time.monotonic() - started)
        for kind in new_rows:
            started = time.monotonic()
            start = grown_weights(served[kind], codes, train, years, genres, kind)
            learning = windows_to_learn(train, is_new, rolling.replay, seed)
            model = fit(learning, len(codes), settings.model, rolling.of_warm(training), start=start)
            seconds = time.monotonic() - started
            served[kind] = Learnt(codes, weights_of(model))
            yield judge(WARM[kind], model, codes, seconds=seconds)


def _judge(
    system: str,
    model: NextMovieModel,
    codes: np.ndarray,
    *,
    seed: int,
    span: int,
    windows: Windows,
    fresh: np.ndarray,
    seconds: float,
) -> Outcome:
    from benchmarks.quality.replay import in_vocabulary
    from benchmarks.quality.scoring import gains, rank_windows, scorer_of

    ranks = rank_windows(scorer_of(model), in_vocabulary(windows, codes), len(codes)).excluded
    hits, is_new = ranks <= _TOP, np.isin(windows.label, fresh)
    return Outcome(
        system,
        seed,
        span,
        seconds,
        hits=int(hits.sum()),
        gain=float(gains(ranks).sum()),
        queries=len(ranks),
        new_hits=int(hits[is_new].sum()),
        new_queries=int(is_new.sum()),
    )


def span_table(outcomes: Sequence[Outcome]) -> str:
    """Return a row for each span: recall@10, NDCG@10 and seconds of each system, means over the seeds."""
    systems = _systems(outcomes)
    header = ["span", "labels"]
    for system in systems:
        header += [f"{system}: recall@10", "NDCG@10"] + ([] if system == STALE else ["s"])
    rows = []
    for span in _spans(outcomes):
        row: list[Any] = [span, next(f"{outcome.queries:,}" for outcome in outcomes if outcome.span == span)]
        for system in systems:
            found = [outcome for outcome in outcomes if (outcome.system, outcome.span) == (system, span)]
            row += [f"{_mean(found, 'recall'):.4f}", f"{_mean(found, 'ndcg'):.4f}"]
            row += [] if system == STALE else [f"{_mean(found, 'seconds'):.1f}"]
        rows.append(row)
    return markdown_table(header, rows)


def mean_table(outcomes: Sequence[Outcome]) -> str:
    """Return a row for each system: means over spans and seeds, also in shares of the cold training's."""
    rows = []
    cold = [outcome for outcome in outcomes if outcome.system == COLD]
    for system in _systems(outcomes):
        found = [outcome for outcome in outcomes if outcome.system == system]
        new = sum(outcome.new_queries for outcome in found)
        low, high = share_interval(found, cold)
        rows.append(
            [
                system,
                f"{_mean(found, 'recall'):.4f}",
                f"{_mean(found, 'ndcg'):.4f}",
                f"{_mean(found, 'recall') / _mean(cold, 'recall'):.1%} [{low:.1%}, {high:.1%}]",
                f"{_mean(found, 'seconds'):.1f}",
                f"{_mean(found, 'seconds') / _mean(cold, 'seconds'):.0%}",
                f"{sum(outcome.new_hits for outcome in found) / max(new, 1):.4f} of {new:,}",
            ]
        )
    header = ["system", "recall@10", "NDCG@10", "recall@10 of cold's", "s", "s of cold's", "recall@10, new movies"]
    return markdown_table(header, rows)


def share_interval(found: Sequence[Outcome], cold: Sequence[Outcome], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a system's mean recall@10 in shares of the cold training's.

    Spans with all their seeds are drawn, so that it says how much the share depends on which spans there were.
    """
    ours, theirs = (
        {span: _mean([o for o in of if o.span == span], "recall") for span in _spans(of)} for of in (found, cold)
    )
    pairs = np.array([[ours[span], theirs[span]] for span in ours])
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(1000, len(pairs)))
    means = pairs[drawn].mean(axis=1)
    low, high = np.percentile(means[:, 0] / means[:, 1], [2.5, 97.5])
    return float(low), float(high)


def draw(outcomes: Sequence[Outcome], played: Replay, file: Path) -> None:
    """Draw recall@10 by span, a line for each system, into an SVG or PNG file."""
    import altair as alt

    systems = [system for system in _systems(outcomes) if system in (STALE, COLD, WARM["counts"])]
    rows = [
        {
            "span": span,
            "system": system,
            "recall": _mean([o for o in outcomes if (o.system, o.span) == (system, span)], "recall"),
        }
        for system in systems
        for span in _spans(outcomes)
    ]
    axis = alt.Axis(values=_spans(outcomes), format="d", grid=False)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("span:Q", title="span that the model was judged on", axis=axis, scale=alt.Scale(zero=False)),
            y=alt.Y("recall:Q", title="recall@10 on labels never seen", scale=alt.Scale(zero=False)),
            color=alt.Color("system:N", sort=systems, title=None, legend=alt.Legend(orient="top")),
        )
        .properties(width=560, height=280, background="white")
    )
    chart.save(str(file))


def _systems(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(outcome.system for outcome in outcomes))


def _spans(outcomes: Sequence[Outcome]) -> list[int]:
    return sorted({outcome.span for outcome in outcomes})


def _mean(outcomes: Sequence[Outcome], figure: str) -> float:
    return float(np.mean([getattr(outcome, figure) for outcome in outcomes]))


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
    return share


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m benchmarks.rolling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", required=True, help="the MovieLens release, or `sample`")
    parser.add_argument("--source", type=user_path, metavar="ZIP_OR_FOLDER", help="the release, if you have it")
    parser.add_argument("--config", metavar="NAME_OR_FILE", help="the configuration (default: the release's own)")
    parser.add_argument("--spans", type=positive_int, default=9, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--first",
        type=_share,
        default=2 / 3,
        metavar="SHARE",
        help="labels before the first span (default: two thirds)",
    )
    parser.add_argument(
        "--until", type=_share, default=1.0, metavar="SHARE", help="labels to the end of the last one (default: all)"
    )
    parser.add_argument("--epochs-warm", type=positive_int, metavar="N", help="default: that of rolling.epochs_warm")
    parser.add_argument("--learning-rate-warm", type=float, metavar="RATE", help="default: as rolling has it")
    parser.add_argument("--replay", type=float, metavar="SHARE", help="default: that of rolling.replay")
    parser.add_argument(
        "--new-rows", nargs="+", choices=list(WARM), default=["counts", "zeros"], help="the warm starts to follow"
    )
    parser.add_argument("--seeds", type=positive_int, nargs="+", default=[42], metavar="N", help="default: 42")
    parser.add_argument("--save", type=user_path, metavar="FILE", help="write the figures of each span as JSON")
    parser.add_argument("--plot", type=user_path, metavar="FILE", help="draw recall@10 by span, as .svg or .png")
    return parser
