"""Generate examples from a MovieLens release: `python -m data.generate --help`."""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from data.command import CommandParser, add_beam_option, run_command
from data.errors import InputError
from data.full_disk import disk_faults
from data.options import RELEASE_NAMES, ColumnNames, GenerateOptions, parse_options
from data.span_settings import SpanSettings, Stretch
from data.splits import STRATEGIES, spelt
from data.user_files import user_path
from data.version import add_version_option

if TYPE_CHECKING:
    # Arrow takes its time to import; `--help` and a bad argument must not wait for it.
    from data.examples.manifest import Manifest
    from data.local_generation import GenerationResult
    from data.reader import Reader
    from data.releases.catalogue import Catalogue
    from data.request_log.facts import ServedFacts
    from data.request_log.files import RequestLogReader
    from data.timelines.user_blocks import UserBlock


def _silent(_: str) -> None:
    """Ignore a line of progress."""


def generate(
    options: GenerateOptions,
    output: Path,
    *,
    source: Path | None = None,
    interactions: str | None = None,
    items: str | None = None,
    cache_dir: Path | None = None,
    last_histories: int | None = None,
    requests: Path | None = None,
    beam_args: Sequence[str] = (),
    progress: Callable[[str], None] = _silent,
) -> Manifest:
    """Generate the examples of a release into a folder, unless they are there already.

    The folder is replaced as a whole when everything is written; until then, and after any failure, it is
    as it was.

    Parameters
    ----------
    options
        What to generate.
    output
        The folder. It must not hold files of other kinds.
    source
        The release's zip archive or folder, if the user has it; by default it is downloaded.
    interactions, items
        The files of own data: see `data.interactions.files.find_files`.
    cache_dir
        Where downloads are kept.
    last_histories
        Movies of a user's last history at most, of which a file is written beside the shards; None for no such file.
    requests
        The folder of a request log, which the manifest then holds beside train. Without it what a manifest holds of one
        stays.
    beam_args
        Beam's own flags, to have Beam run the steps; without any they run in threads of this process. Workers must
        see the output's parent.
    progress
        Called with a line of text now and then.

    Returns
    -------
    Manifest
        What lies in the folder now.

    Raises
    ------
    InputError
        The source or the log can't be had or used, nothing is left for a split, or the output can't be written.
    """
    from data.atomic_folder import exclusive, recover, staged
    from data.beam_options import check_job_server
    from data.opening import open_reader
    from data.request_log.files import RequestLogReader

    check_job_server(beam_args)
    output = output.resolve()
    extras = _Extras(last_histories, RequestLogReader(requests) if requests is not None else None)
    with ExitStack() as stack:
        reader = open_reader(
            options, source, interactions, items, cache_dir, progress, stack, keep_users=last_histories is not None
        )
        reader.check_beginning()
        digest = reader.digest()
        with exclusive(output, progress), disk_faults(output):
            recover(output)
            present = _present_manifest(output, options, digest, extras, progress)
            if present is not None:
                progress(f"{output} is up to date")
                return present
            with staged(output) as staging:
                return _write(options, reader, digest, staging, extras, beam_args, progress)


@dataclass(frozen=True)
class _Extras:
    """What is written beside the examples.

    Attributes
    ----------
    last_histories
        Movies of a user's last history at most; None for no file of them.
    log
        The request log to sum up; None for none.
    """

    last_histories: int | None
    log: RequestLogReader | None

    def are_in(self, manifest: Manifest) -> bool:
        """Return whether a folder with a manifest has them."""
        histories, served = manifest.last_histories, manifest.requests
        return (histories.length if histories is not None else None) == self.last_histories and (
            self.log is None or (served is not None and served.log_sha256 == self.log.digest())
        )


