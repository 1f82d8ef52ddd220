"""Ask the published model: `python recommend.py --history "8,2,35"`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.columns import columns
from data.command import CommandParser, add_beam_option, print_json, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import is_standard_output, user_path
from data.version import add_version_option
from pipeline.command_options import add_model_options
from pipeline.defaults import DEFAULT_SERVING

if TYPE_CHECKING:
    from pathlib import Path

    from data.movie_ids import MovieId
    from data.releases.catalogue import Catalogue
    from data.words import Words
    from serving.batch_job import BatchJob
    from serving.filters import Filters
    from serving.recommender import Recommendation, Recommender

_MAX_K = 100
_SHOWN = 10
"""Movies of a question that are named; the others are counted."""
_FILTERS = ("genre", "without_genre", "years", "allow", "deny")
"""Options that narrow the choice."""
_INTEGER = re.compile(r"-?[0-9]{1,19}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="recommend.py",
        description="Recommend movies to watch next, by the published model.",
        epilog="Exit codes: 0 answered; 2 something given can't be used.",
    )
    add_version_option(parser)
    question = parser.add_mutually_exclusive_group(required=True)
    question.add_argument(
        "--history", metavar="IDS", help='movie ids watched, oldest first: "1270,1197,1198", or a list in JSON'
    )
    question.add_argument(
        "--history-titles", metavar="TITLES", help='titles or ids watched, oldest first: "Heat; Back to the Future"'
    )
    question.add_argument("--similar-to", metavar="MOVIE", help="a title or an id: movies like it")
    question.add_argument(
        "--batch", type=user_path, metavar="FILE", help='JSON Lines of {"history": [1270, 1197]}, .csv or .parquet'
    )
    parser.add_argument(
        "--output",
        type=user_path,
        metavar="FILE",
        help="where the answers to --batch go: JSON Lines, .csv or .parquet",
    )
    parser.add_argument("--titles", action="store_true", help="write the movies' titles into the answers to --batch")
    parser.add_argument(
        "-k",
        type=int,
        default=10,
        help="movies in an answer, at most 100; fewer where fewer are left (default: %(default)s)",
    )
    parser.add_argument("--include-seen", action="store_true", help="offer movies of the history too")
    _add_filters(parser)
    add_beam_option(parser, "an option for Beam, which then answers --batch")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log, and errors whole")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    add_model_options(parser, version="a published version", no_label="the newest")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(_with_negative_ids(given))
    if not 1 <= options.k <= _MAX_K:
        parser.error(f"-k is {options.k}: it may be 1 to {_MAX_K}")
    if (options.batch is None) != (options.output is None):
        parser.error("--batch and --output belong together")
    if options.beam_arg and options.batch is None:
        parser.error("--beam-arg is for --batch")
    if options.titles and options.batch is None:
        parser.error("--titles is for --batch")
    if options.similar_to is not None and options.include_seen:
        parser.error("--include-seen has no meaning with --similar-to")
    if options.similar_to is not None and any(getattr(options, name) for name in _FILTERS):
        parser.error("movies can be chosen by genre, year or id for a history, not for --similar-to")
    return options


def _add_filters(parser: argparse.ArgumentParser) -> None:
    """Add what narrows the choice for a history."""
    group = parser.add_argument_group("what to choose from, each for --history, --history-titles and --batch")
    group.add_argument(
        "--genre", action="append", default=[], metavar="NAME", help="a genre that a movie needs; of several, any"
    )
    group.add_argument(
        "--without-genre", action="append", default=[], metavar="NAME", help="a genre that no movie may have"
    )
    group.add_argument("--years", type=_years, metavar="YEARS", help="one or a range: 1994, 1990-1999, 1990- or -1979")
    group.add_argument("--allow", metavar="IDS", help="the only ids to choose from, written as in --history")
    group.add_argument("--deny", metavar="IDS", help="ids not to offer")


def _years(text: str) -> tuple[int, int]:
    from serving.filters import parse_years

    try:
        return parse_years(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _with_negative_ids(arguments: list[str]) -> list[str]:
    """Tie a history that begins with a negative id to its option, which argparse takes for an option of its own."""
    for place, argument in enumerate(arguments[:-1]):
        if argument == "--history" and re.match(r"-[0-9]", arguments[place + 1]):
            return [*arguments[:place], f"--history={arguments[place + 1]}", *arguments[place + 2 :]]
    return arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _answer(parse_arguments(arguments)))


def _answer(options: argparse.Namespace) -> int:
    prepare_environment(verbose=options.verbose)
    from serving.labels import labelled
    from serving.newest_model import newest_model, resolve_model

    # A wrong question is refused before TensorFlow is imported, which takes seconds.
    # A pipe is as good as a file, and can't be opened twice to try it.
    if options.batch is not None and (options.batch.is_dir() or not options.batch.exists()):
        raise InputError(f"there is no file {options.batch}", code="A06")
    if options.model is None and options.pipeline is None:
        folder = newest_model(DEFAULT_SERVING)
    else:
        folder = resolve_model(options.model or DEFAULT_SERVING, options.pipeline)
    if options.label is not None:
        folder = labelled(folder, options.label)
    catalogue = _catalogue_of(folder, options.public_key)
    filters = _filters(options, catalogue)
    if options.batch is not None:
        _check_batch(_batch_job(options, filters), catalogue)
    asked = _asked_movies(options, catalogue, folder)

    from serving.export_record import read_record
    from serving.recommender import Recommender

    recommender = Recommender.load(folder)
    if options.batch is not None:
        _answer_file(recommender, folder, filters, options)
        return 0
    words = read_record(folder).words
    lead, answer = _ask(recommender, asked, filters, words, folder, options)
    if options.json:
        print_json(json.dumps([dataclasses.asdict(movie) for movie in answer], ensure_ascii=False, indent=2))
    elif not answer:
        reason = "knows no other than those given" if filters.is_empty else "knows no other that was asked for"
        print(f"no {words.one} is left to recommend: the model in {folder} {reason}")
    else:
        print(f"{lead}\n\n{_table(answer)}\n\nby {folder}")
    return 0


def _ask(
    recommender: Recommender,
    asked: Sequence[MovieId],
    filters: Filters,
    words: Words,
    folder: Path,
    options: argparse.Namespace,
) -> tuple[str, list[Recommendation]]:
    """Return what stands above the answer, and the answer.

    Raises
    ------
    InputError
        The question is about one movie, which the model doesn't know.
    """
    known = recommender.known(asked)
    unknown = [str(movie_id) for movie_id, is_known in zip(asked, known, strict=True) if not is_known]
    catalogue = recommender.catalogue
    named = [catalogue.title(movie_id) if catalogue.has(movie_id) else f"{words.one} {movie_id}" for movie_id in asked]
    titles = _few(named, "; ")
    if options.similar_to is not None:
        if unknown:
            raise InputError(
                f"the model in {folder} knows no {words.one} {unknown[0]}: train never showed it", code="M16"
            )
        return f"Like {titles}", recommender.similar(asked[0], options.k)
    if unknown:
        print(f"not known to the model, and passed over: {_few(unknown, ', ')}", file=sys.stderr)
    if any(known):
        lead = f"{words.taken.capitalize()} {titles}"
    else:
        lead = f"Nothing {'known' if asked else words.taken}: what is popular"
    return lead, recommender.recommend(asked, options.k, include_seen=options.include_seen, filters=filters)


def _few(names: Sequence[str], separator: str) -> str:
    """Return the first of some names, and how many there are beside them."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{separator.join(names[:_SHOWN])}{more}"


