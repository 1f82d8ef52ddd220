"""What earlier runs left in a folder that outlives them, for orchestrators that can't be asked for old artifacts."""

import shutil
import uuid
from pathlib import Path

from tfx import v1 as tfx
from tfx.utils import path_utils

from components.artifacts import DataVerdict
from components.local_paths import local_path
from components.naming import ABSENT
from components.publishing import published_versions
from data.shards import file_sha256

_TRAIN_STATISTICS = "Split-train/FeatureStats.pb"


@tfx.dsl.components.component
def PublishedModel(  # noqa: N802
    model: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    serving: tfx.dsl.components.Parameter[str],
) -> None:
    """Hand out the newest model of the serving folder; only blessed models get there."""
    versions = published_versions(Path(serving))
    if not versions:
        model.set_int_custom_property(ABSENT, 1)
        print(f"{serving} holds no published model: there is nothing to compare with yet", flush=True)
        return
    target = path_utils.serving_model_dir(str(local_path(model.uri)))
    shutil.copytree(Path(serving) / str(versions[-1]), target, dirs_exist_ok=True)
    print(f"comparing with the published version {versions[-1]}", flush=True)


@tfx.dsl.components.component
def KeptStatistics(  # noqa: N802
    current: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    previous: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Hand out the newest kept statistics that differ from the current ones."""
    found = find_other(local_path(current.uri), Path(folder))
    if found is None:
        previous.set_int_custom_property(ABSENT, 1)
        print("no earlier statistics are kept: there is nothing to compare with yet", flush=True)
        return
    shutil.copytree(found, local_path(previous.uri), dirs_exist_ok=True)
    previous.split_names = current.split_names


@tfx.dsl.components.component
def StatisticsKeeper(  # noqa: N802
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    verdict: tfx.dsl.components.InputArtifact[DataVerdict],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Keep the statistics for the runs to come.

    The gate's verdict is an input so that only statistics of data that it let pass are kept: from those of refused
    data the good data would then seem to have drifted.
    """
    keep(local_path(statistics.uri), Path(folder))


def keep(statistics: Path, folder: Path) -> None:
    """Copy statistics to `<folder>/<number>-<digest of the train split's>`, unless they are kept already."""
    kept = _kept(folder)
    digest = _digest(statistics)
    if any(path.name.endswith(f"-{digest}") for path in kept):
        return
    number = int(kept[-1].name.partition("-")[0]) + 1 if kept else 1
    folder.mkdir(parents=True, exist_ok=True)
    staging = folder / f".staging-{uuid.uuid4().hex}"
    shutil.copytree(statistics, staging)
    staging.rename(folder / f"{number:06d}-{digest}")


def find_other(statistics: Path, folder: Path) -> Path | None:
    """Return the newest kept statistics but for those of the same train split; None if there are none."""
    digest = _digest(statistics)
    others = [path for path in _kept(folder) if not path.name.endswith(f"-{digest}")]
    return others[-1] if others else None


def _kept(folder: Path) -> list[Path]:
    """Return the folders of kept statistics, oldest first."""
    return sorted(path for path in folder.iterdir() if path.name[:1].isdigit()) if folder.is_dir() else []


def _digest(statistics: Path) -> str:
    return file_sha256(statistics / _TRAIN_STATISTICS)[:16]