def _write(
    options: GenerateOptions,
    reader: Reader,
    digest: str,
    folder: Path,
    extras: _Extras,
    beam_args: Sequence[str],
    progress: Callable[[str], None],
) -> Manifest:
    """Fill an empty folder with shards, catalogue, manifest, and what else is asked for."""
    from data.example_folder import write_examples
    from data.examples.last_histories import write_last_histories
    from data.timelines.frequent_movies import RatingsOfMovies
    from data.timelines.user_blocks import BYTES_PER_BLOCK, order_blocks, spill_ratings

    work = folder / "work"
    work.mkdir()
    progress(f"reading {reader.label}")
    num_blocks = max(1, math.ceil(reader.text_size / BYTES_PER_BLOCK))
    of_movies = RatingsOfMovies(options.min_rating)
    least = options.min_movie_ratings
    files, rated = spill_ratings(of_movies.counted(reader.ratings()) if least else reader.ratings(), work, num_blocks)
    catalogue = reader.catalogue(rated)
    ordered = order_blocks(
        files,
        reader.codes_of(catalogue),
        min_rating=options.min_rating,
        min_timeline_length=options.min_timeline_length,
        ties=options.ties,
        drop_repeats=options.duplicates == "drop",
        only_movies=reader.codes_of(catalogue)(of_movies.at_least(least)) if least else None,
    )
    if ordered.repeated is not None and options.duplicates is None:
        reader.report_repeat(ordered.repeated, progress)
    if reader.num_unlisted:
        progress(f"note: {reader.num_unlisted} rated {options.wording.many} are not listed; they have no titles")

    progress(f"writing examples of {ordered.num_ratings:,} ratings by {ordered.num_users:,} users")

    def beside(result: GenerationResult) -> dict[str, Any]:
        histories = served = None
        if extras.last_histories is not None:
            histories = write_last_histories(folder, ordered.blocks, catalogue, extras.last_histories, reader.users_of)
        if extras.log is not None:
            served = _sum_up(extras.log, options, ordered.blocks, result, catalogue, progress)
        return {"last_histories": histories, "requests": served}

    written = write_examples(
        options,
        ordered,
        catalogue,
        folder,
        source_digest=digest,
        rated_movies=len(rated),
        beam_args=beam_args,
        progress=progress,
        beside=beside,
    )
    written.manifest.save(folder)
    return written.manifest


def _sum_up(
    log: RequestLogReader,
    options: GenerateOptions,
    blocks: Sequence[UserBlock],
    result: GenerationResult,
    catalogue: Catalogue,
    progress: Callable[[str], None],
) -> ServedFacts:
    """Return what a request log says beside the train windows."""
    from data.request_log.summary import sum_up, train_contexts
    from data.timelines.periods import count_by_movie
    from data.timelines.popularity import PopularityTable

    progress("reading the request log")
    train = train_contexts(blocks, options.strategy, result.cut, len(catalogue), options.max_context_length)
    facts = sum_up(log, train, catalogue, PopularityTable.from_counts(count_by_movie(result.train_labels)))
    if facts.unfinished:
        progress(f"note: {facts.unfinished} lines of the request log end in their midst, and are passed over")
    return facts


def _present_manifest(
    output: Path, options: GenerateOptions, digest: str, extras: _Extras, progress: Callable[[str], None]
) -> Manifest | None:
    """Return the manifest of what is in the output, if it is what is asked for.

    Raises
    ------
    InputError
        The output holds files that are not ours to replace.
    """
    from data.examples.manifest import Manifest

    if not output.exists():
        return None
    _check_replaceable(output)
    if not any(output.iterdir()):
        return None
    try:
        manifest = Manifest.load(output)
        is_wanted = manifest.is_current and (manifest.options, manifest.source_digest) == (options, digest)
        if is_wanted and extras.are_in(manifest):
            manifest.verify(output)
            return manifest
    except InputError as error:
        progress(f"generating again: {error}")
    return None


def _check_replaceable(output: Path) -> None:
    from data.examples.last_histories import LAST_HISTORIES_FILE
    from data.examples.manifest import MANIFEST_FILE
    from data.releases.catalogue import CATALOGUE_FILE

    if not output.is_dir():
        raise InputError(f"{output} is not a folder; choose another output", code="F05")
    shards = re.compile(r"(train|eval|timelines)-\d{5}-of-\d{5}\.tfrecord\.gz")
    for path in output.iterdir():
        if path.name not in (CATALOGUE_FILE, MANIFEST_FILE, LAST_HISTORIES_FILE) and not shards.fullmatch(path.name):
            raise InputError(
                f"{output} holds {path.name}, which is not generated data; choose another output", code="F05"
            )


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 for something that can't be used."""
    return run_command(
        lambda: _run(_parser().parse_args(arguments)), stopped="stopped; the output is as it was", outlives_reader=True
    )


