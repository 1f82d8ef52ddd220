"""What earlier runs left in a folder that outlives them, for orchestrators that can't be asked for old artifacts."""

import shutil
import uuid
from pathlib import Path

from tfx import v1 as tfx

from components.naming import ABSENT
from components.publishing import published_versions
from data.shards import file_sha256

_SERVING_FOLDER = "Format-Serving"
"""Where TFX looks for the SavedModel in a Model artifact."""

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
    shutil.copytree(Path(serving) / str(versions[-1]), Path(model.uri) / _SERVING_FOLDER, dirs_exist_ok=True)
    print(f"comparing with the published version {versions[-1]}", flush=True)


@tfx.dsl.components.component
def KeptStatistics(  # noqa: N802
    current: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    previous: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    folder: tfx.dsl.components.Parameter[str],
) -> None:
    """Hand out the newest kept statistics that differ from the current ones, and keep the current ones.

    Statistics are kept in folders named `<number>-<digest of the train split's>`. A step that is tried again gets
    the same answer again.
    """
    kept = _kept(Path(folder))
    digest = file_sha256(Path(current.uri) / _TRAIN_STATISTICS)[:16]
    others = [path for path in kept if not path.name.endswith(f"-{digest}")]
    if len(others) == len(kept):
        number = int(kept[-1].name.partition("-")[0]) + 1 if kept else 1
        staging = Path(folder) / f".staging-{uuid.uuid4().hex}"
        shutil.copytree(current.uri, staging)
        staging.rename(Path(folder) / f"{number:06d}-{digest}")
    if not others:
        previous.set_int_custom_property(ABSENT, 1)
        print("no earlier statistics are kept: there is nothing to compare with yet", flush=True)
        return
    shutil.copytree(others[-1], previous.uri, dirs_exist_ok=True)
    previous.split_names = current.split_names


def _kept(folder: Path) -> list[Path]:
    """Return the folders of kept statistics, oldest first."""
    folder.mkdir(parents=True, exist_ok=True)
    return sorted(path for path in folder.iterdir() if path.name[:1].isdigit())