def _catalogue_of(folder: Path, public_key: Path | None) -> Catalogue:
    """Return the catalogue of a model, without TensorFlow; with a key, once the model is verified."""
    from data.releases.catalogue import Catalogue
    from serving.newest_model import CATALOGUE_ASSET, check_model
    from serving.signing import verify_version

    check_model(str(folder), os.path.isfile)
    if public_key is not None:
        verify_version(folder, public_key)
    path = folder / CATALOGUE_ASSET
    try:
        return Catalogue.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(
            f"{path} can't be read: make it anew, or give access to it ({error.strerror or error})", code="M15"
        ) from error


def _batch_job(options: argparse.Namespace, filters: Filters) -> BatchJob:
    from serving.batch_job import BatchJob

    return BatchJob(
        options.batch,
        options.output,
        options.k,
        include_seen=options.include_seen,
        filters=filters,
        titles=options.titles,
    )


def _check_batch(job: BatchJob, catalogue: Catalogue) -> None:
    """Read a plain file of histories to its end; one that is none is checked while it is answered."""
    from serving.requests import read_requests

    if job.source.is_file():
        for _ in read_requests(job, catalogue):
            pass


def _asked_movies(options: argparse.Namespace, catalogue: Catalogue, folder: Path) -> list[MovieId]:
    """Return the movies of the question; none where a file holds it."""
    from serving.titles import TitleIndex

    if options.history is not None:
        return _parse_ids("--history", options.history, catalogue)
    try:
        if options.history_titles is not None:
            return [movie.id for movie in TitleIndex(catalogue).find_each(options.history_titles)]
        if options.similar_to is not None:
            return [_find_movie(catalogue, options.similar_to.strip())]
    except InputError as error:
        if error.code != "M11":
            raise
        raise InputError(f"{error.message}; the model asked is {folder}{_others(folder)}", code="M11") from error
    return []


