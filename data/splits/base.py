"""What a split is.

numpy takes its time to import, and whoever lists the splits, such as `--help`, must not wait for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.timelines.timelines import Timelines


@dataclass(frozen=True)
class SplitStrategy(ABC):
    """Decides which examples train, and which evaluate: by default the others.

    It depends on users, on labels' positions and times, and on its fields: never on the order of users, on blocks,
    shards or workers. Its fields are the options that it uses, under their names in `data.options.GenerateOptions`.

    Attributes
    ----------
    name
        Its name in options and manifests, with `_` between words.
    summary
        What trains, in a sentence for people.
    caveat
        A sentence about how figures under it are to be read, or nothing.
    is_by_time
        Whether train ends at a time, so that no train label is later than an eval label.
    keeps_users_order
        Whether no train label of a user is later than an eval label of the same user.
    known_only
        Whether labels of users without a train label, and of movies that no train example shows, don't evaluate: see
        `data.splits.division`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    caveat: ClassVar[str] = ""
    is_by_time: ClassVar[bool] = False
    keeps_users_order: ClassVar[bool] = False
    known_only: ClassVar[bool] = False

    @classmethod
    def uses(cls) -> tuple[str, ...]:
        """Return the names of the options that it is made with."""
        return tuple(field.name for field in fields(cls))

    @abstractmethod
    def is_train(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which examples train.

        Parameters
        ----------
        timelines
            Timelines of some users.
        rows
            int64 `[n]`: the ratings that are labels.
        cut
            The largest rank of a train example over the whole release; None if no example trains, or without ranks.

        Returns
        -------
        NDArray[np.bool_]
            `[n]`.
        """

    def is_eval(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which examples evaluate, unknown users and movies among them; parameters as for `is_train`."""
        return ~self.is_train(timelines, rows, cut)

    def train_until(self, cut: int | None) -> int | None:
        """Return when train ends, in seconds since 1970: no train label is later, all eval labels are; or None."""
        return None


@dataclass(frozen=True)
class CutSplit(SplitStrategy):
    """Ranks the examples of the release, and trains on the share of them with the smallest ranks.

    Attributes
    ----------
    train_fraction
        The share of examples that train: `round(n * train_fraction)` of `n`, and those of the last one's rank.
    """

    train_fraction: float

    def ranked_rows(self, timelines: Timelines) -> NDArray[np.int64]:
        """Return the ratings that the share is one of, int64 `[num_ranked]`: by default labels."""
        from data.timelines.windows import label_rows

        return label_rows(timelines)

    @abstractmethod
    def ranks(self, timelines: Timelines, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Rank examples, spread over all 64 bits; parameters and shape are those of `is_train`."""

    def is_train(self, timelines: Timelines, rows: NDArray[np.int64], cut: int | None) -> NDArray[np.bool_]:
        """Return which examples rank no higher than the cut."""
        import numpy as np

        if cut is None:
            return np.zeros(len(rows), dtype=bool)
        return self.ranks(timelines, rows) <= np.uint64(cut)
