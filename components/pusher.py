"""The executor that publishes a blessed model in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx import v1 as tfx
from tfx.components.pusher.executor import Executor as StockExecutor
from tfx.types import artifact_utils
from tfx.utils import json_utils

from components.publishing import find_published, model_digest, publish


class Executor(StockExecutor):
    """Publishes through `components.publishing`; blessings and marks are the stock Pusher's.

    The stock executor copies file by file into the folder that a server polls, names versions after the second and
    skips a second push within one, and publishes the same model again whenever its blessing is renewed.
    """

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Publish the model if it is blessed and not published yet, and say where on the PushedModel artifact."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = tfx.proto.PushDestination()
        json_format.Parse(exec_properties["push_destination"], destination)
        serving = Path(destination.filesystem.base_directory)
        config = json_utils.loads(exec_properties["custom_config"])
        model = Path(self.GetModelPath(input_dict))
        version = find_published(serving, model_digest(model))
        if version is None:
            version = publish(model, serving, config["publication"], keep=config["keep_versions"])
        self._MarkPushed(pushed, pushed_destination=str(serving / str(version)), pushed_version=str(version))
