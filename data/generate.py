"""Generate examples from a MovieLens release: `python -m data.generate --help`."""

from __future__ import annotations

import argparse
import logging
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.command import CommandParser, add_beam_option, run_command
from data.errors import InputError
from data.full_disk import disk_faults
from data.options import RELEASE_NAMES, ColumnNames, GenerateOptions, parse_options
from data.splits import STRATEGIES, spelt
from data.user_files import user_path
from data.version import add_version_option

if TYPE_CHECKING:
    # Arrow takes its time to import; `--help` and a bad argument must not wait for it.
    from data.examples.manifest import DataSizes, Manifest
    from data.reader import Reader


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
        The source can't be had or used, nothing is left for a split, or the output can't be written.
    """
    from data.atomic_folder import exclusive, recover, staged
    from data.beam_options import check_job_server

    check_job_server(beam_args)
    output = output.resolve()
    with ExitStack() as stack:
        reader = (
            _open_own_data(options, interactions, items)
            if options.release is None
            else _open_release(options.release, source, cache_dir, progress, stack)
        )
        reader.check_beginning()
        digest = reader.digest()
        with exclusive(output, progress), disk_faults(output):
            recover(output)
            present = _present_manifest(output, options, digest, progress)
            if present is not None:
                progress(f"{output} is up to date")
                return present
            with staged(output) as staging:
                return _write(options, reader, digest, staging, beam_args, progress)


def _open_release(
    name: str, source: Path | None, cache_dir: Path | None, progress: Callable[[str], None], stack: ExitStack
) -> Reader:
    from data.releases.reading import ReleaseReader
    from data.releases.release import find_release, obtain

    release = find_release(name)
    if source is None and release.archive is None:
        source = _write_sample(stack)
    return ReleaseReader(obtain(release, source, cache_dir, progress), release)


def _open_own_data(options: GenerateOptions, interactions: str | None, items: str | None) -> Reader:
    from data.interactions.reading import Interactions

    if interactions is None:
        raise InputError(
            f"where the data of {options.name} lie is not said: set data.interactions, or pass --interactions",
            code="C12",
        )
    return Interactions(interactions, items, options)


def _write_sample(stack: ExitStack) -> Path:
    """Write the sample release to a temporary folder, which the stack removes."""
    from data.environment import temporary_folder
    from data.releases.sample import write_sample_release

    parent = temporary_folder()
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sample-release-", dir=parent)))
        write_sample_release(folder)
    except OSError as error:
        raise InputError(
            f"the sample can't be written to {parent} ({error.strerror}): set TMPDIR to a folder with free space",
            code="F04",
        ) from error
    return folder


def _write(
    options: GenerateOptions,
    reader: Reader,
    digest: str,
    folder: Path,
    beam_args: Sequence[str],
    progress: Callable[[str], None],
) -> Manifest:
    """Fill an empty folder with shards, catalogue and manifest."""
    from data.examples.manifest import DataSizes, Manifest, library_versions
    from data.examples.ratings_profile import RatingsProfile
    from data.examples.shards import RATINGS_PER_SHARD, TIMELINES, ShardKind, file_sha256
    from data.releases.catalogue import CATALOGUE_FILE
    from data.timelines.periods import movies_and_periods
    from data.timelines.user_blocks import BYTES_PER_BLOCK, order_blocks, spill_ratings

    work = folder / "work"
    work.mkdir()
    progress(f"reading {reader.label}")
    num_blocks = max(1, math.ceil(reader.text_size / BYTES_PER_BLOCK))
    files, rated = spill_ratings(reader.ratings(), work, num_blocks)
    catalogue = reader.catalogue(rated)
    is_own = options.release is None
    ordered = order_blocks(
        files,
        reader.codes_of(catalogue),
        min_rating=options.min_rating,
        min_timeline_length=options.min_timeline_length,
        ties=options.ties,
        drop_repeats=options.duplicates == "drop",
    )
    if ordered.repeated is not None and options.duplicates is None:
        reader.report_repeat(ordered.repeated, progress)
    if reader.num_unlisted:
        progress(f"note: {reader.num_unlisted} rated {options.wording.many} are not listed; they have no titles")

    progress(f"writing examples of {ordered.num_ratings:,} ratings by {ordered.num_users:,} users")
    from data.local_generation import GenerationPlan, generate_in_threads

    num_train = options.shards or math.ceil(ordered.num_ratings / RATINGS_PER_SHARD)
    # Eval is about as large a part of train under every split; its shards need not be even.
    num_eval = max(1, math.ceil(num_train * (1 - options.train_fraction)))
    num_shards: dict[ShardKind, int] = {"train": num_train, "eval": num_eval}
    if options.timelines:
        num_shards[TIMELINES] = num_train
    plan = GenerationPlan(options, num_shards, ordered.time_range)
    if beam_args:
        from data.beam_generation import generate_in_beam

        result = generate_in_beam(ordered.blocks, plan, catalogue, folder, work, beam_args, progress)
    else:
        result = generate_in_threads(ordered.blocks, plan, catalogue, folder, work)
    shutil.rmtree(work)
    labels = result.train_labels
    catalogue.with_train_labels(*movies_and_periods(labels.values), labels.counts).save(folder / CATALOGUE_FILE)
    shards = result.shards
    counts = DataSizes(
        train=sum(shard.examples for shard in shards if shard.split == "train"),
        eval=sum(shard.examples for shard in shards if shard.split == "eval"),
        ratings=ordered.num_ratings,
        users=ordered.num_users,
        movies=len(catalogue),
    )
    _check_splits(counts, options)
    manifest = Manifest(
        release=options.release,
        max_rating=ordered.max_stars if is_own else None,
        source_digest=digest,
        options=options,
        split=options.split,
        train_until=options.strategy.train_until(result.cut),
        counts=counts,
        times=result.times,
        shards=shards,
        pad_movie_id=catalogue.pad,
        catalogue_file=CATALOGUE_FILE,
        catalogue_sha256=file_sha256(folder / CATALOGUE_FILE),
        libraries=library_versions(),
        profile=RatingsProfile.of(ordered.days, ordered.lengths, rated_movies=len(rated)),
    )
    manifest.save(folder)
    return manifest


def _check_splits(counts: DataSizes, options: GenerateOptions) -> None:
    train, held_out = counts.train, counts.eval
    if train + held_out == 0:
        raise InputError(
            f"no example is left: no user has {options.min_timeline_length} ratings "
            f"of at least {options.min_rating:g} stars",
            code="C09",
        )
    if not held_out and options.strategy.is_by_time and round(train * options.train_fraction) < train:
        raise InputError(
            f"the eval split is empty: none of {train} labels is later than the last train label, since too many have "
            "one time; choose another split",
            code="C10",
        )
    for split, examples in (("train", train), ("eval", held_out)):
        if not examples:
            raise InputError(
                f"the {split} split is empty: {train + held_out} examples are too few for the "
                f"{spelt(options.split)} split with the train fraction {options.train_fraction:g}",
                code="C11",
            )


def _present_manifest(
    output: Path, options: GenerateOptions, digest: str, progress: Callable[[str], None]
) -> Manifest | None:
    """Return the manifest of what is in the output, if it is what is asked for.

    Raises
    ------
    InputError
        The output holds files that are not ours to replace.
    """
    from data.examples.manifest import FORMAT_VERSION, Manifest

    if not output.exists():
        return None
    _check_replaceable(output)
    if not any(output.iterdir()):
        return None
    try:
        manifest = Manifest.load(output)
        is_wanted = (manifest.format_version, manifest.options, manifest.source_digest) == (
            FORMAT_VERSION,
            options,
            digest,
        )
        if is_wanted:
            manifest.verify(output)
            return manifest
    except InputError as error:
        progress(f"generating again: {error}")
    return None


def _check_replaceable(output: Path) -> None:
    from data.examples.manifest import MANIFEST_FILE
    from data.releases.catalogue import CATALOGUE_FILE

    if not output.is_dir():
        raise InputError(f"{output} is not a folder; choose another output", code="F05")
    ours = re.compile(
        rf"(train|eval|timelines)-\d{{5}}-of-\d{{5}}\.tfrecord\.gz|{re.escape(CATALOGUE_FILE)}|{re.escape(MANIFEST_FILE)}"
    )
    for path in output.iterdir():
        if not ours.fullmatch(path.name):
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
    manifest = generate(
        options,
        parsed.output,
        source=parsed.source,
        interactions=parsed.interactions,
        items=parsed.items,
        cache_dir=parsed.cache_dir,
        beam_args=parsed.beam_arg,
        progress=lambda line: print(line, file=sys.stderr),
    )
    counts = manifest.counts
    print(
        f"{manifest.data_set}, split {manifest.split}: {counts.train:,} train and {counts.eval:,} eval examples "
        f"from {counts.ratings:,} ratings by {counts.users:,} users, {counts.movies:,} {options.wording.many}\n"
        f"{len(manifest.shards)} shards in {parsed.output}"
    )
    return 0


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
    for name, value_type, meaning in (
        ("min_timeline_length", int, "leave out users with fewer ratings"),
        ("max_context_length", int, "movies before the label"),
        ("max_context_movie_genre_length", int, "genres of these movies"),
        ("min_rating", float, "leave out ratings with fewer stars"),
        ("train_fraction", float, "share of train examples, in a split that has one"),
        ("seed", int, "decides the order, and a split by chance"),
    ):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=value_type,
            metavar="N",
            help=f"{meaning} (default {defaults[name]})",
        )
    parser.add_argument(
        "--split",
        type=spelt,
        choices=[spelt(name) for name in STRATEGIES],
        help=f"how examples are held out (default {defaults['split']}). "
        + "; ".join(f"{spelt(name)}: {strategy.summary}" for name, strategy in STRATEGIES.items()),
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
