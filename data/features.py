"""Names and fixed values of the features, the same from the shard to the serving request."""

from __future__ import annotations

CONTEXT_MOVIE_ID = "context_movie_id"
"""int64 `[max_context_length]`: the movies before the label, oldest first, padded with `PAD_MOVIE_ID`."""

CONTEXT_MOVIE_RATING = "context_movie_rating"
"""float `[max_context_length]`: the stars given to the context movies; pads are 0.0."""

CONTEXT_MOVIE_YEAR = "context_movie_year"
"""int64 `[max_context_length]`: the years of the context movies; unknown years and pads are 0."""

CONTEXT_MOVIE_GENRE = "context_movie_genre"
"""bytes `[max_context_movie_genre_length]`: the context movies' genres in order, padded with `NO_GENRE`."""

LABEL_MOVIE_ID = "label_movie_id"
"""int64 `[1]`: the movie watched next."""

CONTEXT_LENGTH = "context_length"
"""int64 `[1]`: how many of the context positions hold a movie; what lies behind is padding."""

LABEL_POPULARITY = "label_popularity"
"""bytes `[1]`: how popular the label is among train labels, one of `POPULARITY_BUCKETS`; for slicing only."""

PAD_MOVIE_ID = 0
"""No release numbers a movie 0."""

NO_GENRE = "UNK"
"""The reference's padding of genres."""

POPULARITY_BUCKETS = ("head", "middle", "tail", "unseen")
"""By rank among the train labels: the first 100, up to 1,000, the rest, and labels that train never shows."""
