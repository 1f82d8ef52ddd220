"""Resolvers of what earlier runs of the same data left, for a run to be compared with."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import ml_metadata as mlmd
import tensorflow as tf
from google.protobuf.message import DecodeError
from ml_metadata.proto import metadata_store_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.artifacts import DataVerdict
from components.history.comparability import why_not_comparable
from components.history.lineage import manifest_behind
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from serving.artifact_files import read_manifest
from serving.versions import GRAPH_FILE

logger = logging.getLogger("next_movie.history")

_TRAIN_STATISTICS = "Split-train/FeatureStats.pb"
"""File of the statistics of a split that the data gate compares with."""

_Event = metadata_store_pb2.Event

_Artifacts = dict[str, list[types.Artifact]]


class PreviousStatistics(tfx.dsl.experimental.ResolverStrategy):
    """Picks the newest statistics, other than the current run's, of the same data identity that the gate let pass.

    The plain latest-artifact strategy would answer with the run's own statistics, or with those of refused data,
    from which the good data would then seem to have drifted. A run that finds its statistics in the cache gets the
    same answer again, so that what follows stays cached too.

    Inputs are `examples` and `current`, the run's own, and `previous`, all statistics there are.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return `previous`, emptied of all but that one artifact, and the others as they are."""
        current = {artifact.id for artifact in input_dict["current"]}
        data = DataIdentity.of(_manifest_of(input_dict))
        passed = _passed_the_gate(store)
        others = [artifact for artifact in input_dict["previous"] if artifact.id in passed - current]
        for artifact in sorted(others, key=lambda artifact: artifact.id, reverse=True):
            earlier = manifest_behind(store, artifact.id) if _is_whole(artifact) else None
            if earlier is not None and data.why_other(DataIdentity.of(earlier)) is None:
                return {**input_dict, "previous": [artifact]}
        return {**input_dict, "previous": []}


class ComparableModel(tfx.dsl.experimental.ResolverStrategy):
    """Picks the last blessed model that may be compared with the candidate on the run's eval split.

    Inputs are `examples`, the run's own, and `model`, `passed_over` and `model_blessing`, all of those there are.
    """

    def resolve_artifacts(self, store: mlmd.MetadataStore, input_dict: _Artifacts) -> _Artifacts:
        """Return that model as `model`; where there is none, the last blessed one of other data as `passed_over`."""
        examples = _manifest_of(input_dict)
        passed_over: list[types.Artifact] = []
        for model, blessing in self._blessed(store, input_dict):
            folder = path_utils.serving_model_dir(model.uri)
            if not _has_whole_model(folder):
                logger.info("not compared with %s: its files are gone or damaged", folder)
                continue
            if why_not_comparable(folder, examples, manifest_behind(store, model.id)) is None:
                return {**input_dict, "model": [model], "model_blessing": [blessing], "passed_over": []}
            passed_over = passed_over or [model]
        return {**input_dict, "model": [], "model_blessing": [], "passed_over": passed_over}

    @staticmethod
    def _blessed(store: mlmd.MetadataStore, input_dict: _Artifacts) -> Iterator[tuple[types.Artifact, types.Artifact]]:
        """Yield all blessed models with their blessings, newest first."""
        latest = tfx.dsl.experimental.LatestBlessedModelStrategy()
        models, blessings = list(input_dict["model"]), input_dict["model_blessing"]
        while models:
            picked = latest.resolve_artifacts(store, {"model": models, "model_blessing": blessings})
            if not picked or not picked["model"]:
                return
            yield picked["model"][0], picked["model_blessing"][0]
            models = [model for model in models if model.id != picked["model"][0].id]


def _has_whole_model(folder: str) -> bool:
    """Return whether a folder holds a SavedModel with a graph to parse and weights that agree with their checksums.

    Parameters
    ----------
    folder
        Of a model that is to be compared with: a damaged one would end this run, and each after it.
    """
    try:
        with tf.io.gfile.GFile(f"{folder}/{GRAPH_FILE}", "rb") as file:
            saved_model_pb2.SavedModel.FromString(file.read())
        weights = tf.train.load_checkpoint(f"{folder}/variables/variables")
        for name in weights.get_variable_to_shape_map():
            weights.get_tensor(name)
    except (tf.errors.OpError, DecodeError, ValueError):
        return False
    return True


def _is_whole(statistics: types.Artifact) -> bool:
    """Return whether the statistics that the data gate compares with are there and can be read."""
    try:
        with tf.io.gfile.GFile(f"{statistics.uri}/{_TRAIN_STATISTICS}", "rb") as file:
            statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read())
    except (tf.errors.OpError, DecodeError):
        logger.info("not compared with %s: its files are gone or damaged", statistics.uri)
        return False
    return True


def _manifest_of(input_dict: _Artifacts) -> Manifest:
    return read_manifest(input_dict["examples"][0].uri)


def _passed_the_gate(store: mlmd.MetadataStore) -> set[int]:
    """Return the ids of the statistics that the data gate let pass.

    It is known by its verdict, which TFX keeps of a step that finished alone, and whose type's name is ours and stays:
    the gate's own is made by TFX from the name of its module.
    """
    verdicts = [verdict.id for verdict in store.get_artifacts_by_type(DataVerdict.TYPE_NAME)]
    events = store.get_events_by_artifact_ids(verdicts) if verdicts else []
    # The report reads a verdict too, and other statistics with it.
    gates = {event.execution_id for event in events if event.type == _Event.OUTPUT}
    return {
        event.artifact_id
        for event in store.get_events_by_execution_ids(list(gates))
        if event.type == _Event.INPUT and event.path.steps[0].key == "statistics"
    }
