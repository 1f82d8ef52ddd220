"""The servable check's process as a fork of one that has loaded TensorFlow already, in place of a fresh interpreter.

Loading TensorFlow takes the check five seconds of each run that made a model. Runs that look at something else spare
them; `run_sample` and the tests of the check itself have the real process.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from forks import Zygote, run_python_to_its_end


@contextlib.contextmanager
def forked_check(parent: Zygote) -> Iterator[None]:
    """Have the servable check's command run in a fork, until the block ends."""
    from components.serving_check import servable_check

    def run_command(
        command: list[str], *, timeout: float, env: Mapping[str, str], **_: Any
    ) -> subprocess.CompletedProcess[str]:
        return run_python_to_its_end(command[1:], timeout, environment=env, folder=Path.cwd(), parent=parent)

    stand_in = SimpleNamespace(run=run_command, TimeoutExpired=subprocess.TimeoutExpired)
    with mock.patch.object(servable_check, "subprocess", stand_in):
        yield
