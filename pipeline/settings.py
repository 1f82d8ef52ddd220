"""Everything that a person can choose about a run, typed and checked."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from components.batch_answers.settings import BatchAnswersSettings
from components.gate_settings import AuditSettings, DataGateSettings, ModelGateSettings, ServableCheckSettings
from components.naming import LAST_BLESSED, SERVED
from data.errors import InputError
from data.options import DataSettings
from data.splits import spelt
from pipeline.kubeflow_settings import KubeflowSettings
from pipeline.rolling_settings import RollingPipelineSettings
from trainer_module.settings import ModelSettings, TrainingSettings

CONFIG_FOLDER = Path(__file__).resolve().parent.parent / "configs"

_LONGEST_PIPELINE_NAME = 63
"""In characters: TFX refuses longer ones."""

_READS_HISTORY = "--history"
"""Ends the name of a serving folder. No configuration's name has two hyphens, and no data set is called so."""

_ALL = 1_000_000
"""More movies than a timeline has."""

_BRIEFLY = reprlib.Repr()
"""Spells refused values: a few lines of YAML, by aliases to aliases, can stand for more text than fits into memory."""
_BRIEFLY.maxlevel = 2
_BRIEFLY.maxstring = _BRIEFLY.maxother = 100


class PublishSettings(BaseModel):
    """What becomes of a blessed model."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    keep_versions: int = Field(default=5, ge=1)
    """Published versions that stay in the serving folder; older ones are removed."""

    private_key: str | None = Field(default=None, pattern=r"^/")
    """Full path of a key in PEM form, P-256, P-384 or P-521, with which versions are signed; None for no signatures."""


class Settings(BaseModel):
    """One configuration of the pipeline, as a YAML file spells it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Keys, together with the release, the serving folder, and with the split too the pipeline's metadata."""

    data: DataSettings
    """The release or the files, and how windows are made and split."""

    model: ModelSettings = ModelSettings()
    """The towers and the loss."""

    training: TrainingSettings = TrainingSettings()
    """How they are fitted."""

    data_gate: DataGateSettings = DataGateSettings()
    """When a run stops before training."""

    model_gate: ModelGateSettings = ModelGateSettings()
    """What a model has to reach to be published."""

    servable_check: ServableCheckSettings = ServableCheckSettings()
    """What a model has to stand before it is published."""

    audit: AuditSettings = AuditSettings()
    """What of data, split and answers is out of bounds, and what becomes of it."""

    publish: PublishSettings = PublishSettings()
    """What becomes of a blessed model."""

    batch_answers: BatchAnswersSettings = BatchAnswersSettings()
    """Whether every user is answered after each run, and how."""

    rolling: RollingPipelineSettings | None = None
    """How it learns from spans of data; None for data that stand for themselves."""

    kubeflow: KubeflowSettings = KubeflowSettings()
    """How it runs on a cluster; a local run ignores it."""

    @model_serializer(mode="wrap")
    def _without_rolling(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `rolling` out where there is none: what ordinary pipelines are called by stays the same."""
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if name != "rolling" or value is not None}

    @model_validator(mode="after")
    def _check_name(self) -> Settings:
        """Refuse a name that TFX would refuse later."""
        if "--" in self.name:
            raise ValueError(f"`name` is {self.name!r}: `--` stands before the name of own data")
        length = len(self.pipeline_name)
        if length > _LONGEST_PIPELINE_NAME:
            raise ValueError(
                f"`name` is {self.name!r}: with release and split the pipeline's name has {length} characters, "
                f"{_LONGEST_PIPELINE_NAME} are allowed"
            )
        return self

    @model_validator(mode="after")
    def _check_form(self) -> Settings:
        """Refuse a form that the data don't have, or in which the model would be served otherwise than trained."""
        if self.data.release is None and self.data.name == _READS_HISTORY.strip("-"):
            raise ValueError(
                "`data.name` is history, which ends the names of folders of models that read histories: take another"
            )
        if self.model.reads == "history":
            if self.training.form != "chunks":
                raise ValueError("`model.reads` is history, which is fitted to chunks: set `training.form` to chunks")
            if self.data.leave_out != "history":
                raise ValueError(
                    "`model.reads` is history, which examples hold where all of it is left out when ranking: set "
                    "`data.leave_out` to history"
                )
        if self.training.form == "chunks":
            if not self.data.timelines:
                raise ValueError("`training.form` is chunks, which are cut of timelines: set `data.timelines` to true")
            if self.rolling is not None:
                raise ValueError("`training.form` is chunks, and spans have no timelines: leave out `rolling`")
            if self.model.loss != "full_softmax":
                raise ValueError("`training.form` is chunks, and these are fitted with the `model.loss` full_softmax")
            if self.model.reads == "context" and self.model.gru_reads < self.data.max_context_length:
                raise ValueError(
                    f"`training.form` is chunks, whose GRU reads no less than a context, and `model.gru_reads` is "
                    f"{self.model.gru_reads}: set it to {self.data.max_context_length}, the `data.max_context_length`"
                )
        return self

    @property
    def pipeline_name(self) -> str:
        """Name of the pipeline: no two data sets or configurations share one."""
        if self.data.release is None:
            return f"{self._data_set_name}-{spelt(self.data.split)}"
        return _joined(self.name, self.data.release, spelt(self.data.split))

    @property
    def compared_with(self) -> str:
        """Which model a candidate is held against, in words."""
        return LAST_BLESSED if self.rolling is None else SERVED

    @property
    def serving_name(self) -> str:
        """Name of the folder of published versions, which is the same for all splits of a data set.

        Models that read histories have one of their own: who asks models that read contexts may send less.
        """
        return self._data_set_name + (_READS_HISTORY if self.model.reads == "history" else "")

    @property
    def last_histories(self) -> int | None:
        """How many of each user's last movies every user is answered by; None where nobody is."""
        if not self.batch_answers.enabled:
            return None
        return _ALL if self.model.reads == "history" else self.batch_answers.history_length

    @property
    def _data_set_name(self) -> str:
        if self.data.release is None:
            # Neither part may hold two hyphens: no other two names are joined to the same.
            return f"next-movie-{self.name}--{self.data.name}"
        return _joined(self.name, self.data.release)


def _joined(*parts: str) -> str:
    """Return the parts of a name, each once."""
    return "-".join(["next-movie", *dict.fromkeys(parts)])


@dataclass(frozen=True)
class RunPaths:
    """Where one run's things lie; the runner decides, nothing else knows.

    Attributes
    ----------
    data_root
        Folder of the generated shards.
    schema_file
        The curated schema. Its path has to change with its content: TFX's cache looks at the path alone.
    pipeline_root
        Folder of the artifacts.
    serving
        Folder of published versions.
    metadata
        The SQLite file of ML Metadata; None where the orchestrator brings its own.
    manifest_digest
        Digest of the data that the run is for; empty where the data is made by the run.
    beam_args
        Options for Beam, as its command line spells them.
    """

    data_root: str
    schema_file: str
    pipeline_root: str
    serving: str
    metadata: str | None = None
    manifest_digest: str = ""
    beam_args: tuple[str, ...] = ()

    @property
    def local_metadata(self) -> str:
        """The file of ML Metadata of a run on this machine.

        Raises
        ------
        ValueError
            The orchestrator brings its own.
        """
        if self.metadata is None:
            raise ValueError("these places are a cluster's, whose ML Metadata lies in no file")
        return self.metadata


def load_settings(name_or_file: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read a configuration.

    Parameters
    ----------
    name_or_file
        A YAML file, or the name of one in `configs/`.
    overrides
        Values for keys of `data` that stand above the file's, such as `{"split": "temporal"}`.

    Raises
    ------
    InputError
        There is no such configuration, it is not YAML, or a key or value is not one of the settings.
    """
    path = _find(name_or_file)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}", code="C03") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings: it needs at least `name` and `data`", code="C04")
    if overrides:
        data = content.get("data")
        content["data"] = {**(data if isinstance(data, dict) else {}), **overrides}
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}", code="C05") from error


def settings_for_own_data(data: Mapping[str, Any]) -> Settings:
    """Return the default settings for data of a person's own.

    Parameters
    ----------
    data
        Values for keys of `data`.

    Raises
    ------
    InputError
        A key or value is not one of the settings.
    """
    try:
        return Settings.model_validate({"name": "default", "data": dict(data)})
    except ValidationError as error:
        raise InputError(describe(error), code="C05") from error


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return settings of which some have another value.

    Parameters
    ----------
    settings
        What they are based on.
    values
        By dotted name, such as `{"model.dropout": 0.4}`.

    Raises
    ------
    InputError
        A name or value is not one of the settings.
    """
    content: dict[str, Any] = settings.model_dump()
    for name, value in values.items():
        *groups, key = name.split(".")
        group = content
        for part in groups:
            inner = group.get(part)
            if not isinstance(inner, dict):
                raise InputError(f"there is no group of settings `{part}` for `{name}`", code="C06")
            group = inner
        group[key] = value
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise InputError(describe(error), code="C05") from error


def parse_values(texts: Iterable[str]) -> dict[str, Any]:
    """Return settings that a command line gives another value, for `with_values`.

    Parameters
    ----------
    texts
        Each `NAME=VALUE`: the setting's dotted name, and its value as YAML spells it.

    Raises
    ------
    InputError
        A text is not of that form.

    Examples
    --------
    >>> parse_values(["model.dropout=0.3", "model.gru_units=null"])
    {'model.dropout': 0.3, 'model.gru_units': None}
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text}: write NAME=VALUE, such as --set model.dropout=0.3", code="A02")
        try:
            values[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}: the value is not YAML", code="A02") from error
    return values


def describe(error: ValidationError) -> str:
    """Say in one line what each refused setting is and why."""
    faults = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown setting `{where}`")
        elif fault["type"] == "missing":
            faults.append(f"setting `{where}` is missing")
        elif fault["type"] == "value_error" and isinstance(fault["input"], dict):
            # About several settings together: it names those that it is about.
            faults.append(fault["msg"].removeprefix("Value error, "))
        else:
            value = _BRIEFLY.repr(fault["input"])
            faults.append(f"`{where}` is {value}: {fault['msg'][0].lower()}{fault['msg'][1:]}")
    # A key may hold anything, line ends among it.
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in "; ".join(faults))


def config_names() -> list[str]:
    """Return the names of the configurations that come along."""
    return sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml"))


def _find(name_or_file: str) -> Path:
    if not name_or_file.strip():
        raise InputError("--config is empty: name a configuration or a YAML file", code="C01")
    try:
        path = Path(name_or_file).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"--config {name_or_file}: there is no such home folder; write the path in full", code="C02"
        ) from error
    if path.suffix in {".yaml", ".yml"} or "/" in name_or_file:
        if not path.is_file():
            raise InputError(f"there is no configuration file {path}", code="C01")
        return path
    named = CONFIG_FOLDER / f"{name_or_file}.yaml"
    if not named.is_file():
        raise InputError(
            f"there is no configuration {name_or_file!r}: take one of {', '.join(config_names())}, or name a YAML file",
            code="C01",
        )
    return named
