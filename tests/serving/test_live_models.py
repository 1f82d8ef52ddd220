"""Which version a server holds, and how it goes over to another."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from synthetic_model import export_untrained_model

from data.errors import InputError
from serving.http import live_models
from serving.http.live_models import LiveModels
from serving.labels import demote, promote, version_to_serve
from serving.versions import publish, published_versions, roll_back

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("exports")
    return [export_untrained_model(folder / name, num_movies) for name, num_movies in (("small", 30), ("large", 40))]


@pytest.fixture
def folder(exports: list[Path], tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    publish(exports[0], folder, {"metrics": {"recall_at_10": 0.5}}, keep=5)
    return folder


def num_movies(models: LiveModels) -> int:
    return len(models.current.recommender.catalogue)


def test_a_newly_published_version_is_served_and_a_rollback_too(folder: Path, exports: list[Path]) -> None:
    models = LiveModels(folder)
    assert not models.is_ready
    assert models.follow()
    assert (models.name, models.current.version, num_movies(models)) == ("shop", 1, 30)
    assert models.current.publication["metrics"] == {"recall_at_10": 0.5}
    assert not models.follow()
    publish(exports[1], folder, {}, keep=5)
    assert models.follow()
    assert (models.current.version, num_movies(models)) == (2, 40)
    roll_back(folder, 1)
    assert models.follow()
    assert (models.current.version, num_movies(models)) == (3, 30)
    assert (models.loads, models.failures) == (3, 0)


def test_a_damaged_version_is_not_served_and_tried_again_when_time_has_passed(
    folder: Path, exports: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "next_movie")
    models = LiveModels(folder)
    models.follow()
    publish(exports[1], folder, {}, keep=5)
    variables = folder / "2" / "variables" / "variables.index"
    kept = variables.read_bytes()
    variables.write_bytes(b"")
    assert not models.follow()
    assert not models.follow()
    assert (models.current.version, models.failures) == (1, 1)
    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("version 2 is not served: ")
    assert told.endswith("going on with 1")
    variables.write_bytes(kept)
    monkeypatch.setattr(live_models, "_RETRY_SECONDS", 0.0)
    assert models.follow()
    assert models.current.version == 2


def test_a_version_that_can_not_be_loaded_at_the_start_is_an_error(folder: Path) -> None:
    (folder / "1" / "assets.extra" / "catalogue.jsonl").unlink()
    with pytest.raises(InputError) as caught:
        LiveModels(folder).follow()
    assert caught.value.code == "M05"


def test_another_version_is_loaded_when_it_is_asked_for_and_a_few_are_held(folder: Path, exports: list[Path]) -> None:
    for _ in range(4):
        publish(exports[1], folder, {}, keep=9)
    models = LiveModels(folder)
    models.follow()
    assert models.get(5) is models.current
    first = models.get(1)
    assert first is not None
    assert len(first.recommender.catalogue) == 30
    assert models.get(1) is first
    assert models.get(6) is None
    models.get(2)
    models.get(3)
    assert models.loads == 4
    assert models.get(1) is not first


def test_the_version_that_is_chosen_is_served_in_place_of_the_newest(folder: Path, exports: list[Path]) -> None:
    publish(exports[1], folder, {}, keep=9)
    models = LiveModels(folder, choose=lambda _: 1)
    models.follow()
    assert models.current.version == 1


def test_without_a_label_the_newest_is_served_and_with_it_the_stable_one_wherever_it_is_moved(
    folder: Path, exports: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "next_movie")
    publish(exports[1], folder, {}, keep=9)
    models = LiveModels(folder, choose=lambda of: version_to_serve(of, None))
    models.follow()
    assert models.current.version == 2
    promote(folder, 1, "stable")
    assert models.follow()
    publish(exports[1], folder, {}, keep=9)
    assert not models.follow()
    assert models.current.version == 1
    config = folder / "models.config"
    kept = config.read_bytes()
    config.write_bytes(b"{")
    caplog.clear()
    assert not models.follow()
    assert not models.follow()
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("the version to serve can't be told: ")
    assert (models.current.version, models.labels()) == (1, {})
    config.write_bytes(kept)
    demote(folder, "stable")
    assert models.follow()
    assert models.current.version == 3


def test_what_a_check_refuses_is_not_served(folder: Path, exports: list[Path]) -> None:
    def check(version: Path) -> None:
        if version.name == "2":
            raise InputError("not signed", code="M06")

    models = LiveModels(folder, check=check)
    models.follow()
    publish(exports[1], folder, {}, keep=9)
    assert not models.follow()
    assert models.current.version == 1
    with pytest.raises(InputError, match="not signed"):
        models.get(2)


def test_a_model_without_warm_up_requests_or_with_damaged_ones_is_served(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "next_movie")
    requests = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    requests.write_bytes(b"no records" * 100)
    models = LiveModels(folder)
    assert models.follow()
    assert "could not be replayed" in caplog.text
    requests.unlink()
    assert LiveModels(folder).follow()


def test_all_versions_gone_leave_the_one_in_memory(folder: Path) -> None:
    models = LiveModels(folder)
    models.follow()
    shutil.rmtree(folder / "1")
    assert published_versions(folder) == []
    assert not models.follow()
    answer: Any = models.current.recommender.recommend([3], k=2)
    assert len(answer) == 2
