"""A real HTTP server with TensorFlow Serving's paths: `kserve_server.py PORT NAME SAVED_MODEL`.

Runs in an environment of its own, which knows KServe and TensorFlow and nothing of this project.
"""

from __future__ import annotations

import sys
from typing import Any

import kserve
import tensorflow as tf
from rest_rules import answer


class ServedModel(kserve.Model):
    """A SavedModel under a name."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self._saved = tf.saved_model.load(folder)
        self.ready = True

    def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Answer a request."""
        return answer(self._saved, payload)


if __name__ == "__main__":
    port, name, folder = sys.argv[1:]
    kserve.ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([ServedModel(name, folder)])
