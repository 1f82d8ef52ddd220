"""The features of an example, each described once: schema, statistics, drift and pages derive from `FEATURES`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from data.movie_ids import MovieId

if TYPE_CHECKING:
    from data.options import GenerateOptions

CONTEXT_MOVIE_ID = "context_movie_id"
CONTEXT_MOVIE_RATING = "context_movie_rating"
CONTEXT_MOVIE_YEAR = "context_movie_year"
CONTEXT_MOVIE_GENRE = "context_movie_genre"
LABEL_MOVIE_ID = "label_movie_id"
CONTEXT_LENGTH = "context_length"
LABEL_POPULARITY = "label_popularity"

SEEN_MOVIE_ID = "seen_movie_id"
"""All movies before the label, oldest first, as many as there are: only in eval examples, and only where
`GenerateOptions.leave_out` asks for it. Evaluation alone reads it, so that it is not one of `FEATURES`."""

TIMELINE_MOVIE_ID = "timeline_movie_id"
"""In a train timeline, not in an example: its movies, oldest first, of any number."""

TIMELINE_IS_LABEL = "timeline_is_label"
"""In a train timeline: for each of its movies 1 if it is a train label, else 0."""

PAD_MOVIE_ID = 0
"""The pad of every data set none of whose movies has the id 0, which no MovieLens release has."""

NO_GENRE = "UNK"
"""The reference's padding of genres."""

POPULARITY_BUCKETS = ("head", "middle", "tail", "unseen")
"""By rank among the train labels: the first 100, up to 1,000, the rest, and labels that train never shows."""

Kind = Literal["movie", "number", "category"]


@dataclass(frozen=True)
class Feature:
    """One named value, or list of values, of an example; the same from the shard to the serving request.

    Attributes
    ----------
    name
        Its name in examples, schema, statistics and requests.
    type
        Its type in TensorFlow's examples: int64, float32 or bytes.
    kind
        What the values are: movie ids, which are names and have no mean; numbers; or categories.
    about
        Whether it says something of the context, so that its values depend on how long that may be, or of the label.
    meaning
        What a value is, in a few words for people.
    length
        The option of `GenerateOptions` that fixes how many values an example has; None for one value.
    pad
        What fills it up to its length; None if it is never filled up.
    unknown
        A value that stands for a missing one, besides the pad; None if there is none.
    values
        All values that it may have, in the order of reading; empty if they are open.
    """

    name: str
    type: Literal["int", "float", "bytes"]
    kind: Kind
    about: Literal["context", "label"]
    meaning: str
    length: Literal["max_context_length", "max_context_movie_genre_length"] | None = None
    pad: int | float | str | None = None
    unknown: int | None = None
    values: tuple[str, ...] = ()

    @property
    def follows_context(self) -> bool:
        """Whether it has a value for each position of the context."""
        return self.length == "max_context_length"

    def num_values(self, options: GenerateOptions) -> int:
        """Return how many values an example has, pads included."""
        return getattr(options, self.length) if self.length else 1


FEATURES = (
    Feature(LABEL_MOVIE_ID, "int", "movie", "label", "the movie that comes next"),
    Feature(
        CONTEXT_MOVIE_ID,
        "int",
        "movie",
        "context",
        "the movies before the label, oldest first",
        length="max_context_length",
        pad=PAD_MOVIE_ID,
    ),
    Feature(CONTEXT_LENGTH, "int", "number", "context", "length of the context"),
    Feature(
        CONTEXT_MOVIE_RATING,
        "float",
        "number",
        "context",
        "ratings in the context",
        length="max_context_length",
        pad=0.0,
    ),
    Feature(
        CONTEXT_MOVIE_YEAR,
        "int",
        "number",
        "context",
        "years in the context",
        length="max_context_length",
        pad=0,
        unknown=0,
    ),
    Feature(
        CONTEXT_MOVIE_GENRE,
        "bytes",
        "category",
        "context",
        "genres in the context",
        length="max_context_movie_genre_length",
        pad=NO_GENRE,
    ),
    Feature(LABEL_POPULARITY, "bytes", "category", "label", "popularity of the labels", values=POPULARITY_BUCKETS),
)
"""Every feature, in the order in which they are shown, of a data set whose ids are integers and whose pad is 0."""


def features_with(pad: MovieId) -> tuple[Feature, ...]:
    """Return every feature of a data set.

    Parameters
    ----------
    pad
        What stands for no movie. It is a text where ids are texts.
    """
    kind: Literal["bytes", "int"] = "bytes" if isinstance(pad, str) else "int"
    return tuple(
        replace(feature, type=kind, pad=None if feature.pad is None else pad) if feature.kind == "movie" else feature
        for feature in FEATURES
    )


def find_feature(name: str) -> Feature:
    """Return the feature of a name.

    Raises
    ------
    KeyError
        There is none.
    """
    for feature in FEATURES:
        if feature.name == name:
            return feature
    raise KeyError(name)
