"""What was tried and chosen about the peers; all else is the library's own default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.quality.windows import DataSet

HELD_OUT_SHARE = 0.05
"""Of the train labels, held out for the chosen options to stop on: the learning rate is constant, so that they have
to, unlike this project's model."""

HISTORY_LENGTH = 100
"""How many movies of a whole history RecTools' models read: the library's own default for a session."""


@dataclass(frozen=True)
class Peer:
    """A model of another library.

    Attributes
    ----------
    library
        `RecBole`, whose models are fitted to windows, or `RecTools`, whose are fitted to timelines.
    model
        The library's name of it.
    candidates
        What `python -m benchmarks.peers.choose` compares: settings that differ from the library's defaults.
    chosen
        Which of them is taken.
    """

    library: str
    model: str
    candidates: tuple[dict[str, object], ...]
    chosen: int

    @property
    def name(self) -> str:
        """How its rows begin."""
        return f"{self.library} {self.model}"

    @property
    def options(self) -> dict[str, object]:
        """The chosen settings."""
        return self.candidates[self.chosen]

    @property
    def reads_histories(self) -> bool:
        """Whether it reads the end of the whole history where evaluation leaves that out, in place of the context."""
        return self.library == "RecTools"

    def read(self, data: DataSet) -> DataSet:
        """Return the data as the peer reads them."""
        from benchmarks.quality.windows import with_longer_contexts

        reads_histories = self.reads_histories and data.histories is not None
        return with_longer_contexts(data, HISTORY_LENGTH) if reads_histories else data


# RecBole's own batch of 2,048 takes 41 steps an epoch on ML-100K: at its rate of 1e-3 GRU4Rec stood at popularity's
# recall after three epochs. 256 is the batch that this project's model takes there. Its patience of ten epochs is cut
# to three.
_RECBOLE: dict[str, object] = {"train_batch_size": 256, "epochs": 60, "stopping_step": 3}

# RecTools' own width of 256 takes minutes an epoch in one thread.
_RECTOOLS: dict[str, object] = {"epochs": 40, "patience": 2, "batch_movies": 512, "n_factors": 64, "n_heads": 1}

PEERS = (
    # Chosen on ML-100K's random split: recall@10 was 0.1784 and 0.1839. All figures stand in docs/quality.md; the last
    # candidate of each was not tried.
    Peer(
        "RecBole",
        "GRU4Rec",
        (
            _RECBOLE | {"learning_rate": 0.003, "dropout_prob": 0.3},
            _RECBOLE | {"learning_rate": 0.003, "dropout_prob": 0.5},
            _RECBOLE | {"learning_rate": 0.001, "dropout_prob": 0.3},
            _RECBOLE | {"learning_rate": 0.003, "dropout_prob": 0.3, "embedding_size": 128},
            _RECBOLE | {"learning_rate": 0.003, "dropout_prob": 0.5, "embedding_size": 128},
        ),
        chosen=1,
    ),
    Peer(
        "RecBole",
        "SASRec",
        (
            _RECBOLE | {"learning_rate": 0.001, "hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.5},
            _RECBOLE | {"learning_rate": 0.001, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
            _RECBOLE | {"learning_rate": 0.003, "hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2},
            _RECBOLE
            | {
                "learning_rate": 0.001,
                "hidden_dropout_prob": 0.5,
                "attn_dropout_prob": 0.5,
                "hidden_size": 128,
                "inner_size": 512,
            },
        ),
        chosen=0,
    ),
    # Not compared yet: the first one is taken.
    Peer(
        "RecTools",
        "SASRec",
        (
            _RECTOOLS | {"lr": 0.003, "dropout_rate": 0.3},
            _RECTOOLS | {"lr": 0.003, "dropout_rate": 0.5},
            _RECTOOLS | {"lr": 0.001, "dropout_rate": 0.3},
        ),
        chosen=0,
    ),
)
