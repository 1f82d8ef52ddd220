"""Finds the methods of the generated client, whose names changed between its releases, in this one place.

In 2.16 each begins with its service: `RunServiceApi.run_service_create_run` was `create_run` in 2.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any


def api_method(service: Any, operation: str) -> Callable[..., Any]:
    """Return the method for an operation.

    Parameters
    ----------
    service
        An instance of a class of `kfp_server_api`, such as `RunServiceApi`.
    operation
        The operation's name without its service, such as `create_run`. What it sends is its last positional argument,
        whose name changed too.
    """
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(service).__name__.removesuffix("Api")).lower()
    return getattr(service, f"{name}_{operation}", None) or getattr(service, operation)
