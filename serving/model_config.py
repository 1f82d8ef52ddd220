"""The file `models.config` beside a pipeline's versions: TensorFlow Serving's configuration, which holds their labels.

TensorFlow Serving reads it where `--model_config_file` names it. Its form is the protocol buffer `ModelServerConfig` as
text.
"""

from __future__ import annotations

import os
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from data.errors import InputError

CONFIG_FILE = "models.config"
"""In the folder of a pipeline's versions."""

_MODEL_NAME = "next-movie"
"""What requests call the model: `/v1/models/next-movie:predict`."""


def read_labels(serving: Path) -> dict[str, int]:
    """Return the versions by label; none where there is no file.

    Raises
    ------
    InputError
        The file can't be read, or is not of this form.
    """
    return dict(sorted(_model(_read(serving)).version_labels.items()))


def write_labels(serving: Path, labels: dict[str, int], base_path: str | None = None) -> None:
    """Write the labels in one step; what the file says besides, stays.

    All versions are to be loaded. TensorFlow Serving refuses a configuration that moves a label to a version that it
    has not loaded before, with each attempt anew (`ServerCore::ReloadConfig` looks at labels first): naming only the
    labelled ones would keep a label from being moved to another.

    Parameters
    ----------
    serving
        The folder of versions; the caller holds its lock.
    labels
        The versions by label.
    base_path
        The folder of versions as the server sees it; None for what the file says, or else the folder's own path.

    Raises
    ------
    InputError
        The file that is there can't be read, or is not of this form.
    """
    config = _read(serving)
    model = _model(config)
    model.name = model.name or _MODEL_NAME
    model.base_path = base_path or model.base_path or str(serving.absolute())
    model.model_platform = model.model_platform or "tensorflow"
    model.model_version_policy.all.SetInParent()
    model.version_labels.clear()
    model.version_labels.update(labels)
    partial = serving / f".{CONFIG_FILE}.partial"
    with partial.open("w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(config, as_utf8=True))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(serving / CONFIG_FILE)


def _read(serving: Path) -> ModelServerConfig:
    path = serving / CONFIG_FILE
    config = ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except FileNotFoundError:
        return config
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error})", code="M09") from error
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{path} is no ModelServerConfig as text: {' '.join(str(error).split())}", code="M28"
        ) from error
    if config.HasField("custom_model_config") or len(config.model_config_list.config) > 1:
        raise InputError(f"{path} does not name one model, that of its folder, in `model_config_list`", code="M28")
    return config


def _model(config: ModelServerConfig) -> ModelConfig:
    """Return the file's only model; one without a name where there is none."""
    models = config.model_config_list.config
    return models[0] if models else models.add()
