"""Process-wide settings that must be made before TensorFlow is imported."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path

from data.errors import InputError
from data.quiet_import import quiet_tensorflow_import


def prepare_environment(*, verbose: bool = False) -> None:
    """Choose Keras 2 and quiet libraries; call it before anything imports TensorFlow.

    TensorFlow Recommenders 0.7 refuses to be imported under Keras 3, and TensorFlow reads all of these
    variables once, when it is loaded. Values that the caller's environment already sets are kept, save for
    `TF_USE_LEGACY_KERAS`, without which nothing here works.

    Parameters
    ----------
    verbose
        Keep the libraries' own log lines and warnings.

    Raises
    ------
    RuntimeError
        TensorFlow is imported already, so that the settings would come too late.
    """
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise RuntimeError(
            "TensorFlow is imported already, without TF_USE_LEGACY_KERAS=1: restart, and call prepare_environment() "
            "before TensorFlow is imported"
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # At its end a process looks through all that its libraries made for what is of no use, which takes seconds.
    atexit.register(gc.freeze)
    _provide_home()
    _show_workers_the_code()
    if not Path("/dev/nvidia0").exists():
        # Without it TensorFlow looks for CUDA all the same, and logs errors.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    if verbose:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3":
        quiet_tensorflow_import()
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    # It logs the traceback of what it raises: a step's one clear line would come after a page of it.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _report_thread
    atexit.register(_leave_quietly)


_BEAMS_READER = "wait_until_finish_read"
"""The thread in which Beam's client reads a job's messages. What ends it ends the job, which is told once."""


def _report_thread(failed: threading.ExceptHookArgs) -> None:
    """Print what ended a thread, unless it is Beam's reader."""
    if failed.thread is None or failed.thread.name != _BEAMS_READER:
        threading.__excepthook__(failed)


def _provide_home() -> None:
    """Set HOME where there is none: libraries ask for it at import, and fails for a user without a passwd entry."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = temporary_folder()


def temporary_folder() -> str:
    """Return the folder of temporary files.

    Raises
    ------
    InputError
        There is none that can be written to, or no space is left in it.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(
            "no folder for temporary files can be written to: set TMPDIR to one with free space",
            code="F04",
        ) from error


def _show_workers_the_code() -> None:
    """Put the project on the PYTHONPATH of processes that Beam starts, which need not start in its folder."""
    project = str(Path(__file__).resolve().parent.parent)
    present = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    if project not in present:
        os.environ["PYTHONPATH"] = os.pathsep.join([project, *present])


def _leave_quietly() -> None:
    """Keep TensorFlow's objects from printing errors while the interpreter unloads their modules."""
    sys.unraisablehook = lambda _: None
