"""What a data set's items are called where people read of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

_Word = Annotated[str, StringConstraints(pattern=r"^[^\W\d_]([\w' -]*\w)?$", max_length=30)]


class Words(BaseModel):
    """The words for a data set's items.

    Names of features, signatures and settings say "movie" all the same: programs rely on them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    one: _Word = "item"
    many: _Word = "items"
    taken: _Word = "chosen"
    """What a person has done with an item of the history: watched, bought, read."""


MOVIES = Words(one="movie", many="movies", taken="watched")
ITEMS = Words()
