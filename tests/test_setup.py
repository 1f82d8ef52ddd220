"""What has to hold before anything is run: the environment, the pins, and how skips are treated."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from lanes import LOCKS, PYTHONS, installed_lane

from data.environment import _BEAMS_READER

ROOT = Path(__file__).resolve().parent.parent
OURS = ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS", "CUDA_VISIBLE_DEVICES")


def run_python(code: str, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_keras_2_is_chosen_even_against_the_callers_wish():
    code = (
        "from data.environment import prepare_environment; prepare_environment(); "
        "import tensorflow as tf; print(tf.keras.Model.__module__)"
    )
    assert run_python(code, TF_USE_LEGACY_KERAS="0").startswith("tf_keras.")


def test_the_other_settings_of_the_caller_are_kept():
    code = (
        "from data.environment import prepare_environment; prepare_environment(); "
        "import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'], os.environ['PYTHONWARNINGS'])"
    )
    assert run_python(code, TF_CPP_MIN_LOG_LEVEL="1") == "1 ignore"


def test_verbose_keeps_the_libraries_as_loud_as_they_are():
    code = (
        "from data.environment import prepare_environment; prepare_environment(verbose=True); "
        "import os; print(os.environ['TF_USE_LEGACY_KERAS'], 'TF_CPP_MIN_LOG_LEVEL' in os.environ)"
    )
    assert run_python(code) == "1 False"


def test_the_end_of_a_process_does_not_look_through_what_was_imported():
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000)); "
        "from data.environment import prepare_environment; prepare_environment()"
    )
    assert run_python(code) == "True"


def test_of_threads_that_fail_only_beams_reader_of_messages_is_silent():
    code = (
        "import threading\n"
        "from data.environment import prepare_environment; prepare_environment(); prepare_environment()\n"
        "for name in ('wait_until_finish_read', 'another'):\n"
        "    thread = threading.Thread(target=lambda: 1 / 0, name=name); thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr.startswith("Exception in thread another:\n")
    assert done.stderr.count("Traceback") == 1


def test_beams_reader_of_messages_has_the_name_that_is_looked_for():
    from apache_beam.runners.portability import portable_runner

    assert f"name='{_BEAMS_READER}'" in inspect.getsource(portable_runner.PipelineResult.wait_until_finish)


@pytest.mark.parametrize("before", [True, False])
def test_imports_without_garbage_collection_leave_the_collector_as_it_was(before):
    code = (
        f"import gc; gc.enable() if {before} else gc.disable()\n"
        "from pipeline.tfx_imports import without_garbage_collection\n"
        "kept = [[]]\n"
        "try:\n"
        "    with without_garbage_collection():\n"
        "        print(gc.isenabled(), gc.get_freeze_count()); raise ImportError\n"
        "except ImportError:\n"
        "    print(gc.isenabled(), gc.get_freeze_count() > 0, any(one is kept for one in gc.get_objects()))"
    )
    assert run_python(code).splitlines() == ["False 0", f"{before} True False"]


def test_preparing_too_late_is_an_error():
    code = (
        "import sys; sys.modules['tensorflow'] = sys\n"
        "from data.environment import prepare_environment\n"
        "try:\n    prepare_environment()\nexcept RuntimeError as error:\n    print(error)"
    )
    assert "before TensorFlow is imported" in run_python(code)


def test_preparing_twice_is_no_error():
    run_python("from data.environment import prepare_environment as p; p(); p()")


@pytest.mark.slow
def test_tfx_comes_without_google_clouds_client_until_that_is_asked_for():
    """Its import takes as long as all the rest of TFX."""
    code = (
        "from data.environment import prepare_environment; prepare_environment()\n"
        "from pipeline.tfx_imports import defer_cloud_extensions; defer_cloud_extensions()\n"
        "import sys\n"
        "from tfx import v1 as tfx\n"
        "assert tfx.extensions.__file__ and not hasattr(tfx.extensions, 'nothing_of_that_name')\n"
        "print('google.cloud.aiplatform' in sys.modules, end=' ')\n"
        "print(tfx.extensions.google_cloud_ai_platform.Trainer.__name__, 'google.cloud.aiplatform' in sys.modules)"
    )
    assert run_python(code) == "False Trainer True"


def pins_in(name: str) -> dict[str, str]:
    """Return the pinned versions of a lock that hold for every Python."""
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[.*?\])?==(\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("name", [name for names in LOCKS.values() for name in names])
def test_every_requirement_is_pinned_and_no_index_is_named(name):
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("-")]
    assert pins
    for pin in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^ ;]+( *;.*)?", pin), pin
    for line in lines:
        assert "://" not in line
        assert not line.startswith(("-i", "--index", "--extra-index", "--find-links", "--trusted"))


def test_the_installed_versions_are_those_of_one_lane():
    pins = pins_in(LOCKS[installed_lane()][0])
    for name in ("tfx", "tensorflow", "apache-beam", "tensorflow-recommenders", "tensorflow-model-analysis"):
        assert version(name) == pins[name]


@pytest.mark.parametrize(
    ("lane", "constraints"), [("1.16", "constraints-tfx116.txt"), ("1.21", "constraints-tfx121.txt")]
)
def test_each_lock_holds_its_own_versions_and_both_are_of_the_same_requirements(lane, constraints):
    pins = pins_in(LOCKS[lane][0])
    chosen = pins_in(constraints)
    assert {name: pins[name] for name in chosen} == chosen
    assert pins["tfx"].startswith(f"{lane}.")
    assert chosen.keys() <= {line.partition("[")[0] for line in (ROOT / "requirements.in").read_text().splitlines()}


def test_the_pinned_setuptools_still_has_what_tensorflow_hub_imports():
    (hub,) = importlib.util.find_spec("tensorflow_hub").submodule_search_locations
    # As soon as it does without, and TensorBoard too, the pin in requirements.in can go.
    assert "from pkg_resources import" in (Path(hub) / "__init__.py").read_text()
    for name in (name for names in LOCKS.values() for name in names):
        (major,) = re.findall(r"^setuptools==(\d+)", (ROOT / name).read_text(), re.MULTILINE)
        assert int(major) < 82, name


def test_the_environments_python_is_one_of_its_lanes():
    assert "{}.{}".format(*sys.version_info) in PYTHONS[installed_lane()]
    # pyenv reads it, for a Python that many systems have no more.
    assert (ROOT / ".python-version").read_text().split() == list(PYTHONS["1.16"])


def test_the_environment_is_made_with_the_pythons_of_its_lane():
    listed = re.findall(r'\) pythons="(.*?)"', (ROOT / "tools" / "environment.sh").read_text())
    assert [sorted(versions.split()) for versions in listed] == [list(versions) for versions in PYTHONS.values()]


CHOICES = {
    "older": (["glibc 2.36"], "", "TFX 1.16: glibc is 2.36, older than the 2.39 that TFX 1.21 needs"),
    "needed": (["glibc 2.39"], "", "TFX 1.21: glibc is 2.39, at least 2.39"),
    "newer": (["glibc 2.41"], "", "TFX 1.21: glibc is 2.41, at least 2.39"),
    "two digits": (["glibc 2.100"], "", "TFX 1.21: glibc is 2.100, at least 2.39"),
    "another library": ([], "", "TFX 1.16: the C library is not glibc, which TFX 1.21 needs"),
    "by hand the same": (["glibc 2.41"], "1.21", "TFX 1.21: glibc is 2.41, at least 2.39"),
    "by hand another": (["glibc 2.41"], "1.16", "TFX 1.16: as LANE asks for; glibc is 2.41, at least 2.39"),
}


def choose_lane(folder: Path, library: list[str], *arguments: str) -> subprocess.CompletedProcess:
    """Run the script on a machine of a C library."""
    getconf = folder / "getconf"
    getconf.write_text("#!/bin/sh\n" + (f"echo '{library[0]}'\n" if library else "exit 1\n"))
    getconf.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    command = [str(ROOT / "tools" / "choose_lane.sh"), *filter(None, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(("library", "asked", "said"), CHOICES.values(), ids=CHOICES)
def test_the_c_library_chooses_the_lane_and_the_line_says_why(tmp_path, library, asked, said):
    assert choose_lane(tmp_path, library, "--why", asked).stdout == f"{said}\n"
    assert choose_lane(tmp_path, library, asked).stdout == said[len("TFX ") : said.index(":")] + "\n"


def test_a_lane_that_can_not_be_installed_is_refused(tmp_path):
    done = choose_lane(tmp_path, ["glibc 2.36"], "1.21")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: TFX 1.21 can't be installed here: glibc is 2.36, older than the 2.39 that")


def dry_run(*arguments: str) -> subprocess.CompletedProcess:
    """Ask make what it would do, as one who starts it by hand: the tests may run below another one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "LANE"))}
    command = ["make", "--dry-run", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_a_lane_that_there_is_not_is_refused_by_make_before_anything_is_installed():
    done = dry_run("run", "LANE=1.17")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no lane '1.17': LANE is 1.16 or 1.21\n")


def test_the_tests_of_a_lane_in_a_tree_ask_nothing_of_this_machines_c_library():
    done = dry_run("test-lane", "LANE=1.21")
    assert (done.stdout, done.stderr) == ("tools/lane.py make test LANE=1.21\n", "")


SKIPPING = """
import pytest

def test_passes():
    pass

def test_skips():
    pytest.skip("no browser here")

@pytest.mark.skip(reason="not today")
def test_is_marked():
    pass

@pytest.mark.xfail
def test_is_expected_to_fail():
    raise AssertionError
"""


def run_pytest(folder: Path, ci: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "skips", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


def test_on_the_build_server_a_skip_is_a_failure_with_its_reason(tmp_path):
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    output = run_pytest(tmp_path, "true")
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output
    assert "no browser here" in output
    assert "not today" in output


def test_on_the_build_server_a_skipped_file_is_a_failure(tmp_path):
    (tmp_path / "test_whole_file.py").write_text("import pytest\npytest.importorskip('no_such_library')\n")
    assert "1 error" in run_pytest(tmp_path, "true")


def test_elsewhere_a_skip_is_a_skip(tmp_path):
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    assert "1 passed, 2 skipped, 1 xfailed" in run_pytest(tmp_path, "")


def test_what_may_be_skipped_on_the_build_server_says_why(monkeypatch):
    import skips

    monkeypatch.setenv("CI", "true")
    monkeypatch.setitem(skips.ALLOWED, "tests/test_browser.py::test_page", "no browser is to be had there")
    assert skips.may_skip("tests/test_browser.py::test_page[dark]")
    assert not skips.may_skip("tests/test_setup.py::test_page")
    assert all(skips.ALLOWED.values())
