"""Keeps what TensorFlow writes to standard error while it is imported from people who asked for quiet."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_NOTE = re.compile(rb"[IW]\d{4} \d\d:|WARNING: All log messages before absl::InitializeLog\(\)")
"""How lines of TensorFlow's log begin, up to warnings, and what is said before the first."""

_STANDARD_ERROR = 2


def quiet_tensorflow_import() -> None:
    """Have the import of TensorFlow, whenever it comes, write no notes and warnings; errors are shown after it.

    TensorFlow 2.17 and later log some lines before they read `TF_CPP_MIN_LOG_LEVEL`.
    """
    if not any(isinstance(finder, _TensorFlowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TensorFlowFinder())


class _TensorFlowFinder(MetaPathFinder):
    """Finds TensorFlow with a loader that is quiet."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: ModuleType) -> None:
                with _without_notes():
                    load(module)

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Hold back what the process writes to standard error, native code included, and leave out the log's notes."""
    with contextlib.ExitStack() as stack:
        try:
            kept = os.dup(_STANDARD_ERROR)
            stack.callback(os.close, kept)
            held = stack.enter_context(tempfile.TemporaryFile())
        except OSError:
            # There is no standard error, or no place for files: then all is as loud as it is.
            yield
            return
        os.dup2(held.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(kept, _STANDARD_ERROR)
            held.seek(0)
            for line in held:
                if not _NOTE.match(line):
                    os.write(_STANDARD_ERROR, line)