def _find_movie(catalogue: Catalogue, text: str) -> MovieId:
    """Return the id of a movie; a text is an id where the catalogue has it, otherwise a title, such as "300"."""
    from serving.titles import TitleIndex

    movie_id = catalogue.parse_id(text)
    if movie_id is not None:
        return movie_id
    index = TitleIndex(catalogue)
    if _INTEGER.fullmatch(text) and not catalogue.has_texts and not index.find(text):
        return int(text)
    return index.find_one(text).id


def _others(folder: Path) -> str:
    """Return which other pipelines have published where a model lies, for a message."""
    from serving.versions import version_folders

    names = [found.name for found in version_folders(folder.parent.parent) if found != folder.parent]
    return f"; other models are there: --pipeline {', '.join(names)}" if names else ""


def _answer_file(recommender: Recommender, folder: Path, filters: Filters, options: argparse.Namespace) -> None:
    started = time.monotonic()
    if options.beam_arg:
        from serving.beam_batch import recommend_file_in_beam

        if not options.verbose:
            # Beam logs a worker's traceback before it raises the error, which is answered in one line.
            logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        answered = recommend_file_in_beam(
            recommender,
            folder,
            _batch_job(options, filters),
            beam_args=options.beam_arg,
            progress=lambda line: print(line, file=sys.stderr),
        )
    else:
        from serving.batch_inference import recommend_file

        answered = recommend_file(recommender, _batch_job(options, filters))
    seconds = max(time.monotonic() - started, 1e-9)
    print(
        f"{answered:,} histories answered in {seconds:.1f} s ({answered / seconds:,.0f} a second): {options.output}",
        file=sys.stderr if is_standard_output(options.output) else sys.stdout,
    )


def _filters(options: argparse.Namespace, catalogue: Catalogue) -> Filters:
    """Return what an answer's movies must be."""
    from serving.filters import Filters

    first_year, last_year = options.years or (0, 0)
    filters = Filters(
        allow=None if options.allow is None else tuple(_parse_ids("--allow", options.allow, catalogue)),
        deny=tuple(_parse_ids("--deny", options.deny or "", catalogue)),
        genres=tuple(options.genre),
        without_genres=tuple(options.without_genre),
        first_year=first_year,
        last_year=last_year,
    )
    filters.check(catalogue)
    return filters


def _parse_ids(option: str, text: str, catalogue: Catalogue) -> list[MovieId]:
    """Return ids as the model has them; where ids are texts, they may hold blanks."""
    has_texts = catalogue.has_texts
    if text.lstrip().startswith("["):
        words = _parse_list(option, text)
    elif has_texts:
        words = [word.strip() for word in text.split(",")] if text.strip() else []
    else:
        words = text.replace(",", " ").split()
    if has_texts:
        return list(words)
    for word in words:
        if not (_INTEGER.fullmatch(word) and catalogue.may_be_id(int(word))):
            titles = "; titles go into --history-titles" if option == "--history" else ""
            raise InputError(f"{word!r} in {option} is no id{titles}", code="A07")
    return [int(word) for word in words]


def _parse_list(option: str, text: str) -> list[str]:
    """Return the ids of a list in JSON as they are written."""
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise InputError(f"{text!r} in {option} is not JSON", code="A07") from error
    if not all(isinstance(movie_id, str) or type(movie_id) is int for movie_id in listed):
        raise InputError(f"{text!r} in {option} holds more than ids", code="A07")
    return [str(movie_id) for movie_id in listed]


def _table(answer: Sequence[Recommendation]) -> str:
    header = ("rank", "title", "year", "genres", "score")
    rows = [header] + [
        (str(movie.rank), movie.title, str(movie.year or ""), ", ".join(movie.genres), f"{movie.score:.3f}")
        for movie in answer
    ]
    return columns(rows, "rlllr", indent=0)


if __name__ == "__main__":
    sys.exit(main())
