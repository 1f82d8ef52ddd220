"""Print the fields of an InferenceService that KServe's own types don't know, as a JSON list.

`kserve_types.py FILE` runs in KServe's environment, which knows nothing of this project.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve
import yaml


def unknown_fields(value: Any, type_name: str, path: str = "") -> Iterator[str]:
    """Yield the paths of fields that a type, or one of those within it, doesn't have."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from unknown_fields(item, type_name, f"{path}[{number}]")
    known = getattr(kserve, type_name, None)
    if known is None or not isinstance(value, dict):
        # Kubernetes' own, or a plain value.
        return
    attributes = {field: attribute for attribute, field in known.attribute_map.items()}
    for field, inner in value.items():
        if field not in attributes:
            yield f"{path}.{field}"
        else:
            inner_type = re.sub(r"^list\[(.*)\]$", r"\1", known.openapi_types[attributes[field]])
            yield from unknown_fields(inner, inner_type, f"{path}.{field}")


if __name__ == "__main__":
    (file,) = sys.argv[1:]
    content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    print(json.dumps(list(unknown_fields(content, "V1beta1InferenceService"))))
