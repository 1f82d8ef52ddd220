"""What the tests of all rooms share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # `pytest` without `python -m` does not put the working directory on the path.
    sys.path.insert(0, str(ROOT))

from data.environment import prepare_environment  # noqa: E402

prepare_environment()

import real_data  # noqa: E402


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
