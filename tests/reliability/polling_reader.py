"""A reader of published models, as a model server is one: `polling_reader.py SERVING STOP_FILE`.

Until the stop file is there it looks for the newest version, reads all of it, and compares with the digest that the
publication names. A version that was taken away meanwhile is nothing to complain of; one that is still listed has to
be whole. Prints JSON: how many it read whole, their versions, and the halves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from serving.versions import GRAPH_FILE, model_digest, published_versions, read_publication


def poll(serving: Path, stop: Path) -> dict[str, object]:
    """Read until told to stop."""
    versions: list[int] = []
    halves: list[str] = []
    while not stop.exists():
        version = published_versions(serving)[-1]
        folder = serving / str(version)
        try:
            digest = model_digest(folder)
        except FileNotFoundError as error:
            digest = f"{error.filename} is missing"
        named = read_publication(folder).get("model_digest")
        if digest == named:
            versions.append(version)
        elif (folder / GRAPH_FILE).is_file():
            halves.append(f"version {version}: {digest}, but it names {named}")
    return {"whole": len(versions), "versions": versions, "halves": halves}


if __name__ == "__main__":
    print(json.dumps(poll(Path(sys.argv[1]), Path(sys.argv[2]))))
