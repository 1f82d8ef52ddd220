"""Process-wide settings that must stand before TensorFlow is imported."""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_CLOUD_EXTENSIONS = "tfx.v1.extensions"


def prepare_environment(*, verbose: bool = False) -> None:
    """Choose Keras 2, put off what nobody asks for, and quiet libraries; call it before anything imports TensorFlow.

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
        raise RuntimeError("prepare_environment() must be called before TensorFlow is imported")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    if not Path("/dev/nvidia0").exists():
        # Without it TensorFlow looks for CUDA all the same, and complains.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    if not any(isinstance(finder, _CloudExtensionsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _CloudExtensionsFinder())
    if verbose:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    atexit.register(_leave_quietly)


class _CloudExtensionsFinder(MetaPathFinder):
    """Finds TFX's extensions for Google Cloud as a package that imports its modules when they are asked for.

    `from tfx import v1` imports them all, and with them the client of Vertex AI, which takes as long as the rest of TFX
    and which no step here uses.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _CLOUD_EXTENSIONS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = _OnDemandLoader()
        return spec


class _OnDemandLoader(Loader):
    """Loads a package whose attributes are its modules, and leaves out its own code, which imports them all."""

    def exec_module(self, module: ModuleType) -> None:
        def on_demand(name: str) -> ModuleType:
            try:
                return importlib.import_module(f"{module.__name__}.{name}")
            except ModuleNotFoundError as error:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from error

        module.__getattr__ = on_demand  # type: ignore[method-assign]


def _leave_quietly() -> None:
    """Keep TensorFlow's objects from complaining while the interpreter takes their modules away."""
    sys.unraisablehook = lambda _: None
