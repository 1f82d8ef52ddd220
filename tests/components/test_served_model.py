"""Which model a day begins with: the one that is served, unless it has learned from the day's span already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from span_lineage import Lineage
from tfx.types import artifact_utils

from components.history.served_model import served_before
from data.errors import InputError
from serving.labels import STABLE, promote


class Published:
    """Models that learned from one span after the other, each published when it was made.

    Parameters
    ----------
    folder
        Takes models and versions.
    days
        How many.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self.folder, self.serving = folder, folder / "serving"
        self.lineage, self.models, spans = Lineage(), [], []
        for day in range(1, days + 1):
            spans.append(self.lineage.examples(day))
            self.models.append(self.lineage.train(spans[-1:], *self.models[-1:], uri=str(folder / f"model-{day}")))
            exported = folder / f"model-{day}" / "Format-Serving"
            exported.mkdir(parents=True)
            (exported / "saved_model.pb").write_text(f"the model of day {day}")
            self.publish(day, of_day=day)

    def publish(self, version: int, of_day: int) -> None:
        shutil.copytree(self.folder / f"model-{of_day}" / "Format-Serving", self.serving / str(version))

    def served_before(self, span: int) -> int | None:
        """Return the day that the model is of."""
        store = self.lineage.store
        known = {artifact_type.id: artifact_type for artifact_type in store.get_artifact_types()}
        models = artifact_utils.deserialize_artifacts(
            known[store.get_artifact_type("Model").id], store.get_artifacts_by_type("Model")
        )
        found = served_before(store, self.serving, models, span)
        return self.models.index(found.id) + 1 if found is not None else None


def test_a_day_begins_with_the_newest_version(tmp_path: Path):
    assert Published(tmp_path, 3).served_before(4) == 3


def test_a_day_begins_with_the_version_that_is_called_stable_though_newer_ones_are_there(tmp_path: Path):
    published = Published(tmp_path, 3)
    promote(published.serving, 2, STABLE)
    assert published.served_before(4) == 2


def test_after_a_rollback_a_day_begins_with_the_model_whose_files_are_served_again(tmp_path: Path):
    published = Published(tmp_path, 3)
    published.publish(4, of_day=1)
    assert published.served_before(4) == 1


def test_a_day_that_published_already_begins_with_what_it_began_with_before(tmp_path: Path):
    published = Published(tmp_path, 3)
    assert published.served_before(3) == 2
    assert published.served_before(2) == 1
    assert published.served_before(1) is None


def test_a_day_before_anything_is_published_begins_with_no_model(tmp_path: Path):
    assert Published(tmp_path, 0).served_before(1) is None


def test_a_served_version_whose_model_is_not_known_ends_the_day(tmp_path: Path):
    published = Published(tmp_path, 2)
    (published.serving / "3").mkdir()
    (published.serving / "3" / "saved_model.pb").write_text("a model of somebody else")
    with pytest.raises(InputError, match="version 3 of") as refused:
        published.served_before(3)
    assert refused.value.code == "M34"
    # Called stable, a version of this pipeline is served, and the other one stands beside it.
    promote(published.serving, 2, STABLE)
    assert published.served_before(3) == 2
