"""A job on Beam, from its options to its end: what goes wrong with it is told in one line."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions
from apache_beam.runners.runner import PipelineResult

from data.beam_options import DEFAULT_ARGS
from data.errors import InputError, one_line
from data.exchange import Exchange, UnseenFileError
from data.full_disk import is_disk_full, is_refused


class BeamJob:
    """A job that is to be run.

    Parameters
    ----------
    purpose
        What it does, as a verb, in messages.
    shared
        The folder that all workers have to see, unless the flags name a `--temp_location`.
    beam_args
        Beam's own flags; they win over `DEFAULT_ARGS`.
    progress
        Called with a line of text if the job outlives this process, or leaves files.
    """

    def __init__(self, purpose: str, shared: Path, beam_args: Sequence[str], progress: Callable[[str], None]) -> None:
        self._purpose = purpose
        self._flags = PipelineOptions([*DEFAULT_ARGS, *beam_args])
        self._temp_location: str | None = self._flags.view_as(GoogleCloudOptions).temp_location
        self._parent = self._temp_location or str(shared)
        self._progress = progress

    @contextlib.contextmanager
    def exchange(self, folder: Path | None = None) -> Iterator[Exchange]:
        """Yield a folder for what client and workers exchange, and tell faults within the block as the job's.

        Parameters
        ----------
        folder
            A folder within the shared one that serves, unless the flags name a `--temp_location`. Without it, and
            there, a new folder is made, and removed at the end.

        Raises
        ------
        InputError
            The job failed, workers don't see what this machine wrote, or the new folder can't be made.
        OSError
            A disk is full or refuses.
        """
        with self._faults():
            if folder is not None and self._temp_location is None:
                yield Exchange(str(folder))
                return
            exchange = Exchange.below(self._parent)
            try:
                yield exchange
            finally:
                self._remove(exchange)

    def run(self, build: Callable[[beam.Pipeline], None]) -> None:
        """Build the job's pipeline, and run it to its end, within a block of `exchange`."""
        pipeline = beam.Pipeline(options=self._flags)
        build(pipeline)
        # Without a job server the pipeline runs within the call itself, and Ctrl-C has to end that.
        remote = self._flags.view_as(PortableOptions).job_endpoint is not None
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(_held_signals()) if remote else []
            result = pipeline.run()
        wait_for(result, self._progress, held)

    def _remove(self, exchange: Exchange) -> None:
        try:
            exchange.remove()
        except OSError as error:
            self._progress(f"note: {exchange.address.partition('?')[0]} can't be removed ({one_line(error)})")

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            if is_disk_full(error) or is_refused(error):
                raise
            if UnseenFileError.MARK in str(error):
                place = self._parent.partition("?")[0]
                raise InputError(
                    f"a worker of Beam's doesn't see {place}: name an output on a file system that all workers share, "
                    "or a --temp_location that all workers see",
                    code="F16",
                ) from error
            # Shown with --verbose alone.
            logging.getLogger("next_movie.beam").warning("the job failed", exc_info=error)
            raise InputError(
                f"the job that {self._purpose} failed on Beam: {one_line(error)} (--verbose shows all of it)",
                code="G14",
            ) from error


def wait_for(result: PipelineResult, progress: Callable[[str], None], held: Sequence[int] = ()) -> None:
    """Wait until a job is over; cancel it if this process is to end before, by Ctrl-C or SIGTERM.

    Parameters
    ----------
    result
        The job.
    progress
        Called with a line of text if the job outlives this process.
    held
        Signals that came while the job was submitted: see `_held_signals`.
    """
    with _ended_by_sigterm(), _without_the_servers_log():
        try:
            for number in held:
                signal.raise_signal(number)
            result.wait_until_finish()
        except (KeyboardInterrupt, SystemExit):
            try:
                result.cancel()
            except Exception as error:
                progress(f"the job can't be cancelled ({one_line(error)}): end it on the engine")
            raise


@contextlib.contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Hold Ctrl-C and SIGTERM back while a job is submitted: before its id is known nobody can cancel it.

    Yields the list of those that came; a second one acts at once. Threads other than the main one get no signals.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hold(number: int, _: object) -> None:
        held.append(number)
        restore()

    for number in numbers:
        signal.signal(number, hold)
    try:
        yield held
    finally:
        restore()


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the process as `sys.exit` does, in the main thread, where alone that can be had."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _without_the_servers_log() -> Iterator[None]:
    """Keep errors out of the log where warnings are: a job server's messages hold tracebacks of what is raised too."""
    root = logging.getLogger()
    before = root.level
    if before >= logging.ERROR:
        root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(before)
