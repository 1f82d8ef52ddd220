"""The reader of what is to be generated: of a release, had or downloaded, of the sample, or of own files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from data.errors import InputError
from data.options import GenerateOptions
from data.reader import Reader


def open_reader(
    options: GenerateOptions,
    source: Path | None,
    interactions: str | None,
    items: str | None,
    cache_dir: Path | None,
    progress: Callable[[str], None],
    stack: ExitStack,
) -> Reader:
    """Open the data that options name.

    Parameters
    ----------
    options
        Which data.
    source, interactions, items, cache_dir, progress
        As for `data.generate.generate`.
    stack
        Closes and removes, in the end, what reading needs for a while.

    Raises
    ------
    InputError
        The data can't be had, or not be opened.
    """
    if options.release is None:
        return _open_own_data(options, interactions, items)
    return _open_release(options.release, source, cache_dir, progress, stack)


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