def _run(parsed: argparse.Namespace) -> int:
    options = parse_options(
        {name: getattr(parsed, name) for name in GenerateOptions.model_fields if hasattr(parsed, name)}
    )
    if options.release is not None and (parsed.interactions is not None or parsed.items is not None):
        raise InputError("--interactions and --items are for data of your own: leave out --release", code="A10")
    from data.environment import prepare_environment

    prepare_environment(verbose=parsed.verbose)
    if not parsed.verbose:
        # Beam logs a worker's traceback before it raises the error, which is answered in one line below.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    sources: dict[str, Any] = {
        "source": parsed.source,
        "interactions": parsed.interactions,
        "items": parsed.items,
        "cache_dir": parsed.cache_dir,
        "beam_args": parsed.beam_arg,
        "progress": lambda line: print(line, file=sys.stderr),
    }
    chosen = {name: getattr(parsed, name) for name in SpanSettings.model_fields if hasattr(parsed, name)}
    if hasattr(parsed, "span") or chosen:
        return _run_spans(options, parsed, chosen, sources)
    manifest = generate(
        options, parsed.output, last_histories=parsed.last_histories, requests=parsed.requests, **sources
    )
    counts = manifest.counts
    print(
        f"{manifest.data_set}, split {manifest.split}: {counts.train:,} train and {counts.eval:,} eval examples "
        f"from {counts.ratings:,} ratings by {counts.users:,} users, {counts.movies:,} {options.wording.many}\n"
        f"{len(manifest.shards)} shards in {parsed.output}"
    )
    return 0


def _run_spans(
    options: GenerateOptions, parsed: argparse.Namespace, chosen: dict[str, Any], sources: dict[str, Any]
) -> int:
    """Write one span, or those of a first file."""
    from data.spans.writing import write_span, write_spans

    if parsed.requests is not None:
        raise InputError("--requests is not for spans: leave it out", code="N10")
    number = getattr(parsed, "span", None)
    if (number is None) is ("by" not in chosen):
        raise InputError("spans are written by --span, or cut by --spans-by: give one of the two", code="N09")
    used = ("by", "first_through", "min_labels") if number is None else ("max_seen_share", "max_unknown_share")
    unused = sorted(set(chosen) - set(used))
    if unused:
        raise InputError(f"--{unused[0].replace('_', '-')} goes with the other of --span and --spans-by", code="N09")
    try:
        settings = SpanSettings.model_validate(chosen)
    except ValidationError as error:
        [fault, *_] = error.errors()
        raise InputError(f"{fault['loc'][0]} = {fault['input']!r}: {fault['msg']}", code="C07") from error
    limits = {name: getattr(settings, name) for name in used} | {"last_histories": parsed.last_histories}
    if number is None:
        manifests = write_spans(options, parsed.output, **limits, **sources)
    else:
        manifests = [write_span(options, parsed.output, number, **limits, **sources)]
    for manifest in manifests:
        span, counts = manifest.span, manifest.counts
        if span is not None:
            print(
                f"span {span.number}: {counts.train:,} train and {counts.eval:,} eval examples, {span.events:,} events "
                f"({span.seen:,} seen before left out, {span.late:,} late), {counts.movies:,} {options.wording.many}"
            )
    print(f"spans in {parsed.output}")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


_EXAMPLES = {"columns": "--column item=sku", "words": "--word one=product"}


