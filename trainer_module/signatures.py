"""The published model's signatures: recommendations, similar movies, and exact ranks for the Evaluator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from data import features
from data.movie_ids import MovieId
from trainer_module.dataset import parse_any_length, parse_seen
from trainer_module.filters import MovieFilter
from trainer_module.model import NextMovieModel
from trainer_module.preprocessing import as_word
from trainer_module.ranking import FixedScores, rank_of_label, seen_mask
from trainer_module.vocabulary import Vocabulary

TOP_K = 100
"""Movies in an answer; callers cut it to the k they want."""

FILLER_SCORE = tf.float32.min
"""Score of what fills an answer up. Finite, since JSON has no infinity, and a model server could not answer."""

NO_HISTORY = "the model reads whole histories, and an example holds none"
"""What evaluation says of examples that were written without `data.leave_out: history`."""

EVALUATION_TOP_K = 10
"""Movies that the evaluation signature names, for the catalogue coverage."""


_Signature = Callable[..., dict[str, tf.Tensor]]


class _Best(NamedTuple):
    """The best candidates of each query, best first, `[batch, k]`; those that are left out fill it up at the end."""

    column: tf.Tensor
    score: tf.Tensor
    is_filler: tf.Tensor


class _Traced:
    """A method, traced once for inputs of any size. It has no Python control flow for AutoGraph to rewrite.

    Held bare by a module, a `tf.function` would be traced once more on saving, and saved beside its signature.
    """

    def __init__(self, method: _Signature, *inputs: tf.TensorSpec) -> None:
        self._function = tf.function(method, input_signature=inputs, autograph=False)

    def __call__(self, *inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._function(*inputs)

    def concrete(self) -> tf.types.experimental.ConcreteFunction:
        """Return what is saved as a signature."""
        return self._function.get_concrete_function()


class ServingModel(tf.Module):
    """A trained model with its vocabulary, its train popularity and its signatures.

    All candidates stand in one matrix, copied when training is over, so that an answer costs one product.

    Parameters
    ----------
    model
        The trained towers.
    transform_output
        The Transform step's result, for its vocabulary.
    label_counts
        int `[num_movies]`: how often each movie is a label in train, in the vocabulary's order.
    max_context_length
        How many of the last movies the query tower reads, unless it reads whole histories.
    recent_popularity
        int `[num_movies]`: larger for movies that were labels in train more often lately, below 2^24, in the
        vocabulary's order; by default popularity of all time stands in.
    pad
        What stands for no movie in requests and answers: a text where ids are texts, and then all ids are strings,
        here in place of int64.
    years
        int `[num_movies]`: 0 where unknown, in the vocabulary's order; by default all are unknown.
    genres
        `[num_movies]`: each movie's genres, in the vocabulary's order; by default none.
    vocabulary
        The model's vocabulary, where it is not the Transform step's.
    history_lengths
        Lengths of histories, by a name, that answers are timed for before the model is published; by default none.
    """

    def __init__(
        self,
        model: NextMovieModel,
        transform_output: tft.TFTransformOutput,
        label_counts: np.ndarray,
        max_context_length: int,
        recent_popularity: np.ndarray | None = None,
        pad: MovieId = features.PAD_MOVIE_ID,
        years: np.ndarray | None = None,
        genres: Sequence[Sequence[str]] | None = None,
        vocabulary: Vocabulary | None = None,
        history_lengths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(name="next_movie")
        # The model's owner is this module, by its variables. Held as a Keras model, it would be traced on saving once
        # more for each of its layers and for training, which takes seconds and which no signature needs.
        self._query_variables = model.query_tower.by_name()
        query_tower: Callable[..., tf.Tensor] = model.query_tower
        self._query = functools.partial(query_tower, training=False)
        self.reads_histories = model.reads_histories
        self.history_lengths = dict(history_lengths or {})
        self.max_context_length = max_context_length
        self._candidates = tf.Variable(model.candidate_tower.catalogue(), trainable=False, name="candidates")
        self.pad = pad
        self.id_type = tf.string if isinstance(pad, str) else tf.int64
        self._pad = tf.constant(pad, self.id_type)
        vocabulary = vocabulary or Vocabulary.of(transform_output, pad)
        movie_ids = vocabulary.movie_ids.tolist()
        self._movie_id = tf.Variable(movie_ids, dtype=self.id_type, trainable=False, name="movie_id")
        # It answers histories without a known movie, and is the floor that the gate compares the model with.
        # Monotone in the counts, which is all that a rank sees.
        self._label_counts = tf.Variable(label_counts, dtype=tf.int64, trainable=False, name="label_counts")
        self._popularity = FixedScores(np.log1p(label_counts), name="popularity")
        self._recent_popularity = self._popularity
        if recent_popularity is not None:
            self._recent_popularity = FixedScores(recent_popularity, name="recent_popularity")
        self._filter = MovieFilter(
            np.zeros(len(movie_ids), np.int64) if years is None else years,
            [()] * len(movie_ids) if genres is None else genres,
        )
        self._index_of = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                vocabulary.file,
                key_dtype=self.id_type,
                key_index=tf.lookup.TextFileIndex.WHOLE_LINE,
                value_dtype=tf.int64,
                value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=-1,
            # By name it would be shared with any table that this process made of a file of this name before.
            experimental_is_anonymous=True,
        )
        history = tf.TensorSpec([None, None], self.id_type, name=features.CONTEXT_MOVIE_ID)
        self.recommend = _Traced(self._recommend, history)
        self.recommend_seen_too = _Traced(self._recommend_seen_too, history)
        self.recommend_filtered = _Traced(
            self._recommend_filtered,
            history,
            tf.TensorSpec([None], tf.bool, name="include_seen"),
            tf.TensorSpec([None, None], self.id_type, name="allow_movie_id"),
            tf.TensorSpec([None, None], self.id_type, name="deny_movie_id"),
            tf.TensorSpec([None, None], tf.string, name="genre"),
            tf.TensorSpec([None, None], tf.string, name="without_genre"),
            tf.TensorSpec([None], tf.int64, name="first_year"),
            tf.TensorSpec([None], tf.int64, name="last_year"),
        )
        self.similar = _Traced(self._similar, tf.TensorSpec([None], self.id_type, name="movie_id"))
        self.evaluate = _Traced(self._evaluate, tf.TensorSpec([None], tf.string, name="examples"))

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Return the signatures to save, by name."""
        return {
            "serving_default": self.recommend.concrete(),
            "include_seen": self.recommend_seen_too.concrete(),
            "filtered": self.recommend_filtered.concrete(),
            "similar": self.similar.concrete(),
            "evaluate": self.evaluate.concrete(),
        }

    def _recommend(self, context_movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommend movies that the history doesn't hold.

        Parameters
        ----------
        context_movie_id
            int64 `[batch, any length]`, oldest first. Pads and unknown movies are passed over wherever they
            stand, and the last `max_context_length` of the others are read, or all of them where the model reads
            histories. A history that holds none is answered by popularity.

        Returns
        -------
        dict
            `movie_id` int64 and `score` float32, `[batch, 100]`, best first; `[batch, catalogue]` where the catalogue
            is smaller. A row depends on its own history alone. Where that leaves fewer movies, the row is filled up at
            the end with the pad and `FILLER_SCORE`.
        """
        index = self._look_up(context_movie_id)
        return self._top(self._scores(index), seen_mask(index, self._num_movies()))

    def _recommend_seen_too(self, context_movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommend as `recommend` does, but offer the history's own movies too."""
        index = self._look_up(context_movie_id)
        return self._top(self._scores(index), seen_mask(index[:, :0], self._num_movies()))

    def _recommend_filtered(
        self,
        context_movie_id: tf.Tensor,
        include_seen: tf.Tensor,
        allow_movie_id: tf.Tensor,
        deny_movie_id: tf.Tensor,
        genre: tf.Tensor,
        without_genre: tf.Tensor,
        first_year: tf.Tensor,
        last_year: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Recommend as `recommend` does, exactly, among the movies that a request wants to choose from.

        Parameters
        ----------
        context_movie_id
            As for `recommend`.
        include_seen
            bool `[batch]`: offer the history's own movies too.
        allow_movie_id, deny_movie_id
            int64 `[batch, any length]`, filled up with pads: the only movies to offer, if the row holds any id, and
            movies not to offer. Unknown ones are never offered.
        genre, without_genre, first_year, last_year
            As for `MovieFilter.excluded`.

        Returns
        -------
        dict
            As for `recommend`; a row that its filters leave fewer movies is filled up.
        """
        index = self._look_up(context_movie_id)
        excluded = self._filter.excluded(
            self._place(allow_movie_id) + 1,
            tf.reduce_any(allow_movie_id != self._pad, axis=1),
            self._place(deny_movie_id) + 1,
            genre,
            without_genre,
            (first_year, last_year),
        )
        seen = seen_mask(index, self._num_movies()) & ~include_seen[:, tf.newaxis]
        return self._top(self._scores(index), excluded | seen)

    def _similar(self, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the movies whose embeddings point the same way.

        Parameters
        ----------
        movie_id
            int64 `[batch]`.

        Returns
        -------
        dict
            As for `recommend`; the score is the cosine of the candidate embeddings. The movie itself is left
            out. For an unknown movie every score is 0, and no movie is left out.
        """
        index = self._place(movie_id) + 1
        unit = tf.math.l2_normalize(self._candidates, axis=1)
        known = tf.cast(index > 0, tf.float32)[:, tf.newaxis]
        asked = tf.gather(unit, tf.maximum(index - 1, 0)) * known
        return self._top(tf.matmul(asked, unit, transpose_b=True), seen_mask(index[:, tf.newaxis], self._num_movies()))

    def _evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rank each example's label exactly, over the whole catalogue.

        Parameters
        ----------
        examples
            string `[batch]`: serialised `tf.Example` windows, with contexts of any length: they are read as `recommend`
            reads a history, so that data of other settings can be ranked too. What `seen_movie_id` of an example holds
            is left out beside the context, and read in its place where the model reads histories.

        Returns
        -------
        dict
            int64 `[batch]`: `rank`, with the context's own movies left out as in serving; `rank_unfiltered`,
            with them; `rank_popularity`, the same label under plain train popularity, context left out;
            `rank_recent_popularity`, likewise under what was popular lately, see `trainer_module.popularity`. See
            `rank_of_label`. `top_movie_id` int64 `[batch, 10]`, which serving would offer, filled up as in `recommend`;
            of that shape `top_label_count`, how often these are labels in train, and `label_count` int64 `[batch]`, how
            often the label is one. And `pad_movie_id`, `catalogue_size` and `num_train_labels` int64 `[batch]`, the
            same everywhere.

        Raises
        ------
        tf.errors.InvalidArgumentError
            The model reads histories, and an example holds none.
        """
        context, label_movie_id = parse_any_length(examples, self.pad)
        label = self._place(label_movie_id)
        seen = parse_seen(examples, self.pad)
        if self.reads_histories:
            is_there = tf.reduce_any(seen != self._pad, axis=1) | tf.reduce_all(context == self._pad, axis=1)
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_there), [NO_HISTORY])]):
                index = left_out = self._look_up(seen)
        else:
            index = self._look_up(context)
            left_out = tf.concat([index, self._look_up(seen)], axis=1)
        scores = self._scores(index)
        excluded = seen_mask(left_out, self._num_movies())
        best = self._best(scores, excluded, EVALUATION_TOP_K)
        top_label_count = tf.gather(self._label_counts, best.column)
        label_count = tf.gather(self._label_counts, tf.maximum(label, 0))
        return {
            "rank": rank_of_label(scores, label, excluded),
            "rank_unfiltered": rank_of_label(scores, label),
            "rank_popularity": self._popularity.rank_of_label(label, left_out),
            "rank_recent_popularity": self._recent_popularity.rank_of_label(label, left_out),
            "top_movie_id": tf.where(best.is_filler, self._pad, tf.gather(self._movie_id, best.column)),
            "top_label_count": tf.where(best.is_filler, tf.constant(0, tf.int64), top_label_count),
            "label_count": tf.where(label < 0, tf.constant(0, tf.int64), label_count),
            "num_train_labels": tf.fill(tf.shape(label), tf.reduce_sum(self._label_counts)),
            "pad_movie_id": tf.fill(tf.shape(label), self._pad),
            "catalogue_size": tf.fill(tf.shape(label), tf.constant(self._num_movies(), tf.int64)),
        }

    def _num_movies(self) -> int:
        return self._candidates.shape[0]

    def _look_up(self, movie_id: tf.Tensor) -> tf.Tensor:
        return self._keep_movies(self._place(movie_id) + 1)

    def _place(self, movie_id: tf.Tensor) -> tf.Tensor:
        """Return the places of movies in the vocabulary, int64 in the shape of their ids; -1 for unknown ones."""
        return self._index_of.lookup(as_word(movie_id))

    @staticmethod
    def _keep_movies(index: tf.Tensor) -> tf.Tensor:
        """Return indices without the gaps of pads and unknown movies, int64 `[batch, longest]`, post-padded."""
        return tf.ragged.boolean_mask(index, index > 0).to_tensor()

    def _scores(self, index: tf.Tensor) -> tf.Tensor:
        """Return the scores of all candidates, float32 `[batch, num_movies]`, for gapless contexts."""
        length = tf.reduce_sum(tf.cast(index > 0, tf.int32), axis=1)
        if self.reads_histories:
            return self._answered(self._query(index), length)
        last = tf.RaggedTensor.from_tensor(index, lengths=length)[:, -self.max_context_length :]
        context = last.to_tensor(shape=[None, self.max_context_length])
        return self._answered(self._query(context), length)

    def _answered(self, query: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        scores = tf.matmul(query, self._candidates, transpose_b=True)
        return tf.where((length > 0)[:, tf.newaxis], scores, self._popularity.scores)

    def _top(self, scores: tf.Tensor, excluded: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the best candidates that are not left out, filled up to the same number for each row."""
        best = self._best(scores, excluded, TOP_K)
        return {
            "movie_id": tf.where(best.is_filler, self._pad, tf.gather(self._movie_id, best.column)),
            "score": tf.where(best.is_filler, FILLER_SCORE, best.score),
        }

    def _best(self, scores: tf.Tensor, excluded: tf.Tensor, k: int) -> _Best:
        score, column = tf.math.top_k(tf.where(excluded, -np.inf, scores), k=min(k, self._num_movies()))
        # Asked of `excluded`, not of the score: a score that is no number must not pass for a filler.
        return _Best(column, score, tf.gather(excluded, column, axis=1, batch_dims=1))
