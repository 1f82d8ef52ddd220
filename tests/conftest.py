"""What the tests of all rooms share."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # `pytest` without `python -m` does not put the working directory on the path.
    sys.path.insert(0, str(ROOT))

from data.environment import prepare_environment  # noqa: E402
from pipeline.tfx_imports import defer_cloud_extensions  # noqa: E402

prepare_environment()
defer_cloud_extensions()

import real_data  # noqa: E402
from fuzzing import mark_and_count, pytest_terminal_summary  # noqa: E402, F401
from readable_ids import pytest_make_parametrize_id  # noqa: E402, F401
from skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: E402, F401

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and what the tests start would inherit it: nothing could be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browser import Page
    from shared_run import SampleRun

# On the build server the same examples each time, and no clock: a failure there can be had again.
_COMMON = {
    "deadline": None,
    "max_examples": 40,
    "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture],
}
hypothesis.settings.register_profile("ci", derandomize=True, **_COMMON)
hypothesis.settings.register_profile("default", **_COMMON)
os.environ.setdefault("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI", "").lower() == "true" else "default")
hypothesis.settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark Hypothesis's tests, and begin with the files that hold slow ones where workers share the tests."""
    mark_and_count(items)
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[object]:
    """Make the process that forks commands, before a test uses what is imported, and pytest takes logs and warnings."""
    slow = [item for item in session.items if item.get_closest_marker("slow")]
    if slow and ("forks" in sys.modules or any("sample_run" in item.fixturenames for item in slow)):
        from forks import zygote

        zygote()
    return (yield)


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """Run the whole pipeline on the sample release, once for all tests: look, and leave it as it is."""
    # TFX takes its time to load, and most tests do without it.
    from shared_run import run_sample

    return run_sample(tmp_path_factory.mktemp("sample") / "runs")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """Open a browser; not for the whole session, since Playwright's loop would be in the way of others' loops."""
    from browser import chromium, open_browser

    executable = chromium()
    if executable is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with open_browser(executable) as page:
        yield page


@pytest.fixture(scope="session")
def ml_latest_small_folder() -> Path:
    """Give the real ml-latest-small, or a skip with the reason."""
    try:
        return real_data.ml_latest_small()
    except real_data.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def ml_100k_folder(pytestconfig: pytest.Config) -> Path:
    """Give the real ML-100K, or a skip with the reason."""
    try:
        return real_data.ml_100k(Path(pytestconfig.cache.mkdir("movielens")))
    except real_data.Unavailable as reason:
        pytest.skip(str(reason))
