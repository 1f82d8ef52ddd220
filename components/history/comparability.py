"""Whether an earlier model may be compared with a new one on the eval split at hand."""

from __future__ import annotations

from pathlib import Path

from components.naming import SAVED_MODEL
from data.examples.manifest import Manifest
from data.identity import DataIdentity
from serving.export_record import read_record


def why_not_comparable(model: str | Path, examples: Manifest, fitted_to: Manifest | None = None) -> str | None:
    """Return why a model is no baseline on examples; None where it is one.

    Parameters
    ----------
    model
        The folder of its SavedModel.
    examples
        The manifest of the examples at hand.
    fitted_to
        The manifest of the examples that the model was fitted to, for models of earlier versions, whose exports don't
        say which.
    """
    export = read_record(model)
    data = export.data or (DataIdentity.of(fitted_to) if fitted_to is not None else None)
    if data is None:
        return "the last blessed model doesn't say which data it was fitted to"
    other = DataIdentity.of(examples).why_other(data)
    if other is not None:
        return f"other data ({other})"
    if export.ranks_any_length:
        return None
    length = fitted_to.options.max_context_length if fitted_to is not None else None
    if length != examples.options.max_context_length:
        return "the last blessed model, of an earlier version, ranks contexts of its own length only"
    return None


def why_passed_over(model: Path, examples: Path, fitted_to: Manifest | None = None) -> str | None:
    """Return why the last blessed model was not compared with.

    Parameters
    ----------
    model, examples
        Folders of the Model artifact and of the Examples artifact.
    fitted_to
        As for `why_not_comparable`.
    """
    return why_not_comparable(model / SAVED_MODEL, Manifest.load(examples), fitted_to)
