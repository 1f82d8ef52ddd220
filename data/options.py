"""What a person may choose about the generated examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.errors import InputError
from data.splits import SPLIT_NAMES, STRATEGIES, unspelt
from data.splits.base import SplitStrategy

ReleaseName = Literal[
    "ml-1m", "ml-100k", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small", "sample"
]
if TYPE_CHECKING:
    SplitName = str
else:
    SplitName = Annotated[Literal[SPLIT_NAMES], BeforeValidator(unspelt)]

RELEASE_NAMES: tuple[str, ...] = get_args(ReleaseName)


@dataclass(frozen=True)
class DecidesSplit:
    """Marks an option that decides under every split which examples are train and which eval.

    Options that a split uses bear none: the fields of its strategy say so. What neither names may change while a
    model's figures stay comparable: see `data.identity`.
    """


class GenerateOptions(BaseModel):
    """Everything besides the source that decides what the examples are.

    Equal options and an equal source give byte-identical shards.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    release: ReleaseName
    """The MovieLens release, which fixes the files' format and the stars that may occur."""

    min_timeline_length: Annotated[int, DecidesSplit()] = Field(3, ge=2, le=1_000_000)
    """Users with fewer ratings than this, counted after the filter by stars, are left out."""

    max_context_length: int = Field(10, ge=1, le=1_000)
    """How many movies before the label an example holds at most; shorter contexts are padded to it."""

    max_context_movie_genre_length: int = Field(10, ge=1, le=10_000)
    """How many genres of the context movies an example holds; fewer are padded, more are cut."""

    min_rating: Annotated[float, DecidesSplit()] = Field(2.0, ge=0.0, le=5.0, allow_inf_nan=False)
    """Ratings with fewer stars than this are left out."""

    train_fraction: float = Field(0.9, gt=0.0, lt=1.0, allow_inf_nan=False)
    """The share of train examples, under the splits that use it."""

    split: Annotated[SplitName, DecidesSplit()] = "random"
    """Which examples are held out: see `data.splits`."""

    seed: int = Field(42, ge=0, lt=2**63)
    """Decides the order of the examples, and a split by chance."""

    shards: int | None = Field(None, ge=1, le=10_000)
    """Train shards; by default one for every `RATINGS_PER_SHARD` ratings. A shard is sorted in memory."""

    @property
    def strategy(self) -> SplitStrategy:
        """The split, with the options that it uses."""
        kind = STRATEGIES[self.split]
        return kind(**{name: getattr(self, name) for name in kind.uses()})


def deciding_options(options: GenerateOptions) -> dict[str, Any]:
    """Return the options that decide which examples are train and which eval, by name."""
    used = STRATEGIES[options.split].uses()
    return {
        name: getattr(options, name)
        for name, field in GenerateOptions.model_fields.items()
        if name in used or DecidesSplit() in field.metadata
    }


def parse_options(values: Mapping[str, Any]) -> GenerateOptions:
    """Validate options that a person wrote.

    Raises
    ------
    InputError
        A value is out of range, of a wrong type, or its name is unknown; the message names each.
    """
    try:
        return GenerateOptions.model_validate(dict(values))
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'options'} = {fault['input']!r}: {fault['msg']}"
            for fault in error.errors()
        )
        raise InputError(reasons, code="C07") from error
