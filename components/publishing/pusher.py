"""TFX's Pusher, with an executor that publishes in one step and records what was published."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher.executor import Executor as StockExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact_utils, component_spec, standard_component_specs
from tfx.utils import json_utils

from components.artifacts import AuditRecord
from components.audit.figures import PASSED
from components.evaluation.evaluation_result import read_evaluation
from components.ingestion.layout import DIGEST_PROPERTY
from components.local_paths import local_path
from data.version import __version__, commit
from serving.signing import load_private_key
from serving.versions import publish_once

AUDIT = "audit"
EXAMPLES = "examples"
EVALUATION = "evaluation"

logger = logging.getLogger("next_movie.pusher")


class PusherSpec(standard_component_specs.PusherSpec):
    """The stock Pusher's inputs, the audit, and those that a publication names: the data and the figures."""

    INPUTS = {  # noqa: RUF012, a class attribute is what TFX reads
        **standard_component_specs.PusherSpec.INPUTS,
        AUDIT: component_spec.ChannelParameter(type=AuditRecord, optional=True),
        EXAMPLES: component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples, optional=True),
        EVALUATION: component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelEvaluation, optional=True),
    }


class Executor(StockExecutor):
    """Publishes through `serving.versions`; blessings and marks are the stock Pusher's.

    The stock executor copies file by file into the folder that a server polls, names versions after the second and
    skips a second push within one, and publishes the same model again whenever its blessing is renewed.
    """

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Publish the model if it is blessed, passed by the audit and not published yet; the artifact says where."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict) or not _passed_audit(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = tfx.proto.PushDestination()
        json_format.Parse(exec_properties["push_destination"], destination)
        # A model server's folder is local, or an object store mounted as one: publishing locks, flushes and renames.
        serving = local_path(destination.filesystem.base_directory)
        config = json_utils.loads(exec_properties["custom_config"])
        model = local_path(self.GetModelPath(input_dict))
        # Asked for here and no property of the node: a commit that changes nothing for it must not rerun it.
        code = {"code_version": __version__, "commit": commit()}
        publication = {**config["publication"], **code, **_lineage(input_dict)}
        # Its path is a property of the node; the key itself is read here, and goes nowhere.
        key = load_private_key(Path(config["private_key"])) if config.get("private_key") else None
        version = publish_once(model, serving, publication, keep=config["keep_versions"], note=logger.info, key=key)
        self._MarkPushed(pushed, pushed_destination=str(serving / str(version)), pushed_version=str(version))


def _passed_audit(input_dict: dict[str, list[types.Artifact]]) -> bool:
    if not input_dict.get(AUDIT):
        return True
    passed = artifact_utils.get_single_instance(input_dict[AUDIT]).get_int_custom_property(PASSED) == 1
    if not passed:
        logger.warning("not published: the audit's settings don't allow what it found")
    return passed


def _lineage(input_dict: dict[str, list[types.Artifact]]) -> dict[str, Any]:
    """Return the digest of the data and the metrics, as far as they are given."""
    known: dict[str, Any] = {}
    if input_dict.get(EXAMPLES):
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        known["manifest_digest"] = examples.get_string_custom_property(DIGEST_PROPERTY)
    if input_dict.get(EVALUATION):
        evaluation = artifact_utils.get_single_instance(input_dict[EVALUATION])
        metrics = read_evaluation(local_path(evaluation.uri)).candidate
        # JSON has no way to write what is no number.
        known["metrics"] = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return known


class Pusher(tfx.components.Pusher):
    """TFX's Pusher that is also given the audit, and examples and evaluation, a published model's lineage.

    Parameters
    ----------
    model, model_blessing, infra_blessing
        Channels of the Trainer's, the Evaluator's and the servable check's outputs.
    audit
        Channel of the audit's output.
    examples, evaluation
        Channels of what the model was trained on, and of its figures.
    serving
        Folder of published versions.
    custom_config
        `keep_versions`, what the `publication` of a published model holds besides, and `private_key`, the path of the
        key to sign with.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        audit: types.BaseChannel,
        examples: types.BaseChannel,
        evaluation: types.BaseChannel,
        serving: str,
        custom_config: dict[str, Any],
    ) -> None:
        spec = PusherSpec(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            audit=audit,
            examples=examples,
            evaluation=evaluation,
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory=serving)
            ),
            custom_config=json_utils.dumps(custom_config),
            pushed_model=types.Channel(type=tfx.types.standard_artifacts.PushedModel),
        )
        # Skips the stock constructor, which makes a spec without audit, examples and evaluation.
        base_component.BaseComponent.__init__(self, spec=spec)
