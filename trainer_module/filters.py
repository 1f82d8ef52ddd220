"""Which movies a request wants to choose from: by lists of ids, genres and years."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer_module.ranking import seen_mask

NO_GENRE = ""
"""What fills up lists of genres in a request; no genre has this name."""

NO_YEAR = 0
"""As a bound: none. As a movie's year: unknown, which lies within no bounds."""


class MovieFilter(tf.Module):
    """What the signature `filtered` knows of the candidates beside their embeddings.

    Parameters
    ----------
    years
        int `[num_movies]`: `NO_YEAR` where unknown, in the vocabulary's order.
    genres
        `[num_movies]`: each movie's genres, perhaps none.
    """

    def __init__(self, years: np.ndarray, genres: Sequence[Sequence[str]]) -> None:
        super().__init__(name="movie_filter")
        # A table can not be empty. No movie bears this name, and it is passed over where it is asked for.
        names = sorted({name for of_movie in genres for name in of_movie}) or [NO_GENRE]
        place = {name: number for number, name in enumerate(names)}
        has_genre = np.zeros([len(names), len(years)], np.float32)
        for movie, of_movie in enumerate(genres):
            has_genre[[place[name] for name in of_movie], movie] = 1
        self._year = tf.Variable(years, dtype=tf.int64, trainable=False, name="year")
        self._has_genre = tf.Variable(has_genre, trainable=False, name="has_genre")
        self._place_of_genre = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(names, tf.string), tf.range(len(names), dtype=tf.int64), tf.string, tf.int64
            ),
            default_value=-1,
        )

    def excluded(
        self,
        allow: tf.Tensor,
        has_allow: tf.Tensor,
        deny: tf.Tensor,
        genre: tf.Tensor,
        without_genre: tf.Tensor,
        years: tuple[tf.Tensor, tf.Tensor],
    ) -> tf.Tensor:
        """Return the candidates that each query leaves out.

        Parameters
        ----------
        allow
            int `[batch, any length]`: indices of the only movies wanted, 0 for one that is not in the vocabulary.
        has_allow
            bool `[batch]`: whether there is such a list, even if it holds unknown movies alone; else all are wanted.
        deny
            int `[batch, any length]`: indices of movies that are not wanted.
        genre
            string `[batch, any length]`: a movie needs one of them at least. `NO_GENRE` is passed over; where a row
            holds nothing else, any movie will do. A name that no movie bears is a genre without movies.
        without_genre
            string `[batch, any length]`: a movie must have none of them.
        years
            The first and the last year, int64 `[batch]` each, both included, or `NO_YEAR`.

        Returns
        -------
        tf.Tensor
            bool `[batch, num_movies]`.
        """
        num_movies = self._year.shape[0]
        first, last = (bound[:, tf.newaxis] for bound in years)
        year = self._year[tf.newaxis, :]
        dated = (first != NO_YEAR) | (last != NO_YEAR)
        in_time = (year >= first) & ((last == NO_YEAR) | (year <= last)) & (year != NO_YEAR)
        has_genre = tf.reduce_any(genre != NO_GENRE, axis=1, keepdims=True)
        return (
            (has_allow[:, tf.newaxis] & ~seen_mask(allow, num_movies))
            | seen_mask(deny, num_movies)
            | (has_genre & ~self._of_genres(genre))
            | self._of_genres(without_genre)
            | (dated & ~in_time)
        )

    def _of_genres(self, genre: tf.Tensor) -> tf.Tensor:
        """Return which movies have one of the genres at least, bool `[batch, num_movies]`."""
        place = self._place_of_genre.lookup(genre)
        asked = tf.reduce_sum(tf.one_hot(place, self._has_genre.shape[0]), axis=1)
        return tf.matmul(asked, self._has_genre) > 0
