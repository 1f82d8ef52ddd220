"""The versions that a server holds in memory, and how it goes over to a newly published one."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from data.errors import InputError
from data.words import Words
from serving.export_record import WARM_UP_FILE, read_record
from serving.labels import labels_of
from serving.publication import read_publication
from serving.recommender import Recommender
from serving.versions import published_versions

_LOG = logging.getLogger("next_movie.serve")

_OTHERS_HELD = 2
"""Versions in memory beside the one that is served, for comparisons."""

_RETRY_SECONDS = 30.0
"""Until a version that could not be loaded is tried again."""


@dataclass(frozen=True)
class LiveModel:
    """A version in memory.

    Attributes
    ----------
    version
        Its number.
    recommender
        The model and its catalogue.
    publication
        What `publication.json` says of it.
    words
        What the data set's items are called.
    """

    version: int
    recommender: Recommender
    publication: dict[str, Any]
    words: Words


class LiveModels:
    """A folder of versions, of which one is served at a time and others are held for comparisons.

    Requests take the model once and keep it: a change of versions neither waits for them nor takes it from them.

    Parameters
    ----------
    folder
        The pipeline's folder of versions.
    choose
        Returns the version to serve, None for the newest; raises `InputError` where it can't be told.
    check
        Called with a version's folder before it is loaded; raises `InputError` where it must not be served.
    """

    def __init__(
        self,
        folder: Path,
        choose: Callable[[Path], int | None] = lambda _: None,
        check: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self._choose = choose
        self._check = check
        self._loading = threading.Lock()
        self._current: LiveModel | None = None
        self._others: OrderedDict[int, LiveModel] = OrderedDict()
        self._failed: tuple[int, float] | None = None
        self._told = ""
        self.loads = 0
        self.failures = 0

    @property
    def name(self) -> str:
        """What the model is called in paths: the folder's name."""
        return self.folder.name

    @property
    def current(self) -> LiveModel:
        """The version that is served; `follow` has loaded it."""
        if self._current is None:
            raise RuntimeError("no version is loaded yet")
        return self._current

    @property
    def is_ready(self) -> bool:
        """Whether a version is served."""
        return self._current is not None

    def versions(self) -> list[int]:
        """Return the published versions, oldest first."""
        return published_versions(self.folder)

    def labels(self) -> dict[str, int]:
        """Return versions by label; none where they can't be read."""
        try:
            return labels_of(self.folder)
        except InputError:
            return {}

    def publication(self, version: int) -> dict[str, Any]:
        """Return what `publication.json` says of a published version; empty if it can't be read."""
        return read_publication(self.folder / str(version))

    def follow(self) -> bool:
        """Serve the version that is to be served now, if it is another one, and return whether that changed.

        What can't be loaded is told once and tried again later; the version of before is served on.

        Raises
        ------
        InputError
            No version is served yet, and this one can't be.
        """
        version: int | None = None
        try:
            version = self._wanted()
            if version is None or self._serves(version) or self._waits(version):
                return False
            model = self._load(version)
        except InputError as error:
            if self._current is None:
                raise
            self._note_failure(version, error)
            return False
        self._current = model
        self._failed, self._told = None, ""
        _LOG.info("serving version %d of %s", version, self.name)
        return True

    def get(self, version: int) -> LiveModel | None:
        """Return a version, which is loaded if it isn't in memory; None where it isn't published.

        Raises
        ------
        InputError
            It can't be loaded.
        """
        current = self._current
        if current is not None and current.version == version:
            return current
        with self._loading:
            found = self._others.get(version)
            if found is None:
                if version not in self.versions():
                    return None
                found = self._load(version)
            self._others[version] = found
            self._others.move_to_end(version)
            while len(self._others) > _OTHERS_HELD:
                self._others.popitem(last=False)
            return found

    def _wanted(self) -> int | None:
        chosen = self._choose(self.folder)
        return next(reversed(self.versions()), None) if chosen is None else chosen

    def _serves(self, version: int) -> bool:
        return self._current is not None and self._current.version == version

    def _waits(self, version: int) -> bool:
        """Return whether a version failed to load a moment ago."""
        if self._failed is None:
            return False
        failed, when = self._failed
        return failed == version and time.monotonic() - when < _RETRY_SECONDS

    def _note_failure(self, version: int | None, error: InputError) -> None:
        """Note what keeps a version, or the choice of one, from being served; tell it once."""
        if version is not None:
            self.failures += 1
            self._failed = (version, time.monotonic())
        about = "the version to serve can't be told" if version is None else f"version {version} is not served"
        told = f"{about}: {error.line}; going on with {self.current.version}"
        if told != self._told:
            self._told = told
            _LOG.warning("%s", told)

    def _load(self, version: int) -> LiveModel:
        folder = self.folder / str(version)
        self._check(folder)
        recommender = Recommender.load(folder)
        _warm_up(recommender, folder)
        _ = recommender.titles
        self.loads += 1
        return LiveModel(version, recommender, read_publication(folder), read_record(folder).words)


def _warm_up(recommender: Recommender, folder: Path) -> None:
    """Replay the export's warm-up requests, so that no caller waits for what TensorFlow does once."""
    from tensorflow_serving.apis import prediction_log_pb2

    file = folder / WARM_UP_FILE
    if not file.is_file():
        return
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            signature = recommender.signatures[request.model_spec.signature_name]
            signature(**{name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()})
    except Exception as error:  # a file of another version's or a damaged one: the model itself may be well
        _LOG.warning("%s could not be replayed: %s", file, " ".join(str(error).split())[:200])
