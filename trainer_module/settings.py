"""Settings of the model and of its training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelSettings(BaseModel):
    """The two towers and the loss that fits them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    embedding_dim: int = Field(default=128, ge=1)
    """Width of a movie's embedding, and of the GRU's state unless `gru_units` says otherwise."""

    gru_units: int | None = Field(default=None, ge=1)
    """Width of the GRU's state, which a learned matrix then brings to that of the embeddings; None for a state of their
    width and no matrix."""

    dropout: float = Field(default=0.25, ge=0, lt=1)
    """Share of the context embeddings' and of the state's entries that training zeroes."""

    tied_tables: bool = True
    """Whether both towers share one embedding table."""

    mask_padding: bool = True
    """Whether the GRU passes over padding. The tutorial's doesn't: it reads pads as the unknown movie."""

    gru_reads: int = Field(default=10, ge=1)
    """How many of a context's last movies the GRU reads, of a history all; the recency mean is always over all. A
    context's order says most at its end, and each movie that the GRU reads costs as much as any other."""

    item_bias: bool = True
    """Whether each candidate has a learned offset, which carries its popularity."""

    recency_mean: bool = True
    """Whether a recency-weighted mean of the context's embeddings is added to the GRU's state."""

    counted_embeddings: bool = True
    """Whether the embeddings start from co-occurrence counts of train; else from random numbers."""

    loss: Literal["full_softmax", "in_batch"] = "full_softmax"
    """Softmax over the catalogue without the context's own movies, or over the batch's own labels
    (`tfrs.tasks.Retrieval`)."""

    reads: Literal["context", "history"] = "context"
    """What a query is made of: the last movies, as many as a context holds, or all that were watched before, of which
    the GRU reads every one. The loss leaves out the same. Histories need `data.leave_out: history` and
    `training.form: chunks`."""


class TrainingSettings(BaseModel):
    """How the model is fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=8, ge=1)
    """Passes over the train windows; with `patience`, the most of them."""

    batch_size: int = Field(default=1024, ge=1)
    """Windows in one step, or labels of chunks, about."""

    form: Literal["windows", "chunks"] = "windows"
    """What a step reads: windows, each a label with the movies before it, or chunks of timelines, in which a movie is
    read once for several labels. Chunks need `data.timelines`."""

    chunk_length: int = Field(default=8, ge=1)
    """Labels in a chunk at most."""

    lead_length: int | None = Field(default=None, ge=1)
    """Movies that a chunk reads before its first label, without asking for them; None for as many as a context has."""

    optimizer: Literal["adamw", "adagrad"] = "adamw"
    """`adagrad` is the tutorial's."""

    learning_rate: float = Field(default=3e-3, gt=0)
    """The peak of the schedule."""

    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    """`one_cycle` rises linearly for the first tenth of all steps, then falls along a cosine to zero."""

    weight_decay: float = Field(default=1e-5, ge=0)
    """AdamW's decoupled decay."""

    reshuffle: bool = True
    """Whether new batches are drawn each epoch. The tutorial caches its first epoch's batches and repeats them."""

    validation_fraction: float = Field(default=0.02, ge=0, lt=1)
    """Share of the *train* windows that is held out to watch the fit, and to stop on; 0 holds out none."""

    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better validation recall@10 after which training stops; the best epoch's weights are kept. None
    takes all passes and keeps the last weights: a one-cycle schedule that is cut short ends at too high a rate, and
    the held-out slice can't tell its last epochs apart (docs/quality.md)."""

    seed: int = 42
    """Fixes initial weights, dropout, batches and the validation slice."""

    def lead_of(self, max_context_length: int) -> int:
        """Return how many movies a chunk reads before its first label."""
        return self.lead_length or max_context_length


class RollingSettings(BaseModel):
    """How a model is trained that follows a served one: see `trainer_module.warm_start`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    warm: bool = True
    """Whether training starts from the served model's weights where they fit; else from the beginning."""

    epochs_warm: int = Field(default=6, ge=1)
    """Passes over the windows of a training that starts from the served model's weights, in place of `training.epochs`.
    They are those of the new spans and as many older ones as `replay` says."""

    learning_rate_warm: float | None = Field(default=0.01, gt=0)
    """The peak of the schedule for them; None for `training.learning_rate`."""

    replay: float = Field(default=1.0, ge=0)
    """How many older train windows, drawn by chance, a warm training takes for each new one."""

    keep_vanished: int = Field(default=4, ge=0)
    """For how many spans a movie stays in the vocabulary after the last range of spans that held it."""

    new_rows: Literal["counts", "features", "zeros"] = "counts"
    """What a movie that the served model doesn't know starts from: the known movies that it stands beside in train, and
    genres and year where it stands beside none; genres and year alone; or zeros."""

    def of_warm(self, training: TrainingSettings) -> TrainingSettings:
        """Return how a model is fitted that starts from the served one."""
        rate = self.learning_rate_warm or training.learning_rate
        return training.model_copy(update={"epochs": self.epochs_warm, "learning_rate": rate})
