"""Ask the published model: `python recommend.py --history "12,7,31"`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
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
from pipeline.defaults import DEFAULT_SERVING

if TYPE_CHECKING:
    from pathlib import Path

    from data.movie_ids import MovieId
    from serving.recommender import Recommendation, Recommender

_MAX_K = 100
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
    question.add_argument("--batch", type=user_path, metavar="FILE", help='JSON Lines of {"history": [1270, 1197]}')
    parser.add_argument(
        "--output", type=user_path, metavar="FILE", help="where the answers to --batch go, as JSON Lines"
    )
    parser.add_argument(
        "-k",
        type=int,
        default=10,
        help="movies in an answer, at most 100; fewer where fewer are left (default: %(default)s)",
    )
    parser.add_argument("--include-seen", action="store_true", help="offer movies of the history too")
    add_beam_option(parser, "an option for Beam, which then answers --batch")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log, and errors whole")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument(
        "--model",
        type=user_path,
        metavar="DIR",
        help="a published version, or a folder of versions (default: the newest in runs/serving)",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.k <= _MAX_K:
        parser.error(f"-k is {options.k}: it may be 1 to {_MAX_K}")
    if (options.batch is None) != (options.output is None):
        parser.error("--batch and --output belong together")
    if options.beam_arg and options.batch is None:
        parser.error("--beam-arg is for --batch")
    if options.similar_to is not None and options.include_seen:
        parser.error("--include-seen has no meaning with --similar-to")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _answer(parse_arguments(arguments)))


def _answer(options: argparse.Namespace) -> int:
    prepare_environment(verbose=options.verbose)
    from serving.newest_model import newest_model, resolve_model

    # A wrong question is refused before TensorFlow is imported, which takes seconds.
    # A pipe is as good as a file, and can't be opened twice to try it.
    if options.batch is not None and (options.batch.is_dir() or not options.batch.exists()):
        raise InputError(f"there is no file {options.batch}", code="A06")
    folder = resolve_model(options.model) if options.model is not None else newest_model(DEFAULT_SERVING)
    written = _parse_ids(options.history, has_texts=_has_texts(folder)) if options.history is not None else None

    from serving.export_record import read_record
    from serving.recommender import Recommender

    recommender = Recommender.load(folder)
    words = read_record(folder).words
    if options.batch is not None:
        _answer_file(recommender, folder, options)
        return 0
    if options.similar_to is not None:
        asked = _find_movie(recommender, options.similar_to)
        lead = f"Like {recommender.catalogue.title(asked)}"
        answer = recommender.similar(asked, options.k)
    else:
        history = _find_movies(recommender, options.history_titles) if written is None else written
        for movie_id in history:
            if not recommender.may_be_id(movie_id):
                raise _no_id(str(movie_id))
        _warn_of_unknown(recommender, history)
        titles = "; ".join(recommender.catalogue.title(movie_id) for movie_id in history)
        lead = f"{words.taken.capitalize()} {titles}" if history else ""
        answer = recommender.recommend(history, options.k, include_seen=options.include_seen)
    if options.json:
        print_json(json.dumps([dataclasses.asdict(movie) for movie in answer], ensure_ascii=False, indent=2))
    elif not answer:
        print(f"no {words.one} is left to recommend: the model in {folder} knows no other than those given")
    else:
        print(f"{lead or f'Nothing {words.taken}: what is popular'}\n\n{_table(answer)}\n\nby {folder}")
    return 0


def _answer_file(recommender: Recommender, folder: Path, options: argparse.Namespace) -> None:
    started = time.monotonic()
    if options.beam_arg:
        from serving.beam_batch import recommend_file_in_beam

        if not options.verbose:
            # Beam logs a worker's traceback before it raises the error, which is answered in one line.
            logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        answered = recommend_file_in_beam(
            recommender,
            folder,
            options.batch,
            options.output,
            options.k,
            include_seen=options.include_seen,
            beam_args=options.beam_arg,
            progress=lambda line: print(line, file=sys.stderr),
        )
    else:
        from serving.batch_inference import recommend_file

        answered = recommend_file(
            recommender, options.batch, options.output, options.k, include_seen=options.include_seen
        )
    seconds = max(time.monotonic() - started, 1e-9)
    print(
        f"{answered:,} histories answered in {seconds:.1f} s ({answered / seconds:,.0f} a second): {options.output}",
        file=sys.stderr if is_standard_output(options.output) else sys.stdout,
    )


def _has_texts(model: Path) -> bool:
    """Return whether a model's ids are texts, without TensorFlow; models of earlier versions have integers."""
    try:
        record = json.loads((model / "assets.extra" / "export.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and isinstance(record.get("pad_movie_id"), str)


def _parse_ids(text: str, *, has_texts: bool) -> list[MovieId]:
    """Return the ids of a history as the model has them; where ids are texts, they may hold blanks."""
    if text.lstrip().startswith("["):
        words = _parse_list(text)
    elif has_texts:
        words = [word.strip() for word in text.split(",")] if text.strip() else []
    else:
        words = text.replace(",", " ").split()
    if has_texts:
        return list(words)
    for word in words:
        if not _INTEGER.fullmatch(word):
            raise _no_id(word)
    return [int(word) for word in words]


def _parse_list(text: str) -> list[str]:
    """Return the ids of a list in JSON as they are written."""
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise InputError(f"{text!r} in --history is not JSON", code="A07") from error
    if not all(isinstance(movie_id, str) or type(movie_id) is int for movie_id in listed):
        raise InputError(f"{text!r} in --history holds more than ids", code="A07")
    return [str(movie_id) for movie_id in listed]


def _no_id(word: str) -> InputError:
    return InputError(f"{word!r} in --history is no id; titles go into --history-titles", code="A07")


def _find_movies(recommender: Recommender, text: str) -> list[MovieId]:
    return [movie.id for movie in recommender.titles.find_each(text)]


def _find_movie(recommender: Recommender, text: str) -> MovieId:
    """Return the id of a movie; a text is an id where the catalogue has it, otherwise a title, such as "300"."""
    movie_id = recommender.catalogue.parse_id(text.strip())
    return recommender.titles.find_one(text.strip()).id if movie_id is None else movie_id


def _warn_of_unknown(recommender: Recommender, history: Sequence[MovieId]) -> None:
    unknown = [str(movie_id) for movie_id in history if not recommender.catalogue.has(movie_id)]
    if unknown:
        print(f"not in the catalogue, and passed over: {', '.join(unknown)}", file=sys.stderr)


def _table(answer: Sequence[Recommendation]) -> str:
    header = ("rank", "title", "year", "genres", "score")
    rows = [header] + [
        (str(movie.rank), movie.title, str(movie.year or ""), ", ".join(movie.genres), f"{movie.score:.3f}")
        for movie in answer
    ]
    return columns(rows, "rlllr", indent=0)


if __name__ == "__main__":
    sys.exit(main())
