"""What a person may choose about the generated examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from data.errors import InputError
from data.span_settings import SpanSettings
from data.splits import SPLIT_NAMES, STRATEGIES, unspelt
from data.splits.base import SplitStrategy
from data.words import ITEMS, MOVIES, Words

ReleaseName = Literal[
    "ml-1m", "ml-100k", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small", "sample"
]
if TYPE_CHECKING:
    SplitName = str
else:
    SplitName = Annotated[Literal[SPLIT_NAMES], BeforeValidator(unspelt)]

_MOST_STARS = 5.0

_OF_OWN_DATA = ("columns", "item_ids", "duplicates", "words")
"""Options that a release has no use for."""

RELEASE_NAMES: tuple[str, ...] = get_args(ReleaseName)


@dataclass(frozen=True)
class DecidesSplit:
    """Marks an option that decides under every split which examples are train and which eval, or what eval ranks.

    Options that a split uses bear none: the fields of its strategy say so. What neither names may change while a
    model's figures stay comparable: see `data.identity`.
    """


class ColumnNames(BaseModel):
    """What the columns of a person's own files are called; None where one of the usual names is looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str | None = None
    item: str | None = None
    """In the interactions' files and in the items'."""
    timestamp: str | None = None
    rating: str | None = None
    """A rating or another weight of the interaction, if there is one."""
    title: str | None = None
    year: str | None = None
    genres: str | None = None
    """Categories of the item: a list, or a text in which `|` parts them."""


class GenerateOptions(BaseModel):
    """Everything besides the source that decides what the examples are.

    Equal options and an equal source give byte-identical shards. The data are a MovieLens release's, or a person's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    release: ReleaseName | None = None
    """The MovieLens release, which fixes the files' format and the stars that may occur. None for own data."""

    name: str | None = Field(None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=32)
    """The name of own data. It keeps data sets apart: pipelines, published models and baselines belong to one name."""

    columns: Annotated[ColumnNames | None, DecidesSplit()] = None
    """What the columns of own files are called."""

    item_ids: Annotated[Literal["integer", "text"] | None, DecidesSplit()] = None
    """What the items' ids are in own files; None to see by the first of them."""

    duplicates: Annotated[Literal["keep", "drop"] | None, DecidesSplit()] = None
    """Whether an own interaction that occurs again, at the same second, is kept (the default) or left out."""

    words: Words | None = None
    """What the items of own data are called on pages and at the terminal; None for "item" and "items"."""

    min_timeline_length: Annotated[int, DecidesSplit()] = Field(3, ge=2, le=1_000_000)
    """Users with fewer ratings than this, counted after the filter by stars, are left out."""

    max_context_length: int = Field(10, ge=1, le=1_000)
    """How many movies before the label an example holds at most; shorter contexts are padded to it."""

    max_context_movie_genre_length: int = Field(10, ge=1, le=10_000)
    """How many genres of the context movies an example holds; fewer are padded, more are cut."""

    min_rating: Annotated[float, DecidesSplit()] = Field(2.0, ge=0.0, allow_inf_nan=False)
    """Ratings with fewer stars than this are left out; of own data by default none."""

    min_movie_ratings: Annotated[int | None, DecidesSplit()] = Field(None, ge=2, le=1_000_000)
    """Movies with fewer ratings than this, counted after the filter by stars, are left out, before users are counted;
    None for none."""

    leave_out: Annotated[Literal["history"] | None, DecidesSplit()] = None
    """What evaluation leaves out when it ranks: the user's whole earlier history, which eval examples then hold,
    however little of it the model reads; None for the context's own movies alone."""

    train_fraction: float = Field(0.9, gt=0.0, lt=1.0, allow_inf_nan=False)
    """The share of train examples, under the splits that use it."""

    split: Annotated[SplitName, DecidesSplit()] = "random"
    """Which examples are held out: see `data.splits`."""

    seed: int = Field(42, ge=0, lt=2**63)
    """Decides the order of the examples, and a split by chance."""

    timelines: bool = False
    """Whether train timelines are written too, beside the windows: `training.form: chunks` reads them."""

    shards: int | None = Field(None, ge=1, le=10_000)
    """Train shards; by default one for every `RATINGS_PER_SHARD` ratings. A shard is sorted in memory."""

    @model_validator(mode="before")
    @classmethod
    def _keep_all_of_own_data(cls, values: Any) -> Any:
        """Own ratings may be weights, and interactions may have none."""
        if isinstance(values, dict) and values.get("name") is not None:
            return {"min_rating": 0.0, **values}
        return values

    @model_validator(mode="after")
    def _check_data_set(self) -> GenerateOptions:
        if (self.release is None) == (self.name is None):
            raise ValueError("name the data: either `release`, or `name` for data of your own")
        if self.name in RELEASE_NAMES:
            raise ValueError(f"`name` is {self.name!r}, which is a MovieLens release: take another name")
        if self.release is not None:
            of_own = [name for name in _OF_OWN_DATA if getattr(self, name) is not None]
            if of_own:
                raise ValueError(f"`{of_own[0]}` is for data of your own, and not for a release")
            if self.min_rating > _MOST_STARS:
                raise ValueError(f"`min_rating` is {self.min_rating:g}: no rating has more than {_MOST_STARS:g} stars")
        return self

    @property
    def data_set(self) -> str:
        """The release, or the name of own data."""
        return str(self.release or self.name)

    @property
    def wording(self) -> Words:
        """What the items are called where people read of them."""
        return MOVIES if self.release is not None else self.words or ITEMS

    @property
    def ties(self) -> Literal["as_given", "by_movie"]:
        """How a user's ratings at one time are ordered: see `data.timelines.timelines`."""
        # The files of own data may come in any order.
        return "as_given" if self.release is not None else "by_movie"

    @property
    def strategy(self) -> SplitStrategy:
        """The split, with the options that it uses."""
        kind = STRATEGIES[self.split]
        return kind(**{name: getattr(self, name) for name in kind.uses()})


class DataSettings(GenerateOptions):
    """What the examples are, and where own data lie: the place decides nothing."""

    interactions: str | None = None
    """The files of own interactions: a path, a pattern or an address."""

    items: str | None = None
    """The files of own items, if there are any."""

    spans: SpanSettings | None = None
    """How data that keep arriving become spans; None for data that stand for themselves."""
    requests: str | None = None
    """The folder of a request log, beside which train is held: see `docs/requests.md`."""

    @model_validator(mode="after")
    def _check_files(self) -> DataSettings:
        if self.release is not None and (self.interactions is not None or self.items is not None):
            raise ValueError("`interactions` and `items` are for data of your own, and not for a release")
        if self.items is not None and self.interactions is None:
            raise ValueError("`items` belong to `interactions`")
        return self

    @property
    def options(self) -> GenerateOptions:
        """What the examples are."""
        return GenerateOptions(**{name: getattr(self, name) for name in GenerateOptions.model_fields})


def deciding_options(options: GenerateOptions) -> dict[str, Any]:
    """Return the options that decide which examples are train and which eval, by name."""
    used = STRATEGIES[options.split].uses()
    values = options.model_dump(mode="json")
    return {
        name: values[name]
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
            f"{'.'.join(str(part) for part in fault['loc'])} = {fault['input']!r}: {fault['msg']}"
            if fault["loc"]
            # About several options together: it names those that it is about.
            else fault["msg"]
            for fault in error.errors()
        )
        raise InputError(reasons.replace("Value error, ", ""), code="C07") from error
