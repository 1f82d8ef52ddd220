"""Recommending to a whole file of histories as a Beam pipeline, for many workers.

This machine reads and checks the requests, and writes the answers; the model and the requests, in parts, go to the
workers through an exchange folder, and answers come back so: workers need neither the model's folder nor the file.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import apache_beam as beam
from apache_beam.utils.shared import Shared

from data.beam_jobs import BeamJob
from data.beam_options import check_job_server
from data.environment import temporary_folder
from data.exchange import Exchange
from data.full_disk import disk_faults
from serving.answers import Answer, answers_written
from serving.batch_inference import answers_to, batches
from serving.batch_job import BatchJob, Request
from serving.recommender import Recommender
from serving.requests import read_requests

_BATCHES_IN_A_PART = 16
"""A part takes a worker a second or two."""


def recommend_file_in_beam(
    recommender: Recommender,
    model: Path,
    job: BatchJob,
    beam_args: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Answer every history of a file as `serving.batch_inference.recommend_file` does, by the same bytes.

    Parameters
    ----------
    recommender
        The model, by which requests are checked and movies named.
    model
        Its folder.
    job
        What to answer.
    beam_args
        Beam's own flags. Unless they name a `--temp_location`, all workers must see the target's folder.
    progress
        Called with a line of text if the job outlives this process, or leaves files.

    Returns
    -------
    int
        How many histories were answered.

    Raises
    ------
    InputError
        The source holds something other than histories, the job failed, a file can't be read or written, or the model
        knows no filters.
    """
    if not job.filters.is_empty:
        recommender.check_filters(job.filters)
    check_job_server(beam_args)
    target = job.target
    parent = target.resolve().parent if target.is_file() or not target.exists() else Path(temporary_folder())
    answered = 0
    on_beam = BeamJob("answers", parent, beam_args, progress)
    with answers_written(job, recommender.catalogue) as write, disk_faults(target), on_beam.exchange() as exchange:
        packed = _pack(model, exchange)
        names: list[str] = []
        requests = batches(read_requests(job, recommender.catalogue))
        while part := list(islice(requests, _BATCHES_IN_A_PART)):
            names.append(f"{len(names):08d}.json")
            exchange.write(_requests_name(names[-1]), json.dumps(part).encode())
            answered += sum(map(len, part))
        on_beam.run(lambda pipeline: _build(pipeline, names, _AnswerPart(exchange, packed, job)))
        for name in names:
            write(Answer(*answer) for answer in json.loads(exchange.read(_answers_name(name))))
    return answered


def _build(pipeline: beam.Pipeline, names: Sequence[str], answer: _AnswerPart) -> None:
    _ = (
        pipeline
        | "Parts" >> beam.Create(list(names))
        | "SpreadParts" >> beam.Reshuffle()
        | "Answer" >> beam.ParDo(answer)
    )


class _AnswerPart(beam.DoFn):
    """Answers a part of the requests; a worker's threads share one model."""

    def __init__(self, exchange: Exchange, packed: str, job: BatchJob) -> None:
        self._exchange = exchange
        self._packed = packed
        self._job = job
        self._shared = Shared()

    def setup(self) -> None:
        self._recommender = self._shared.acquire(lambda: _unpack(self._packed, self._exchange))

    def process(self, name: str) -> None:
        part: list[list[Request]] = json.loads(self._exchange.read(_requests_name(name)))
        answers = [answer for batch in part for answer in answers_to(self._recommender, batch, self._job)]
        self._exchange.write(_answers_name(name), json.dumps(answers).encode())


def _pack(model: Path, exchange: Exchange) -> str:
    """Write a model's folder into the exchange folder as one file, and return its name."""
    with exchange.create("model.zip") as (attempt, file), zipfile.ZipFile(cast(BinaryIO, file), "w") as archive:
        for path in _files(model):
            archive.write(path, path.relative_to(model))
    return attempt


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _unpack(packed: str, exchange: Exchange) -> Recommender:
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(exchange.read(packed))).extractall(folder)
        return Recommender.load(folder)


def _requests_name(name: str) -> str:
    return f"requests-{name}"


def _answers_name(name: str) -> str:
    return f"answers-{name}"
