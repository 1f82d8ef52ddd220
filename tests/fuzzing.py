"""`make fuzz`: which tests it runs, and how many inputs they tried.

Every test of Hypothesis's is one: a parser or a window that has to bear any input.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

PROFILE = "fuzz"

_tried: Counter[str] = Counter()

hypothesis.settings.register_profile(
    PROFILE,
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20000")),
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def mark_and_count(items: list[pytest.Item]) -> None:
    """Mark Hypothesis's tests, and have them count their inputs."""
    for item in items:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is None:
            continue
        item.add_marker(pytest.mark.fuzz)
        if not hasattr(handle.inner_test, "counted"):
            handle.inner_test = _counting(handle.inner_test, item.originalname)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many inputs were tried."""
    if os.environ.get("HYPOTHESIS_PROFILE") != PROFILE:
        return
    terminalreporter.section("inputs tried")
    for name, count in _tried.most_common():
        terminalreporter.line(f"{count:>10,}  {name}")
    terminalreporter.line(f"{_tried.total():>10,}  in all, by {len(_tried)} tests")


def _counting(test: Callable[..., None], name: str) -> Callable[..., None]:
    @functools.wraps(test)
    def counted(*arguments: Any, **named: Any) -> None:
        _tried[name] += 1
        test(*arguments, **named)

    counted.counted = True
    return counted
