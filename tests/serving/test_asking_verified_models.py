"""`recommend.py` asks the version with a label, and none that it can't verify where it is given a key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_model import export_untrained_model

import recommend
from serving.labels import promote
from serving.signing import load_private_key
from serving.versions import publish

sys.path.insert(0, str(Path(__file__).parent))
from signed_versions import write_keys

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
QUESTION = ("--history", "1,2,3")


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return export_untrained_model(tmp_path_factory.mktemp("models") / "model", 40)


@pytest.fixture
def serving(tmp_path, model, keys) -> Path:
    """Return a folder of three versions, of which the last is not signed."""
    key = load_private_key(keys[0])
    for each in (key, key, None):
        publish(model, tmp_path / "serving", {}, keep=5, key=each)
    return tmp_path / "serving"


def ask(capsys, *arguments: object) -> tuple[int, str, str]:
    code = recommend.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_newest_is_asked_unless_a_label_is_named(serving, capsys):
    promote(serving, 1, "stable")
    promote(serving, 2, "canary")
    for label, version in ((), 3), (("--label", "stable"), 1), (("--label", "canary"), 2):
        code, out, _ = ask(capsys, "--model", serving, *QUESTION, *label)
        assert (code, out.splitlines()[-1]) == (0, f"by {serving / str(version)}")


def test_a_label_that_no_version_bears_is_refused_in_one_line(serving, capsys):
    promote(serving, 1, "stable")
    code, out, err = ask(capsys, "--model", serving, *QUESTION, "--label", "canary")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "has no version with the label 'canary': it has 'stable' (1) [M27]" in err


def test_a_verified_model_gives_the_same_answer(serving, keys, capsys):
    asked = ("--model", serving / "2", *QUESTION)
    assert ask(capsys, *asked, "--public-key", keys[1]) == ask(capsys, *asked)


def test_a_model_that_can_not_be_verified_is_refused_before_anything_of_it_is_read(serving, keys, tmp_path):
    _, other = write_keys(tmp_path / "other")
    (serving / "1" / "assets.extra" / "catalogue.jsonl").write_text("damaged")
    for version, public, code in ((1, keys[1], "M22"), (2, other, "M21"), (3, keys[1], "M20"), (2, ROOT, "M23")):
        asked = ("--model", serving / str(version), *QUESTION, "--public-key", public)
        command = [sys.executable, "-X", "importtime", ROOT / "recommend.py", *asked]
        done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False)
        said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(said) == 1
        assert said[0].endswith(f"[{code}]")
        assert " tensorflow\n" not in done.stderr
