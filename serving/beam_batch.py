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
from data.user_files import writing
from serving.batch_inference import answer_lines, batches
from serving.recommender import Recommender
from serving.requests import Request, read_requests

_BATCHES_IN_A_PART = 16
"""A part takes a worker a second or two."""


def recommend_file_in_beam(
    recommender: Recommender,
    model: Path,
    source: Path,
    target: Path,
    k: int = 10,
    *,
    include_seen: bool = False,
    beam_args: Sequence[str],
    progress: Callable[[str], None] = lambda _: None,
) -> int:
    """Answer every line of a JSON Lines file, as `serving.batch_inference.recommend_file` does.

    Parameters
    ----------
    recommender
        The model, by which requests are checked.
    model
        Its folder.
    source, target, k, include_seen
        As for `recommend_file`.
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
        A line is not a history, the job failed, or a file can't be read or written.
    """
    check_job_server(beam_args)
    parent = target.resolve().parent if target.is_file() or not target.exists() else Path(temporary_folder())
    answered = 0
    job = BeamJob("answers", parent, beam_args, progress)
    with writing(target) as answers, disk_faults(target), job.exchange() as exchange:
        packed = _pack(model, exchange)
        names: list[str] = []
        requests = batches(read_requests(source, recommender.catalogue))
        while part := list(islice(requests, _BATCHES_IN_A_PART)):
            names.append(f"{len(names):08d}.json")
            exchange.write(_requests_name(names[-1]), json.dumps(part).encode())
            answered += sum(map(len, part))
        job.run(lambda pipeline: _build(pipeline, names, _Answer(exchange, packed, k, include_seen=include_seen)))
        for name in names:
            answers.write(exchange.read(_answers_name(name)).decode())
    return answered


def _build(pipeline: beam.Pipeline, names: Sequence[str], answer: _Answer) -> None:
    _ = (
        pipeline
        | "Parts" >> beam.Create(list(names))
        | "SpreadParts" >> beam.Reshuffle()
        | "Answer" >> beam.ParDo(answer)
    )


class _Answer(beam.DoFn):
    """Answers a part of the requests; a worker's threads share one model."""

    def __init__(self, exchange: Exchange, packed: str, k: int, *, include_seen: bool) -> None:
        self._exchange = exchange
        self._packed = packed
        self._k = k
        self._include_seen = include_seen
        self._shared = Shared()

    def setup(self) -> None:
        self._recommender = self._shared.acquire(lambda: _unpack(self._packed, self._exchange))

    def process(self, name: str) -> None:
        part: list[list[Request]] = json.loads(self._exchange.read(_requests_name(name)))
        lines = (
            line
            for batch in part
            for line in answer_lines(self._recommender, batch, self._k, include_seen=self._include_seen)
        )
        self._exchange.write(_answers_name(name), "".join(lines).encode())


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
