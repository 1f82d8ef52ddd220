"""Examples with a fault made to order, and models that behave as they are told."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from components.audit.windows import ExampleFolder
from data.examples.manifest import MANIFEST_FILE
from data.generate import generate
from data.options import GenerateOptions
from data.releases.catalogue import CATALOGUE_FILE


def own_examples(folder: Path, events: Iterable[tuple[int, int | str, int]], **options: object) -> ExampleFolder:
    """Generate examples of own data from events of user, item and time."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["user,item,timestamp", *(f"{user},{item},{time}" for user, item, time in events)]
    (folder / "events.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    chosen = GenerateOptions.model_validate({"name": "shop", **options})
    generate(chosen, folder / "data", interactions=str(folder / "events.csv"))
    return as_artifact(folder / "data", folder / "artifact")


def sample_examples(folder: Path, **options: object) -> ExampleFolder:
    """Generate examples of the sample release."""
    generate(GenerateOptions.model_validate({"release": "sample", **options}), folder / "data")
    return as_artifact(folder / "data", folder / "artifact")


def as_artifact(data: Path, artifact: Path) -> ExampleFolder:
    """Lay generated data out as ExampleGen does."""
    for split in ("train", "eval"):
        (artifact / f"Split-{split}").mkdir(parents=True)
        for shard in data.glob(f"{split}-*"):
            shutil.copy(shard, artifact / f"Split-{split}")
    for name in (MANIFEST_FILE, CATALOGUE_FILE):
        shutil.copy(data / name, artifact)
    return ExampleFolder.load(str(artifact))


def answering(key: Callable[[np.ndarray], int], movies: int, k: int = 10) -> Callable[[np.ndarray], np.ndarray]:
    """Return a model that draws its answer to a context, without pads, by a key: equal keys have equal answers.

    Movies of the context may be among the answer.
    """

    def ask(contexts: np.ndarray) -> np.ndarray:
        rows = [
            np.random.default_rng(abs(key(context[context > 0]))).permutation(movies)[:k] + 1 for context in contexts
        ]
        return np.array(rows).reshape(len(contexts), k)

    return ask
