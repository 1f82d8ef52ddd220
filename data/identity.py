"""Which examples are train and which eval: what two models have to share for their figures to be compared.

A model that was fitted under another split has seen eval examples of this one. So a baseline, earlier statistics and
the history of a pipeline belong to one data identity: the data set, the content of its source, and the options that
decide the split.

The content may change only where the split proves that no earlier train label becomes an eval label. A random cut moves
with the number of examples, and a user's last movie is another when one is taken away. Under the temporal split train
ends at a time: whatever was train up to then is train or gone as long as that time doesn't move back.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from data.examples.manifest import Manifest
from data.options import deciding_options


class DataIdentity(BaseModel):
    """What decides which examples are train and which eval.

    Attributes
    ----------
    data_set
        The release, or the name of own data.
    source_digest
        Digest of the content of its files; of a series of spans, of the first one's.
    options
        The options that decide, by name.
    train_until
        Time of the newest train label in seconds since 1970, where the split is by time; else None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_set: str
    source_digest: str
    options: dict[str, Any]
    train_until: int | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> DataIdentity:
        """Return the identity of generated examples."""
        span = manifest.span
        return cls(
            data_set=manifest.data_set,
            source_digest=manifest.source_digest if span is None else span.series,
            options={**deciding_options(manifest.options), **_kind_of_own_ids(manifest)},
            train_until=manifest.train_until if span is None else None,
        )

    @classmethod
    def parse(cls, text: str) -> DataIdentity | None:
        """Return what `model_dump_json` wrote; None for anything else."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def why_other(self, earlier: DataIdentity) -> str | None:
        """Return why a model or statistics of an earlier identity can't be held against these examples.

        Parameters
        ----------
        earlier
            The identity of the data that the earlier model or statistics are of.

        Returns
        -------
        str or None
            What differs, in a phrase; None where no earlier train label is an eval label now.
        """
        found = [
            f"{name} was {_spelt(earlier.options.get(name))} and is {_spelt(self.options.get(name))}"
            for name in dict.fromkeys([*self.options, *earlier.options])
            if self.options.get(name) != earlier.options.get(name)
        ]
        if self.data_set != earlier.data_set:
            found.insert(0, f"the data set was {earlier.data_set} and is {self.data_set}")
        elif self.source_digest != earlier.source_digest and not self._only_later(earlier):
            found.insert(0, "the source's content changed")
        return ", ".join(found) or None

    def _only_later(self, earlier: DataIdentity) -> bool:
        """Return whether train ends by time, and no earlier than it did."""
        return (
            self.train_until is not None and earlier.train_until is not None and earlier.train_until <= self.train_until
        )


def _kind_of_own_ids(manifest: Manifest) -> dict[str, str]:
    """Return what own ids are, seen or asked for: a model of the other kind can't read them."""
    if manifest.release is not None:
        return {}
    return {"item_ids": "text" if isinstance(manifest.pad_movie_id, str) else "integer"}


def _spelt(value: object) -> str:
    """Return an option's value as text; None stands for an option that the split doesn't use."""
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
