"""Answers to every user as a step of the pipeline: the version that is served answers, on Beam."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import artifact_utils, component_spec

from components.artifacts import BatchAnswers
from components.batch_answers.answers import ANSWERS_FILE, MODEL_DIGEST, USERS, VERSION
from components.batch_answers.served_version import served_version
from components.batch_answers.settings import BatchAnswersSettings
from components.local_paths import local_path
from components.naming import SPAN_PROPERTY
from data.environment import temporary_folder
from data.errors import InputError
from data.examples.last_histories import LAST_HISTORIES_FILE, merge_last_histories
from serving.batch_job import BatchJob
from serving.beam_batch import recommend_file_in_beam
from serving.publication import read_publication
from serving.recommender import Recommender

logger = logging.getLogger("next_movie.batch_answers")


class BatchRecommenderSpec(component_spec.ComponentSpec):
    """What the step reads and writes."""

    INPUTS = {  # noqa: RUF012, a class attribute is what TFX reads
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "pushed_model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.PushedModel),
    }
    OUTPUTS = {"answers": component_spec.ChannelParameter(type=BatchAnswers)}  # noqa: RUF012
    PARAMETERS = {  # noqa: RUF012
        name: component_spec.ExecutionParameter(type=str) for name in ("serving", "settings", "served", "code_digest")
    }


class Executor(base_beam_executor.BaseBeamExecutor):
    """Answers the last history of every user of the examples."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fill the artifact. Of a user in several Examples artifacts the history of the latest span counts.

        Raises
        ------
        InputError
            The examples hold no last histories, the served version can't be told or used, or the job failed.
        """
        answers = artifact_utils.get_single_instance(output_dict["answers"])
        settings = BatchAnswersSettings.model_validate_json(exec_properties["settings"])
        histories = _histories_of(input_dict["examples"])
        version = served_version(local_path(exec_properties["serving"]))
        answers.set_int_custom_property(VERSION, 0 if version is None else int(version.name))
        if version is None:
            answers.set_int_custom_property(USERS, 0)
            logger.warning("no users are answered: no version is published yet")
            return
        target = local_path(answers.uri) / ANSWERS_FILE
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="histories-", dir=temporary_folder()) as scratch:
            source = histories[0]
            if len(histories) > 1:
                source = Path(scratch) / LAST_HISTORIES_FILE
                merge_last_histories(histories, source)
            users = recommend_file_in_beam(
                Recommender.load(version),
                version,
                BatchJob(source, target, settings.top_k, titles=settings.titles),
                self._beam_pipeline_args,
                logger.info,
            )
        answers.set_int_custom_property(USERS, users)
        answers.set_string_custom_property(MODEL_DIGEST, str(read_publication(version).get("model_digest", "")))


def _histories_of(examples: list[types.Artifact]) -> list[Path]:
    """Return the files of last histories, that of the latest span first."""
    ordered = sorted(
        examples, key=lambda artifact: (artifact.get_int_custom_property(SPAN_PROPERTY), artifact.id), reverse=True
    )
    files = [local_path(artifact.uri) / LAST_HISTORIES_FILE for artifact in ordered]
    if not all(file.is_file() for file in files):
        raise InputError(
            "the examples hold no last histories, which batch_answers needs: generate the data with --last-histories N",
            code="G16",
        )
    return files


class BatchRecommender(base_beam_component.BaseBeamComponent):
    """Answers every user of the examples with the version that is served: `stable` if there is one, else the newest.

    Parameters
    ----------
    examples
        Channel of the examples that the model learns from, one artifact or several, whose data were generated with last
        histories.
    pushed_model
        Channel of the Pusher's output: what it publishes is published by then.
    serving
        Folder of published versions.
    settings
        A `BatchAnswersSettings` as JSON.
    served
        What is served before the run, for TFX's cache, which sees neither rollbacks nor labels.
    code_digest
        Only tells TFX's cache when this code changes.
    """

    SPEC_CLASS = BatchRecommenderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        pushed_model: types.BaseChannel,
        serving: str,
        settings: str,
        served: str,
        code_digest: str,
    ) -> None:
        super().__init__(
            spec=BatchRecommenderSpec(
                examples=examples,
                pushed_model=pushed_model,
                serving=serving,
                settings=settings,
                served=served,
                code_digest=code_digest,
                answers=types.Channel(type=BatchAnswers),
            )
        )
