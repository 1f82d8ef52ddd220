"""Data generation as a step of the pipeline, for runs whose data are not generated before."""

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from tfx import types
from tfx import v1 as tfx
from tfx.components import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import FileBasedExampleGenSpec

from components.artifacts import DataSource, GeneratedData
from components.ingestion import example_gen
from components.local_paths import local_path
from data.environment import temporary_folder
from data.errors import InputError
from data.examples.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest
from data.examples.schema import write_schema
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import Catalogue

DATA_KEY = "data"
"""The input that stands in for the property `input_base`."""


@tfx.dsl.components.component
def DataGenerator(  # noqa: N802
    data: tfx.dsl.components.OutputArtifact[GeneratedData],
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    options: tfx.dsl.components.Parameter[str],
    source_digest: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
    beam_args: tfx.dsl.components.Parameter[str] = "",
    last_histories: tfx.dsl.components.Parameter[int] = 0,
    source: tfx.dsl.components.InputArtifact[DataSource] = None,
) -> None:
    """Generate the examples and their schema.

    `options` is a `GenerateOptions` as JSON. `source` is the release's archive or folder, or a folder of data that
    were generated elsewhere with the same options, which is then taken over; without it the release is downloaded.
    `source_digest` is the digest that the source's content must have, empty where any will do. `code_digest` only
    tells the backend's cache when this code changes. `last_histories` is how many of a user's last movies are written
    for `BatchRecommender`; 0 for none.
    """
    wanted = GenerateOptions.model_validate_json(options)
    folder = local_path(data.uri)
    given = local_path(source.uri) if source is not None else None
    if given is not None and not given.exists():
        raise InputError(
            "the data source is empty: nothing lies at the URI that the run names as its data root", code="G09"
        )
    if given is not None and (given / MANIFEST_FILE).is_file():
        manifest = take_over(given, folder, wanted, last_histories)
    elif wanted.release is None:
        raise InputError(
            "own data are generated elsewhere: set kubeflow.data_root to a folder that `python -m data.generate "
            "--interactions` wrote",
            code="G15",
        )
    else:
        with tempfile.TemporaryDirectory(prefix="downloads-", dir=temporary_folder()) as downloads:
            # The default cache lies in the home folder, which a container's user may not have.
            manifest = generate(
                wanted,
                folder,
                source=given,
                cache_dir=Path(downloads),
                last_histories=last_histories or None,
                beam_args=shlex.split(beam_args),
                progress=lambda line: print(line, flush=True),
            )
    check_source(manifest, source_digest)
    write_schema(local_path(schema.uri), manifest, Catalogue.load(folder / manifest.catalogue_file))


def take_over(given: Path, folder: Path, wanted: GenerateOptions, last_histories: int = 0) -> Manifest:
    """Copy data that were generated elsewhere into a folder.

    Raises
    ------
    InputError
        They are of an earlier format, were generated with other options, lack wanted last histories, or differ from
        their manifest.
    """
    manifest = Manifest.load(given)
    check_given(manifest, wanted)
    if last_histories and manifest.last_histories is None:
        raise InputError(
            "the data root holds no last histories, which batch_answers needs: generate the data with --last-histories "
            f"{last_histories}",
            code="G16",
        )
    manifest.verify(given)
    shutil.copytree(given, folder, dirs_exist_ok=True)
    return manifest


def check_given(manifest: Manifest, wanted: GenerateOptions) -> None:
    """Raise `InputError` if data that were generated elsewhere are of an earlier format, or not with these options."""
    if not manifest.is_current:
        raise InputError(
            f"the data root holds data of format {manifest.format_version}, and this version reads format "
            f"{FORMAT_VERSION}: generate them again with `python -m data.generate`",
            code="G10",
        )
    if manifest.options != wanted:
        raise InputError(
            "the data root holds data generated with other options than the pipeline was compiled with", code="G11"
        )


def check_source(manifest: Manifest, stated: str) -> None:
    """Raise `InputError` if data were made of another source than stated; an empty digest states nothing."""
    if stated and manifest.source_digest != stated:
        raise InputError(
            f"the data root's content has the digest {manifest.source_digest}, "
            f"and kubeflow.data_digest states {stated}",
            code="G12",
        )


class GeneratedExampleGenSpec(FileBasedExampleGenSpec):
    """The specification of a file-based ExampleGen, with the data as an input."""

    INPUTS = {DATA_KEY: ChannelParameter(type=GeneratedData)}  # noqa: RUF012


class GeneratedExampleGen(FileBasedExampleGen):
    """The shard ExampleGen over what an earlier step of the same run generated.

    Parameters
    ----------
    data
        Channel of `GeneratedData`.
    code_digest
        Digest of the executor's code, for the backend's cache.
    span
        As for `shard_example_gen`.
    """

    SPEC_CLASS = GeneratedExampleGenSpec

    def __init__(self, data: types.BaseChannel, code_digest: str = "", span: Literal["newest"] | None = None) -> None:
        # Where the data lies is only known when the step runs: its entrypoint fills in `input_base`.
        properties = example_gen.shard_example_gen(data_root="", code_digest=code_digest, span=span).exec_properties
        spec = GeneratedExampleGenSpec(
            data=data, examples=types.Channel(type=tfx.types.standard_artifacts.Examples), **properties
        )
        super(FileBasedExampleGen, self).__init__(
            spec=spec, custom_executor_spec=executor_spec.ExecutorClassSpec(example_gen.Executor)
        )
