"""ExampleGen for shards that are ready: they are checked and copied, not shuffled record by record."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any, Literal

from google.protobuf import json_format, struct_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.components import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils

from components.ingestion.layout import DIGEST_PROPERTY, places_of_files
from components.local_paths import local_path
from components.naming import EXAMPLE_GEN, SPAN_PROPERTY
from data.errors import InputError
from data.examples.manifest import Manifest
from data.examples.shards import SPLITS, shard_pattern

_MANIFEST_KEY = "manifest_digest"

SPAN_FOLDER = "span-{SPAN}"
"""Folder of a span within its series, as TFX writes the place of the number."""


class Executor(BaseExecutor):
    """Copies the shards that a manifest lists into the artifact, each checked against its digest.

    Where they lie there, `components.ingestion.layout` says.
    """

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Fill the Examples artifact.

        Raises
        ------
        InputError
            A shard is missing or is not what the manifest says, a split is empty, or the data is not what the
            pipeline was made for.
        """
        source = _folder_of(exec_properties)
        manifest = Manifest.load(source)
        _check_expected(manifest, exec_properties, source)
        manifest.verify(source)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        copy_examples(source, manifest, examples.uri)
        describe_examples(examples)
        examples.set_string_custom_property(DIGEST_PROPERTY, manifest.digest)
        if manifest.span is not None:
            # TFX's driver sets it on this machine alone.
            examples.set_int_custom_property(SPAN_PROPERTY, manifest.span.number)


def copy_examples(source: Path, manifest: Manifest, root: str) -> None:
    """Copy the data of a verified manifest to where they lie in an Examples artifact.

    Parameters
    ----------
    source
        Their folder.
    manifest
        Theirs.
    root
        The artifact's URI.

    Raises
    ------
    InputError
        A split is empty.
    """
    for split in SPLITS:
        if not manifest.shards_of(split):
            raise InputError(f"{source} holds no {split} shards: generate the data again", code="G06")
    for name, place in places_of_files(manifest):
        target = f"{root}/{place}"
        tfx.dsl.io.fileio.makedirs(posixpath.dirname(target))
        tfx.dsl.io.fileio.copy(str(source / name), target, overwrite=True)


def describe_examples(examples: types.Artifact) -> None:
    """Set the properties by which TFX reads an Examples artifact."""
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    examples.set_string_custom_property("file_format", "tfrecords_gzip")


def shard_example_gen(
    data_root: str, manifest_digest: str = "", code_digest: str = "", span: int | Literal["newest"] | None = None
) -> FileBasedExampleGen:
    """Return the ExampleGen over a folder that `data.generate` wrote.

    Parameters
    ----------
    data_root
        The folder; with a span, the folder of the series that it belongs to.
    manifest_digest
        Digest of the data that the pipeline is made for. Part of the cache key, since TFX's own fingerprint sees
        no change within a second. Empty where the data does not exist yet when the pipeline is made.
    code_digest
        Digest of this executor's code, for the cache too.
    span
        Number of the span to ingest, which the artifact bears as TFX's property `span`; `newest` for the newest that
        the folder holds, None for data without spans.
    """
    within = "" if span is None else f"{SPAN_FOLDER}/"
    custom_config = tfx.proto.CustomConfig()
    keys = struct_pb2.Struct()
    keys.update({_MANIFEST_KEY: manifest_digest, "code_digest": code_digest})
    custom_config.custom_config.Pack(keys)
    return FileBasedExampleGen(
        input_base=data_root,
        input_config=tfx.proto.Input(
            splits=[tfx.proto.Input.Split(name=split, pattern=f"{within}{shard_pattern(split)}") for split in SPLITS]
        ),
        range_config=_only(span),
        custom_config=custom_config,
        custom_executor_spec=executor_spec.ExecutorClassSpec(Executor),
    ).with_id(EXAMPLE_GEN)


def _only(span: int | Literal["newest"] | None) -> tfx.proto.RangeConfig | None:
    if span is None or span == "newest":
        return None
    return tfx.proto.RangeConfig(static_range=tfx.proto.StaticRange(start_span_number=span, end_span_number=span))


def _folder_of(exec_properties: dict[str, Any]) -> Path:
    """Return the folder of the data: TFX's driver has put the span's number into the patterns of its splits."""
    input_config = tfx.proto.Input()
    json_format.Parse(exec_properties["input_config"], input_config)
    return local_path(exec_properties["input_base"]) / Path(input_config.splits[0].pattern).parent


def _check_expected(manifest: Manifest, exec_properties: dict[str, Any], source: Path) -> None:
    custom_config = tfx.proto.CustomConfig()
    json_format.Parse(exec_properties["custom_config"], custom_config)
    keys = struct_pb2.Struct()
    custom_config.custom_config.Unpack(keys)
    expected = keys[_MANIFEST_KEY]
    if expected and expected != manifest.digest:
        raise InputError(f"{source} changed after the run began: start the run again", code="G07")
