"""Labels of published versions, and the file in which TensorFlow Serving reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from data.errors import InputError
from serving import versions as publishing
from serving.labels import demote, labelled, labels_of, promote, version_for
from serving.model_config import CONFIG_FILE, write_labels
from serving.versions import publish, published_versions, roll_back

sys.path.insert(0, str(Path(__file__).parent))
from signed_versions import make_model

ROOT = Path(__file__).resolve().parents[2]


def publish_next(serving: Path, number: int, keep: int = 5) -> int:
    model = make_model(serving.parent / f"model-{number}", f"weights {number}")
    return publish(model, serving, {"pipeline": "next-movie"}, keep)


@pytest.fixture
def serving(tmp_path) -> Path:
    """Return a folder of three versions."""
    for number in (1, 2, 3):
        publish_next(tmp_path / "serving", number)
    return tmp_path / "serving"


def config_of(serving: Path) -> ModelServerConfig:
    return text_format.Parse((serving / CONFIG_FILE).read_text(encoding="utf-8"), ModelServerConfig())


def refused(serving: Path, label: str) -> InputError:
    with pytest.raises(InputError) as error:
        version_for(serving, label)
    return error.value


def test_the_file_is_what_tensorflow_serving_reads(serving):
    promote(serving, 1, "stable")
    promote(serving, 3, "canary")
    expected = f"""
        model_config_list {{
          config {{
            name: "next-movie"
            base_path: "{serving}"
            model_platform: "tensorflow"
            model_version_policy {{ all {{ }} }}
            version_labels {{ key: "stable" value: 1 }}
            version_labels {{ key: "canary" value: 3 }}
          }}
        }}
    """
    assert config_of(serving) == text_format.Parse(expected, ModelServerConfig())
    # All versions are loaded, so that a label can be moved to any.
    assert config_of(serving).model_config_list.config[0].model_version_policy.WhichOneof("policy_choice") == "all"


def test_a_label_is_moved_and_taken_away(serving):
    assert labels_of(serving) == {}
    assert promote(serving, 1, "stable") is None
    assert promote(serving, 2, "canary") is None
    assert promote(serving, 2, "stable") == 1
    assert labels_of(serving) == {"canary": 2, "stable": 2}
    assert version_for(serving, "stable") == 2
    assert labelled(serving / "3", "canary") == serving / "2"
    assert demote(serving, "canary") == 2
    assert labels_of(serving) == {"stable": 2}
    with pytest.raises(InputError, match="bears the label 'canary'"):
        demote(serving, "canary")
    demote(serving, "stable")
    assert labels_of(serving) == {}
    # A server that reads the file goes on, without labels.
    assert config_of(serving).model_config_list.config[0].name == "next-movie"


def test_a_label_that_nobody_bears_and_a_labelled_version_that_is_gone_are_refused(serving):
    assert refused(serving, "stable").code == "M27"
    assert refused(serving, "stable").message.endswith("it has none")
    promote(serving, 2, "canary")
    assert refused(serving, "stable").message.endswith("it has 'canary' (2)")
    publishing.shutil.rmtree(serving / "2")
    assert refused(serving, "canary").code == "M03"


def test_a_version_that_is_not_there_gets_no_label(serving):
    with pytest.raises(InputError, match="holds no version 7: it holds 1, 2, 3") as error:
        promote(serving, 7, "stable")
    assert error.value.code == "M03"
    assert not (serving / CONFIG_FILE).exists()


def test_what_somebody_wrote_into_the_file_stays_but_for_the_labels_and_what_is_loaded(serving):
    (serving / CONFIG_FILE).write_text(
        """
        # A folder as the server sees it.
        model_config_list {
          config {
            name: "another" base_path: "/models/somewhere" model_platform: "tensorflow"
            model_version_policy { latest { num_versions: 2 } }
            version_labels { key: "tried" value: 2 }
            logging_config { sampling_config { sampling_rate: 0.5 } }
          }
        }
        """
    )
    promote(serving, 1, "stable")
    (config,) = config_of(serving).model_config_list.config
    assert (config.name, config.base_path) == ("another", "/models/somewhere")
    assert config.logging_config.sampling_config.sampling_rate == 0.5
    assert dict(config.version_labels) == {"stable": 1, "tried": 2}
    assert config.model_version_policy.WhichOneof("policy_choice") == "all"
    promote(serving, 1, "stable", base_path="/mnt/elsewhere")
    promote(serving, 2, "stable")
    assert config_of(serving).model_config_list.config[0].base_path == "/mnt/elsewhere"


BROKEN = {
    "not of the form": b"version_labels: stable",
    "not text": b"\xff\xfe",
    "two models": b'model_config_list { config { name: "a" } config { name: "b" } }',
    "another kind": b"custom_model_config { }",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_can_not_be_read_is_left_as_it_is_and_keeps_all_versions(serving, content):
    (serving / CONFIG_FILE).write_bytes(content)
    for ask in (
        lambda: labels_of(serving),
        lambda: version_for(serving, "stable"),
        lambda: promote(serving, 1, "stable"),
        lambda: demote(serving, "stable"),
    ):
        with pytest.raises(InputError) as error:
            ask()
        assert error.value.code == "M28"
        assert len(error.value.line.splitlines()) == 1
    said: list[str] = []
    model = make_model(serving.parent / "model")
    assert publish(model, serving, {}, 1, said.append) == 4
    # Any of them may bear a label.
    assert published_versions(serving) == [1, 2, 3, 4]
    assert [line.startswith("note: no version is removed: ") for line in said] == [True]
    assert (serving / CONFIG_FILE).read_bytes() == content


@given(place=st.integers(0, 300), cut=st.integers(0, 20), inserted=st.text(max_size=20) | st.sampled_from(["{" * 5000]))
def test_any_damage_to_the_file_is_one_line_or_none(tmp_path, place, cut, inserted):
    write_labels(tmp_path, {"canary": 2, "stable": 1})
    file = tmp_path / CONFIG_FILE
    text = file.read_text(encoding="utf-8")
    file.write_text(text[:place] + inserted + text[place + cut :], encoding="utf-8")
    try:
        assert all(isinstance(version, int) for version in labels_of(tmp_path).values())
    except InputError as error:
        assert (error.code, len(error.line.splitlines())) == ("M28", 1)
    file.unlink()


def test_labels_outlive_publications_and_rollbacks_and_what_bears_one_is_never_removed(serving):
    promote(serving, 1, "stable")
    promote(serving, 2, "canary")
    for number in range(4, 9):
        publish_next(serving, number, keep=1)
    assert published_versions(serving) == [1, 2, 8]
    assert roll_back(serving, 2) == 9
    publish_next(serving, 10, keep=1)
    assert labels_of(serving) == {"canary": 2, "stable": 1}
    # Version 9 is that of the last rollback.
    assert published_versions(serving) == [1, 2, 9, 10]
    demote(serving, "canary")
    promote(serving, 10, "stable")
    publish_next(serving, 11, keep=1)
    assert published_versions(serving) == [9, 10, 11]


def test_a_label_waits_for_a_publication_and_neither_loses_the_other(serving):
    """Versions are published, the oldest removed, while labels are moved: at each moment they name what is there."""
    stop, torn, moved = threading.Event(), [], []

    def watch():
        while not stop.is_set():
            for label, version in labels_of(serving).items():
                if version not in published_versions(serving) and labels_of(serving).get(label) == version:
                    torn.append((label, version))

    def label():
        while not stop.is_set():
            version = published_versions(serving)[-1]
            try:
                promote(serving, version, ("stable", "canary")[len(moved) % 2])
                moved.append(version)
            except InputError as error:
                # It was removed after it was seen.
                assert error.code == "M03"

    with ThreadPoolExecutor(2) as pool:
        watching, labelling = pool.submit(watch), pool.submit(label)
        try:
            for number in range(4, 1000):
                publish_next(serving, number, keep=1)
                if len(set(moved)) >= 5:
                    break
                # The lock is asked for in turns of 50 ms, and would else hardly ever be free.
                time.sleep(0.03)
        finally:
            stop.set()
        watching.result()
        labelling.result()
    assert len(set(moved)) >= 5
    assert torn == []
    assert set(labels_of(serving).values()) <= set(published_versions(serving))
    assert published_versions(serving)[-1] == number


def test_two_processes_that_set_a_label_each_set_both(serving):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from serving.labels import promote\n"
        "for _ in range(50):\n"
        "    promote(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(serving), version, label], cwd=ROOT)
        for version, label in (("1", "stable"), ("2", "canary"))
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert labels_of(serving) == {"canary": 2, "stable": 1}


def test_a_failed_write_leaves_the_labels_as_they_were(serving, monkeypatch):
    promote(serving, 1, "stable")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        promote(serving, 2, "stable")
    monkeypatch.undo()
    assert labels_of(serving) == {"stable": 1}
    promote(serving, 2, "stable")
    assert sorted(path.name for path in serving.iterdir()) == ["1", "2", "3", CONFIG_FILE]
