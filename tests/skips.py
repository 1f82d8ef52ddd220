"""On the build server a skipped test is a failure, unless it stands here with its reason.

Elsewhere a skip is a skip: not everybody has a browser, or the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

_REAL_DATA = "needs real MovieLens data, which may not lie in the repository; see MOVIELENS_SOURCES in real_data.py"

_SMALL_DISKS = "needs the right to mount small disks in a namespace of its own, which not every container has"

_HISTORY = "needs the repository's history, which a shallow clone lacks, and the TFX 1.16 that code ran on"

_IMAGE = "needs podman and an image that was built from the Dockerfile, which no build server has"

_KSERVE = "needs KServe's package, which has to be installed in an environment of its own"

_MODEL_SIGNING = "needs the package model_signing, which has to be installed in an environment of its own"

_OPTUNA = "needs Optuna in an environment of its own, which takes a package index to make"

_PEERS = "needs RecTools in an environment of its own, which takes a package index to make"

_GO = "needs an engine that tools/engines.py builds with Go, which not every machine has"

_TREE = "needs a tree of a newer Debian, which tools/lane.py makes with debootstrap, root and mounts of its own"

ALLOWED: dict[str, str] = {
    "tests/benchmarks/test_search.py::": _OPTUNA,
    "tests/benchmarks/test_peers.py::test_the_real_": _PEERS,
    "tests/components/test_data_gate.py::test_two_halves_of_ml_latest_small_are_no_drift": _REAL_DATA,
    "tests/data/test_interactions.py::test_the_real_ml_latest_small_": _REAL_DATA,
    "tests/data/test_reference_semantics.py::test_examples_of_the_real_ml_latest_small_": _REAL_DATA,
    "tests/data/test_reference_semantics.py::test_examples_of_the_real_ml_100k_": _REAL_DATA,
    "tests/reliability/test_error_messages.py::test_a_work_directory_that_can_not_be_written_": _SMALL_DISKS,
    "tests/reliability/test_error_messages.py::test_no_space_for_": _SMALL_DISKS,
    "tests/test_surroundings.py::test_a_full_disk_": _SMALL_DISKS,
    "tests/test_lane_tree.py::": _SMALL_DISKS,
    "tests/test_newer_lane.py::": _TREE,
    "tests/test_surroundings.py::test_a_temporary_folder_without_space_": _SMALL_DISKS,
    "tests/data/test_prism.py::": _GO,
    "tests/pipeline/test_steps_on_prism.py::": _GO,
    "tests/serving/test_batch_on_prism.py::": _GO,
    "tests/data/test_distributed.py::test_workers_that_see_another_disk_": _SMALL_DISKS,
    "tests/data/test_titles_of_a_release.py::": _REAL_DATA,
    "tests/data/test_spans.py::test_the_real_ml_latest_small_": _REAL_DATA,
    "tests/data/test_train_labels.py::test_the_periods_of_the_real_ml_latest_small_": _REAL_DATA,
    "tests/serving/test_beam_batch.py::test_workers_on_an_engine_": _SMALL_DISKS,
    "tests/kubeflow/test_real_image.py::": _IMAGE,
    "tests/kubeflow/test_own_data_in_a_store.py::": _GO,
    "tests/kubeflow/test_real_object_store.py::": _GO,
    "tests/pipeline/test_real_data.py::": _REAL_DATA,
    "tests/reliability/test_upgrades.py::": _HISTORY,
    "tests/serving/test_model_signing.py::": _MODEL_SIGNING,
    "tests/serving/test_documented_request.py::test_kserves_own_types_": _KSERVE,
}
"""How a test's id begins, and why it may be skipped on the build server."""


def may_skip(node_id: str) -> bool:
    """Tell whether a test may be skipped here."""
    return os.environ.get("CI", "").lower() != "true" or node_id.startswith(tuple(ALLOWED))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Turn skips of single tests into failures."""
    outcome = yield
    _refuse(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """Turn skips of whole files into failures."""
    outcome = yield
    _refuse(outcome.get_result())


def _refuse(report: Any) -> None:
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and not may_skip(report.nodeid):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nA skip is a failure here; tests/skips.py lists those that are none."
