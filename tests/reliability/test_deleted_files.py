"""Files that somebody deletes by hand: what names them counts as none, and every remedy that is named helps.

Each fault is met by its message, the message's remedy is followed to the word, and the run then ends well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked_runs import Ended, run
from shared_run import OF_ANY_QUALITY

from serving.versions import published_versions

pytestmark = pytest.mark.slow


class Place:
    """The shared run's work directory, in which files are deleted."""

    def __init__(self, work_dir: Path, home: Path, serving: Path) -> None:
        self.work_dir = work_dir
        self.home = home
        self.artifacts = home / "artifacts"
        self.serving = serving

    def run(self, *options: str) -> Ended:
        return run("--release", "sample", "--work-dir", self.work_dir, *options)

    def run_briefly(self, *options: str) -> Ended:
        """Run with a model that is trained for a moment, and published whatever it is worth."""
        return self.run(*(f"--set={value}" for value in OF_ANY_QUALITY), *options)


@pytest.fixture(scope="module")
def place(sample_run) -> Iterator[Place]:
    with sample_run.put_back():
        yield Place(sample_run.work_dir, Path(sample_run.paths.metadata).parent, Path(sample_run.paths.serving))


def refusal(ended: Ended, code: int) -> str:
    assert ended.code == code, ended
    [line] = ended.errors.splitlines()
    return line


def took(ended: Ended, step: str) -> str:
    """Return what the progress says of a step: that it was cached, or its seconds."""
    [words] = [line.split() for line in ended.output.partition("\nSteps")[0].splitlines() if line.split()[:1] == [step]]
    return " ".join(words[1:])


def assert_published(ended: Ended, place: Place) -> None:
    assert (ended.code, ended.errors) == (0, ""), ended
    assert published_versions(place.serving), ended.output


def test_a_published_model_that_was_deleted_is_published_again(place):
    shutil.rmtree(place.serving)
    ended = place.run()
    assert "deleted since the last run, and made anew where it is needed: artifacts of Pusher (1)" in ended.output
    assert took(ended, "Trainer") == "cached"
    assert_published(ended, place)


def test_the_step_that_a_run_begins_at_runs(place):
    ended = place.run("--from-node", "Pusher")
    assert_published(ended, place)
    assert took(ended, "Pusher") != "cached"


def test_without_the_artifacts_that_a_later_step_reads_the_run_has_to_begin_earlier_and_then_has_no_baseline(place):
    shutil.rmtree(place.artifacts / "Trainer")
    said = refusal(place.run("--from-node", "Evaluator"), code=2)
    assert said == (
        "error: --from-node Evaluator: the last run left nothing of Trainer to begin with: run without it [A04]"
    )

    ended = place.run_briefly()
    assert_published(ended, place)
    assert took(ended, "Transform") == "cached"
    assert "compared with none" in ended.output


def test_shards_damaged_behind_a_steps_back_are_made_anew_as_the_message_says(place):
    [shard] = max((place.artifacts / "ExampleGen" / "examples").iterdir()).glob("Split-train/*")
    with shard.open("r+b") as file:
        file.truncate(10_000)
    said = refusal(place.run("--from-node", "StatisticsGen"), code=1)
    assert "step StatisticsGen failed: what an earlier step wrote is damaged" in said
    assert "run again with --no-cache and without --from-node" in said

    assert_published(place.run_briefly("--no-cache"), place)


def test_metadata_that_are_gone_are_begun_anew_once_the_folder_is_moved_away_and_nothing_ran_to_begin_at(place):
    (place.home / "metadata.sqlite").unlink()
    said = refusal(place.run(), code=2)
    assert said.endswith(f"move {place.home} away and run again; what is published stays [R02]")

    place.home.rename(place.home.with_name("away"))
    nothing_ran = refusal(place.run("--from-node", "Trainer"), code=2)
    assert nothing_ran.endswith(f"nothing ran in {place.work_dir} to begin with: run without it [A04]")
    assert_published(place.run_briefly(), place)
