"""What earlier runs left in a lasting folder, for orchestrators that can't look up earlier artifacts."""

import shutil
import uuid
from pathlib import Path

from tfx import v1 as tfx
from tfx.utils import path_utils

from components.artifacts import DataVerdict
from components.history.comparability import why_not_comparable
from components.local_paths import local_path
from components.naming import ABSENT
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.identity import DataIdentity
from serving.export_record import copy_record
from serving.versions import adopt, published_versions

_IDENTITY_FILE = "identity.json"
_TRAIN_STATISTICS = "Split-train/FeatureStats.pb"


@tfx.dsl.components.component
def PublishedModel(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    passed_over: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    serving: tfx.dsl.components.Parameter[str],
    former_serving: tfx.dsl.components.Parameter[str],
) -> None:
    """Return the newest model of the serving folder that may be compared with on the examples.

    Only blessed models get there. Where none may be compared with, `passed_over` gets the export record of the
    newest one. `former_serving` is the folder that earlier versions of this project published to.
    """
    folder = Path(serving)
    adopt(folder, Path(former_serving), note=lambda line: print(line, flush=True))
    manifest = Manifest.load(local_path(examples.uri))
    versions = [folder / str(version) for version in reversed(published_versions(folder))]
    reasons = {version: why_not_comparable(version, manifest) for version in versions}
    found = next((version for version in versions if reasons[version] is None), None)
    if found is not None:
        shutil.copytree(found, path_utils.serving_model_dir(str(local_path(model.uri))), dirs_exist_ok=True)
        passed_over.set_int_custom_property(ABSENT, 1)
        print(f"comparing with the published version {found.name}", flush=True)
        return
    model.set_int_custom_property(ABSENT, 1)
    if not versions:
        passed_over.set_int_custom_property(ABSENT, 1)
        print(f"{serving} holds no published model: there is nothing to compare with yet", flush=True)
        return
    copy_record(versions[0], Path(path_utils.serving_model_dir(str(local_path(passed_over.uri)))))
    print(f"compared with none: {reasons[versions[0]]}", flush=True)


@tfx.dsl.components.component
def KeptStatistics(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    current: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    previous: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Return the newest kept statistics of the same data identity that differ from the current ones."""
    found = find_other(local_path(current.uri), Path(folder), DataIdentity.of(Manifest.load(local_path(examples.uri))))
    if found is None:
        previous.set_int_custom_property(ABSENT, 1)
        print("no earlier statistics of this data are kept: there is nothing to compare with yet", flush=True)
        return
    shutil.copytree(found, local_path(previous.uri), dirs_exist_ok=True)
    previous.split_names = current.split_names


@tfx.dsl.components.component
def StatisticsKeeper(  # noqa: N802
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    verdict: tfx.dsl.components.InputArtifact[DataVerdict],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Keep the statistics for the runs to come.

    The gate's verdict is an input so that only statistics of data that it let pass are kept: from those of refused
    data the good data would then seem to have drifted.
    """
    keep(local_path(statistics.uri), Path(folder), DataIdentity.of(Manifest.load(local_path(examples.uri))))


def keep(statistics: Path, folder: Path, data: DataIdentity) -> None:
    """Copy statistics, and the identity of their data, to `<folder>/<number>-<digest>`, unless they are kept already.

    The digest is that of the train split's statistics.
    """
    kept = _kept(folder)
    digest = _digest(statistics)
    if any(path.name.endswith(f"-{digest}") and _identity_of(path) == data for path in kept):
        return
    number = int(kept[-1].name.partition("-")[0]) + 1 if kept else 1
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / f".staging-{uuid.uuid4().hex}"
    shutil.copytree(statistics, staging)
    (staging / _IDENTITY_FILE).write_text(data.model_dump_json(), encoding="utf-8")
    staging.rename(folder / f"{number:06d}-{digest}")


def find_other(statistics: Path, folder: Path, data: DataIdentity) -> Path | None:
    """Return the newest kept statistics of a data identity but for those of the same train split; None if none are."""
    digest = _digest(statistics)
    for path in reversed(_kept(folder)):
        earlier = _identity_of(path)
        if not path.name.endswith(f"-{digest}") and earlier is not None and data.why_other(earlier) is None:
            return path
    return None


def _kept(folder: Path) -> list[Path]:
    """Return the folders of kept statistics, oldest first."""
    return sorted(path for path in folder.iterdir() if path.name[:1].isdigit()) if folder.is_dir() else []


def _identity_of(kept: Path) -> DataIdentity | None:
    """Return the identity that is kept beside statistics; None for those that earlier versions kept."""
    file = kept / _IDENTITY_FILE
    return DataIdentity.parse(file.read_text(encoding="utf-8")) if file.is_file() else None


def _digest(statistics: Path) -> str:
    return file_sha256(statistics / _TRAIN_STATISTICS)[:16]
