"""Set-up that halves the time of TFX's import, and has to come before it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_CLOUD_EXTENSIONS = "tfx.v1.extensions"


def defer_cloud_extensions() -> None:
    """Defer the import of TFX's extensions for Google Cloud until one is asked for; call it before TFX is imported.

    `from tfx import v1` imports them all, and with them the client of Vertex AI, which takes as long as the rest of TFX
    and which no step here uses.
    """
    if not any(isinstance(finder, _CloudExtensionsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _CloudExtensionsFinder())


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Hold the garbage collector back during imports, and never look through what they made.

    TFX's modules are a million objects that stay: the collector would go through them again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


class _CloudExtensionsFinder(MetaPathFinder):
    """Finds the extensions as a package that imports its modules when they are asked for."""

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
