"""What `recommend.py --batch` is asked to do: a file of histories, the file for the answers, and what these hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from data.errors import InputError
from data.movie_ids import MovieId
from serving.filters import Filters

FileFormat = Literal["jsonl", "csv", "parquet"]

_FORMATS: dict[str, FileFormat] = {".csv": "csv", ".parquet": "parquet"}
"""By the ends of names."""

_SHOWN = 10
"""Names of columns in a message."""

Request = tuple[dict[str, Any], list[MovieId]]
"""What to repeat in the answer, which is `{"id": ...}` or nothing, and the history."""


@dataclass(frozen=True)
class BatchJob:
    """A file of histories that is to be answered.

    Attributes
    ----------
    source
        The histories: a file, or for JSON Lines and CSV a pipe too.
    target
        Gets the answers in the order of the histories. A plain file appears when it is whole; a device or a pipe is
        written to.
    k
        Length of an answer, at most `serving.recommender.MAX_K`; one is shorter where its history leaves fewer movies.
    include_seen
        Whether to offer the histories' own movies too.
    filters
        What every movie of an answer must be.
    titles
        Whether to write each movie's title beside its id.
    """

    source: Path
    target: Path
    k: int = 10
    include_seen: bool = False
    filters: Filters = field(default_factory=Filters)
    titles: bool = False

    @property
    def source_format(self) -> FileFormat:
        """The source's format, by the end of its name."""
        return _format_of(self.source)

    @property
    def target_format(self) -> FileFormat:
        """The target's format, by the end of its name."""
        return _format_of(self.target)


def check_columns(source: Path, names: Sequence[str]) -> None:
    """Check the names of a source's columns.

    Raises
    ------
    InputError
        There is no column `history`, or a column twice.
    """
    if names.count("history") != 1 or names.count("id") > 1:
        # A name may hold anything, line ends among it.
        shown = ", ".join(map(repr, names[:_SHOWN])) or "none"
        raise InputError(
            f"{source} needs one column `history` and at most one `id`, and has {shown}"
            f"{', ...' if len(names) > _SHOWN else ''}",
            code="M14",
        )


def _format_of(path: Path) -> FileFormat:
    """Return a file's format; what is named like neither of the others, such as a pipe, is JSON Lines.

    >>> _format_of(Path("answers.CSV")), _format_of(Path("/dev/stdout"))
    ('csv', 'jsonl')
    """
    return _FORMATS.get(path.suffix.lower(), "jsonl")
