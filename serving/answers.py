"""Answers to a file of histories, and the files that they are written to.

A file holds the answers in the order of the histories:

    JSON Lines   `{"id": ..., "movie_id": [...], "score": [...]}` on a line, the id as it was given, if it was
    CSV          a row for each movie of an answer: row, id, rank, movie_id, score
    Parquet      a row for each answer: id, movie_id (list), score (list)

and titles behind the scores, if they are wanted. In CSV `row` counts the histories from 1: without it those without an
id, or with one that stands twice, could not be told apart, nor be seen which was left without an answer.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from data.movie_ids import MovieId, plain_id
from data.releases.catalogue import Catalogue
from data.user_files import writing
from serving.batch_job import BatchJob

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_IN_A_GROUP = 4096
"""Answers in a row group of Parquet, which are in memory together."""

Write = Callable[[Iterable["Answer"]], None]


class Answer(NamedTuple):
    """The answer to one history; as many scores as movies, best first."""

    kept: dict[str, Any]
    """The request's own, to be repeated."""
    movie_ids: list[MovieId]
    scores: list[float]


@contextmanager
def answers_written(job: BatchJob, catalogue: Catalogue) -> Iterator[Write]:
    """Yield a function that writes answers to a job's target, in order; the bytes don't depend on how they are parted.

    Raises
    ------
    InputError
        The target can't be written.
    """
    titles_of = _Titles(catalogue) if job.titles else None
    with writing(job.target) as file:
        if job.target_format == "parquet":
            with _parquet_writer(file, job, catalogue, titles_of) as write:
                yield write
        else:
            yield _csv_writer(file, titles_of) if job.target_format == "csv" else _json_writer(file, titles_of)


class _Titles:
    """The titles of an answer's movies."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        # The catalogue would search its arrays for each movie anew.
        self._by_id = dict(zip(map(plain_id, catalogue.ids.tolist()), catalogue.titles, strict=True))

    def __call__(self, movie_ids: Sequence[MovieId]) -> list[str]:
        return [self._by_id[one] if one in self._by_id else self._catalogue.title(one) for one in movie_ids]


def _json_writer(file: TextIO, titles_of: _Titles | None) -> Write:
    def write(answers: Iterable[Answer]) -> None:
        for answer in answers:
            line = {**answer.kept, "movie_id": answer.movie_ids, "score": answer.scores}
            if titles_of is not None:
                line["title"] = titles_of(answer.movie_ids)
            file.write(json.dumps(line) + "\n")

    return write


def _csv_writer(file: TextIO, titles_of: _Titles | None) -> Write:
    # All texts stand in quotes: what needs some is not left to the writer, which forgets a CR.
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(["row", "id", "rank", "movie_id", "score", *(["title"] if titles_of is not None else [])])
    row = 0

    def write(answers: Iterable[Answer]) -> None:
        nonlocal row
        for answer in answers:
            row += 1
            columns: list[Sequence[Any]] = [answer.movie_ids, answer.scores]
            if titles_of is not None:
                columns.append(titles_of(answer.movie_ids))
            for rank, values in enumerate(zip(*columns, strict=True), start=1):
                writer.writerow([row, answer.kept.get("id"), rank, *values])

    return write


@contextmanager
def _parquet_writer(file: TextIO, job: BatchJob, catalogue: Catalogue, titles_of: _Titles | None) -> Iterator[Write]:
    # Arrow is imported for who needs it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    from serving.parquet_requests import id_type

    schema = pa.schema(
        {
            "id": id_type(job.source) if job.source_format == "parquet" else pa.string(),
            "movie_id": pa.list_(pa.string() if catalogue.has_texts else pa.int64()),
            "score": pa.list_(pa.float64()),
            **({"title": pa.list_(pa.string())} if titles_of is not None else {}),
        }
    )
    waiting: list[Answer] = []
    with pq.ParquetWriter(file.buffer, schema) as writer:

        def write(answers: Iterable[Answer]) -> None:
            answers = iter(answers)
            while more := list(islice(answers, _ROWS_IN_A_GROUP - len(waiting))):
                waiting.extend(more)
                if len(waiting) == _ROWS_IN_A_GROUP:
                    writer.write_table(_table(waiting, schema, titles_of))
                    waiting.clear()

        yield write
        if waiting:
            writer.write_table(_table(waiting, schema, titles_of))


def _table(answers: Sequence[Answer], schema: pa.Schema, titles_of: _Titles | None) -> pa.Table:
    import pyarrow as pa

    columns = {
        "id": [answer.kept.get("id") for answer in answers],
        "movie_id": [answer.movie_ids for answer in answers],
        "score": [answer.scores for answer in answers],
    }
    if titles_of is not None:
        columns["title"] = [titles_of(answer.movie_ids) for answer in answers]
    return pa.table(columns, schema=schema)