class _Named(argparse.Action):
    """Collects names by what they mean."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        meaning, equals, name = str(values).partition("=")
        if not equals:
            parser.error(f"{option_string} {values}: write MEANING=NAME, such as {_EXAMPLES[self.dest]}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest, {}), meaning: name})


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m data.generate",
        description="Generate next-movie examples from a MovieLens release, or from data of your own.",
        # Options that are not given are left to GenerateOptions, the one place with the defaults.
        argument_default=argparse.SUPPRESS,
    )
    add_version_option(parser)
    defaults = {name: field.default for name, field in GenerateOptions.model_fields.items()}
    parser.add_argument("--release", choices=RELEASE_NAMES, help="which MovieLens data, unless you have your own")
    parser.add_argument(
        "--interactions",
        default=None,
        metavar="FILES",
        help="files of your own interactions: a path, a pattern or an address (CSV, TSV, Parquet or JSON lines)",
    )
    parser.add_argument("--items", default=None, metavar="FILES", help="files of your own items, if you have them")
    parser.add_argument("--name", metavar="NAME", help="the name of your own data")
    parser.add_argument(
        "--column",
        dest="columns",
        action=_Named,
        metavar="MEANING=NAME",
        help=f"what a column of your own files is called; meanings are {', '.join(ColumnNames.model_fields)}",
    )
    parser.add_argument(
        "--word",
        dest="words",
        action=_Named,
        metavar="MEANING=WORD",
        help="what your items are called in messages: one=product, many=products, taken=bought",
    )
    parser.add_argument(
        "--item-ids", choices=["integer", "text"], help="what your items' ids are (by default seen by the first)"
    )
    parser.add_argument(
        "--duplicates", choices=["keep", "drop"], help="what becomes of interactions that occur again (default keep)"
    )
    parser.add_argument("--output", type=user_path, required=True, metavar="DIR", help="where the shards go")
    parser.add_argument(
        "--source", type=user_path, default=None, metavar="ZIP_OR_FOLDER", help="the release, if you have it already"
    )
    parser.add_argument(
        "--cache-dir", type=user_path, default=None, metavar="DIR", help="where downloads are kept (your cache folder)"
    )
    parser.add_argument(
        "--last-histories",
        type=_positive,
        default=None,
        metavar="N",
        help="also write each user's last N movies, for answers to all users",
    )
    parser.add_argument(
        "--requests",
        type=user_path,
        default=None,
        metavar="FOLDER",
        help="what `serve.py --request-log` wrote: how unlike train it is goes into the manifest and the report",
    )
    for name, value_type, meaning in (
        ("min_timeline_length", int, "leave out users with fewer ratings"),
        ("max_context_length", int, "movies before the label"),
        ("max_context_movie_genre_length", int, "genres of these movies"),
        ("min_rating", float, "leave out ratings with fewer stars"),
        ("min_movie_ratings", int, "leave out movies with fewer ratings"),
        ("train_fraction", float, "share of train examples, in a split that has one"),
        ("seed", int, "decides the order, and a split by chance"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=value_type,
            metavar="N",
            help=f"{meaning} (default {'none' if defaults[name] is None else defaults[name]})",
        )
    parser.add_argument(
        "--split",
        type=spelt,
        choices=[spelt(name) for name in STRATEGIES],
        help=f"how examples are held out (default {defaults['split']}). "
        + "; ".join(f"{spelt(name)}: {strategy.summary}" for name, strategy in STRATEGIES.items()),
    )
    spans = parser.add_argument_group(
        "spans", "data that keep arriving, as folders span-1, span-2, ... of --output (docs/data.md)"
    )
    spans.add_argument("--span", type=int, metavar="N", help="write what arrived as this span, the next of the series")
    spans.add_argument(
        "--spans-by", dest="by", choices=get_args(Stretch), help="cut a first file into spans by the time of its events"
    )
    spans.add_argument(
        "--first-through",
        type=date.fromisoformat,
        metavar="DATE",
        help="end the first span with the stretch that this day lies in",
    )
    span_defaults = {name: field.default for name, field in SpanSettings.model_fields.items()}
    for name, value_type, metavar, meaning in (
        ("min_labels", int, "N", "join stretches with fewer labels"),
        ("max_seen_share", float, "SHARE", "refuse a file of which more was in earlier spans"),
        ("max_unknown_share", float, "SHARE", "refuse a file of which more is of unknown movies"),
    ):
        spans.add_argument(
            f"--{name.replace('_', '-')}",
            type=value_type,
            metavar=metavar,
            help=f"{meaning} (default {span_defaults[name]})",
        )
    parser.add_argument(
        "--leave-out",
        choices=["history"],
        help="what evaluation leaves out when it ranks, beside the context: the whole history",
    )
    parser.add_argument(
        "--timelines", action="store_true", help="write train timelines too, for `training.form: chunks`"
    )
    parser.add_argument("--shards", type=int, metavar="N", help="train shards (default by size)")
    add_beam_option(parser, "an option for Beam, which then runs the steps")
    parser.add_argument("--verbose", action="store_true", default=False, help="show what the libraries log")
    return parser


def main() -> int:
    """Run the command line of the module `data.generate`, not of `__main__`.

    Beam pickles functions by their module's name, and workers have another `__main__`.
    """
    from data.generate import run as importable_run

    return importable_run()


if __name__ == "__main__":
    sys.exit(main())
